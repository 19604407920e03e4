"""What a report says of the search that chose its settings: every trial, what was chosen, and how far inner scores carried."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from models.training.linear import macro_precision
from models.training.material import Material
from models.training.member_result import MemberResult

NESTED = (
    "Each fold's settings were chosen by its own inner split, without the rows that it holds out: the held-out score is one of search "
    "and training together."
)
NOT_NESTED = (
    "Settings were chosen once for all folds, by inner splits that hold rows which other folds hold out: the held-out score is a little "
    "too good."
)


def search_part(material: Material, results: Sequence[MemberResult]) -> dict[str, Any]:
    """The report's `search`: the request's document with inner and held-out macro average precision by fold; {} without a search."""
    document = material.data.request.search
    if document is None:
        return {}
    folds = [_fold(material, fold, result) for fold, result in enumerate(results)]
    inner, held_out = (fmean(entry[name] for entry in folds) for name in ("inner", "held_out"))
    carried = {"inner": inner, "held_out": held_out, "gap": inner - held_out, "folds": folds}
    sentence = NESTED if document.get("nested") else NOT_NESTED
    return {"search": {**document, "average_precision": carried, "sentence": sentence}}


def _fold(material: Material, fold: int, result: MemberResult) -> dict[str, Any]:
    """Inner and held-out macro average precision of a fold's model, and their difference."""
    best = result.facts["best_epoch"]
    entry = next(entry for entry in result.facts["inner_epochs"] if entry["epoch"] == best)
    inner = float(entry["inner_average_precision"])
    held_out = float(macro_precision(material.data.labels[material.folds == fold], result.logits["model"]))
    return {"fold": fold, "best_epoch": best, "inner": inner, "held_out": held_out, "gap": inner - held_out}
