"""Whether a training method goes with a base model and with this installation, asked before a job is made of it."""

from __future__ import annotations

from pathlib import Path

from app.http.problems import Invalid
from app.settings import Settings
from app.training.schemas import TrainJobRequest
from models.catalog import family_of, full_refusal
from models.families import FAMILIES, UnknownTargetError, chosen_targets


def check_method(body: TrainJobRequest, folder: Path, settings: Settings) -> None:
    """Raise Invalid for a method that the model is too large for or this installation cannot run, and for unknown target modules.

    What only the machine that trains can know (whether it has CUDA and bitsandbytes) fails the job instead, under the same
    slugs.

    Args:
        body: the request.
        folder: of its base model.
        settings: of the installation.
    """
    if body.method == "full" and (refusal := full_refusal(body.base_model, folder)):
        raise Invalid(refusal, field="/method", slug="model-too-large")
    if body.method == "qlora" and "cpu" in {body.device, settings.device}:
        raise Invalid(
            "qlora needs a CUDA device, and this job would run on the CPU (its device, or REMAND_DEVICE, says cpu): use 'lora' and "
            "a smaller base model, or let the operator provide a GPU.",
            field="/method",
            slug="qlora-unavailable",
        )
    if body.target_modules != "auto":
        try:
            chosen_targets(FAMILIES[family_of(folder)], body.target_modules)
        except UnknownTargetError as error:
            raise Invalid(str(error), field="/target_modules", slug=error.code) from None
