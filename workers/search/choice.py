"""Who chooses by which inner splits, and what is chosen: pure rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from app.training.search_schemas import SearchRequest

FINAL = "final"
ALL = "all"
ENOUGH_FAILURES = 3
"""Trials in a row that fail in the same way before no more are made, where nothing that is searched could be the reason."""
Runs = Sequence[Mapping[str, Any]]
"""Outcomes of a trial's runs (`models.training.trial.Outcome` as JSON)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The parameters of one member of the adapter, and the trial that they come from."""

    trial: int
    parameters: dict[str, Any]
    score: float
    """On what was chosen by: an inner split, or the mean of several."""
    best_epoch: int

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "trial": self.trial, "parameters": self.parameters, "score": self.score, "best_epoch": self.best_epoch,
        }  # fmt: skip


def choosers(search: SearchRequest, folds: int) -> dict[str, tuple[str, ...]]:
    """Each study of a search, and the inner splits that its trials are scored on.

    Nested: every fold has its own, so that nothing of what it holds out reaches its choice: not by the scores, and not by which
    parameters are tried or given up. Bayesian proposals follow the scores, so the final fit has one of its own, too: the same
    procedure on all texts. Grids and random draws are the same for every fold, and the final fit takes their best mean.
    """
    if not search.nested:
        return {ALL: tuple(f"fold{fold}" for fold in range(min(folds, search.folds or folds)))}
    names = [*(f"fold{fold}" for fold in range(folds)), *([FINAL] if search.strategy == "bayesian" else [])]
    return {name: (name,) for name in names}


def choose(search: SearchRequest, folds: int, trials: Mapping[int, Runs]) -> dict[str, Chosen] | None:
    """What every member is fitted with: `fold0` …, `final`; None where some member has no trial that came to an end.

    trials: outcomes of the trials that succeeded, by number.
    """
    names = [*(f"fold{fold}" for fold in range(folds)), FINAL]
    if not search.nested:
        best = best_of(trials, ALL)
        return None if best is None else dict.fromkeys(names, best)
    found = {name: best_of(trials, name) for name in names[:-1]}
    final = best_of(trials, FINAL) if search.strategy == "bayesian" else best_mean(trials, names[:-1])
    chosen = {name: best for name, best in (*found.items(), (FINAL, final)) if best is not None}
    return chosen if len(chosen) == len(names) else None


def hopeless(errors: Sequence[Mapping[str, Any]], space: Collection[str]) -> bool:
    """Whether further trials would end as those did that are over, all of which failed: by something that none of them varies.

    Args:
        errors: of every trial that is over, in order; the last few decide.
        space: fields that are searched.
    """
    if len(errors) < ENOUGH_FAILURES:
        return False
    found = {(error.get("code"), error.get("field")) for error in errors[-ENOUGH_FAILURES:]}
    ((_, field), *others) = found
    return not others and field is not None and field.lstrip("/").partition("/")[0] not in space


def best_of(trials: Mapping[int, Runs], chooser: str) -> Chosen | None:
    """The best run of a chooser that was carried to the end: highest score, then lowest loss, then the earlier trial."""
    candidates = [
        (-run["score"], run["loss"], number, run)
        for number, runs in trials.items()
        for run in runs
        if run["chooser"] == chooser and run["pruned_at"] is None
    ]
    if not candidates:
        return None
    score, _, number, run = min(candidates, key=lambda candidate: candidate[:3])
    return Chosen(number, dict(run["parameters"]), -score, int(run["best_epoch"]))


def best_mean(trials: Mapping[int, Runs], names: Sequence[str]) -> Chosen | None:
    """The trial with the best mean over the folds.

    One that was given up in some fold counts there with the best it had reached; it is taken only where every trial was given
    up somewhere.
    """
    candidates = []
    for number, runs in trials.items():
        by_name = {run["chooser"]: run for run in runs}
        if set(names) <= set(by_name):
            given_up = any(by_name[name]["pruned_at"] is not None for name in names)
            score = fmean(by_name[name]["score"] for name in names)
            loss = fmean(by_name[name]["loss"] for name in names)
            epochs = int(median(by_name[name]["best_epoch"] for name in names))
            candidates.append((given_up, -score, loss, number, epochs, by_name[names[0]]["parameters"]))
    if not candidates:
        return None
    _, score, _, number, epochs, parameters = min(candidates, key=lambda candidate: candidate[:4])
    return Chosen(number, dict(parameters), -score, epochs)


def refit_settings(chosen: Mapping[str, Chosen], folds: int, *, nested: bool) -> dict[str, Any]:
    """What the train job is told beside the final fit's parameters: per-fold settings and the epochs of the final fit."""
    overrides = [chosen[f"fold{fold}"].parameters for fold in range(folds)] if nested else None
    return {"fold_overrides": overrides, "final_epochs": chosen[FINAL].best_epoch}
