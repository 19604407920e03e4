"""One trial of a hyperparameter search: fits on inner splits alone, scored there, ended early where it is not worth going on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.training.base import load_base
from models.training.checkpoint import load_state
from models.training.fit import Fitted, Signals, fit_member
from models.training.inputs import TrainingSet, read_inputs
from models.training.members import request_with
from models.training.plan import fit_settings, fold_count, unmeasured_plan
from models.training.progress import Progress
from models.training.task import FitTask
from models.training.trial_tasks import Tasks
from models.training.trunk_cache import shared_trunk

STEPS_PER_SPLIT = 101
"""Steps a pruner counts for one inner split: more than epochs can be."""


@dataclass(frozen=True, slots=True)
class Run:
    """A set of parameters and the inner splits that it is scored on."""

    chooser: str
    """`fold0` …, `final`, or `all`: who chooses by the score."""
    splits: tuple[str, ...]
    """`fold0` …, `final`."""
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; JSON-ready by `asdict`."""

    chooser: str
    parameters: dict[str, Any]
    score: float
    """Mean over its splits of the macro average precision at the best epoch; of a pruned run, of the best so far."""
    loss: float
    best_epoch: int
    """The median over its splits."""
    epochs: int
    """Epochs read in all."""
    seconds: float
    pruned_at: int | None
    folds: list[dict[str, Any]]
    """By split: `fold`, `score`, `loss`, `best_epoch`, `epochs`."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a trial, and says when to stop."""

    progress: Progress
    prune: Callable[[str, int, float], bool]
    """Told (chooser, step, score) after every epoch; true ends the run."""
    done: Callable[[Outcome], None]


class _Pruned(Exception):
    """Not worth going on."""


def run_trial(folder: Path, runs: Sequence[Run], shared: Path, work: Path, listener: Listener) -> None:
    """Carry out runs one after the other, telling the listener of each; resumes fits from `work`.

    The held-out rows of a fold are no part of anything that its own splits are scored on.

    Args:
        folder: the training folder (docs/architecture.md); `runs` change its request.
        runs: what to try; those already done are left out by the caller.
        shared: a folder of this machine for what trials have in common.
        work: checkpoints of this trial.
        listener: hears of progress, epochs and outcomes.

    Raises:
        TrainingRefusedError, ModelUnavailableError: these parameters cannot be trained with.
        TrainingStoppedError: asked to stop; the same call goes on.
    """
    work.mkdir(parents=True, exist_ok=True)
    data = read_inputs(folder)
    encoders: dict[str, Encoder] = {}
    for run in runs:
        request = request_with(data.request, run.parameters)
        base = f"{request.base_model} {request.method == 'qlora'}"
        if base not in encoders:
            encoders.clear()
            listener.progress.enter("base model")
            encoders[base] = load_base(request)
        one = _Trial(replace(data, request=request), encoders[base], run, shared, work, listener)
        listener.done(one.outcome())


@dataclass(frozen=True, slots=True)
class _Trial:
    """A run with what it needs."""

    data: TrainingSet
    encoder: Encoder
    run: Run
    shared: Path
    work: Path
    listener: Listener

    def outcome(self) -> Outcome:
        """Fit on every split, until it is pruned."""
        began = time.monotonic()
        self.listener.progress.enter("trunk")
        tasks = Tasks(self.data, self.encoder, self._trunk(), self.shared, self.listener.progress)
        found: list[dict[str, Any]] = []
        pruned_at = None
        for place, split in enumerate(self.run.splits):
            self.listener.progress.enter(f"inner split of {split}")
            task = tasks.task(split)
            try:
                found.append({"fold": split} | self._fit(tasks.trunk, split, task, place, found))
            except _Pruned:
                state = load_state(self._checkpoint(split)) or {}
                found.append({"fold": split} | _standing(state))
                pruned_at = int(state["epoch"])
                break
        for split in self.run.splits:
            self._checkpoint(split).unlink(missing_ok=True)
        return Outcome(
            chooser=self.run.chooser,
            parameters=self.run.parameters,
            score=float(np.mean([entry["score"] for entry in found])),
            loss=float(np.mean([entry["loss"] for entry in found])),
            best_epoch=int(np.median([entry["best_epoch"] for entry in found])),
            epochs=sum(entry["epochs"] for entry in found),
            seconds=round(time.monotonic() - began, 2),
            pruned_at=pruned_at,
            folds=found,
        )

    def _fit(
        self, trunk: Trunk, split: str, task: FitTask, place: int, before: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        progress = self.listener.progress

        def epoch_done(entry: dict[str, Any]) -> None:
            progress.event("epoch", member=split, chooser=self.run.chooser, **entry)
            scores = [*(float(item["score"]) for item in before), float(entry["inner_average_precision"])]
            step = place * STEPS_PER_SPLIT + int(entry["epoch"])
            if self.listener.prune(self.run.chooser, step, float(np.mean(scores))):
                raise _Pruned

        def event(kind: str, details: dict[str, Any]) -> None:
            progress.event(kind, **details)

        signals = Signals(epoch_done, progress.add, progress.should_stop, event)
        plan = unmeasured_plan(self.encoder, trunk, self.data, fold_count(self.data))
        settings = fit_settings(self.data.request, plan)
        task = replace(task, epochs=settings.epochs)
        fitted = fit_member(
            self.encoder, trunk, self.data.scheme, task, settings, self._checkpoint(split), signals
        )
        return _best(fitted)

    def _trunk(self) -> Trunk:
        progress = self.listener.progress

        def tell(_tokens: int) -> None:
            progress.check_stop()

        return shared_trunk(self.shared, self.encoder, self.data.request, self.data.texts, tell)

    def _checkpoint(self, split: str) -> Path:
        return self.work / f"fit-{self.run.chooser}-{split}.pt"


def _best(fitted: Fitted) -> dict[str, Any]:
    entry = next(entry for entry in fitted.history if entry["epoch"] == fitted.best_epoch)
    return {
        "score": float(entry["inner_average_precision"]),
        "loss": float(entry["inner_loss"]),
        "best_epoch": fitted.best_epoch,
        "epochs": int(fitted.history[-1]["epoch"]),
    }


def _standing(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a fit that was ended early, from its checkpoint: the best so far."""
    return {
        "score": float(state["best_precision"]),
        "loss": float(state["best"]),
        "best_epoch": int(state["best_epoch"]),
        "epochs": int(state["epoch"]),
    }


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """JSON form."""
    return asdict(outcome)
