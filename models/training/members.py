"""Settings of one member where they differ from the others': what a search chose for each fold by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from models.encoder.tuning import Tuning
from models.training.errors import TrainingRefusedError
from models.training.material import Material
from models.training.plan import Plan, fit_settings, unmeasured_plan
from models.training.request import TrainRequest

SHARED = frozenset({"base_model", "max_tokens", "method", "trained_layers"})
"""What all members of an adapter have in common; app.training.search_rules says the same to callers."""


def request_with(request: TrainRequest, overrides: Mapping[str, Any]) -> TrainRequest:
    """A request with some fields changed and checked.

    Raises:
        TrainingRefusedError: a field is unknown or wrong; `field` names it.
    """
    if not overrides:
        return request
    try:
        return TrainRequest.model_validate(request.model_dump(mode="json") | dict(overrides))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise TrainingRefusedError("request-invalid", field, f"{field}: {first['msg']}") from error


def member_tuning(request: TrainRequest, member: str) -> Tuning:
    """How a member (`final`, `fold0` …) was trained above the trunk."""
    chosen = request.fold_overrides
    if chosen is None or not member.startswith("fold"):
        return request.tuning()
    return request_with(request, chosen[int(member.removeprefix("fold"))]).tuning()


def member_material(material: Material, plan: Plan, fold: int) -> tuple[Material, Plan]:
    """What a fold is fitted with: the shared material, or the same with the settings that were chosen for it.

    Epochs that a time budget has cut stay cut.

    Raises:
        TrainingRefusedError: there are not as many settings as folds, or they change what members share.
    """
    chosen = material.data.request.fold_overrides
    if chosen is None:
        return material, plan
    if len(chosen) != plan.folds:
        raise TrainingRefusedError(
            "request-invalid", "fold_overrides", f"{len(chosen)} settings were given for {plan.folds} folds"
        )
    if shared := sorted(SHARED & set(chosen[fold])):
        raise TrainingRefusedError(
            "request-invalid",
            "fold_overrides",
            f"all members of an adapter share {shared[0]}: it cannot differ by fold",
        )
    request = request_with(material.data.request, chosen[fold])
    data = replace(material.data, request=request)
    own = unmeasured_plan(material.encoder, material.trunk, data, plan.folds)
    own = replace(own, epochs=min(own.epochs, plan.epochs) if plan.epochs_cut else own.epochs)
    return replace(material, data=data, settings=fit_settings(request, own)), own
