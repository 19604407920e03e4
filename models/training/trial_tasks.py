"""The inner tasks of a search's trials: made once on a machine, whatever is tried on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from models.encoder.load import Encoder
from models.encoder.trunk import Trunk, text_means
from models.training.checkpoint import save_folder
from models.training.errors import TrainingRefusedError
from models.training.fold import split_fold
from models.training.inputs import TrainingSet
from models.training.material import Material, training_rows
from models.training.member_task import inner_task, member_task
from models.training.plan import fold_count, unmeasured_plan
from models.training.progress import Progress
from models.training.run import make_material
from models.training.task import FitTask
from models.training.trunk_cache import locked

FINAL = "final"
"""The inner split of all texts; the others are `fold0` …"""
FIT_ONLY = (
    "learning_rate", "epochs", "lora_rank", "lora_alpha", "target_modules", "dropout", "lora_dropout", "weight_decay", "warm_up",
    "patience", "batch_tokens", "accumulation", "activation_checkpointing", "time_budget_s", "memory_bytes", "fold_overrides",
    "final_epochs", "search",
)  # fmt: skip
"""What changes a fit but not what is fitted: trials that differ in these alone share their tasks."""


@dataclass(slots=True)
class Tasks:
    """The inner tasks of a request: read where another trial has left them, else made and left for others."""

    data: TrainingSet
    encoder: Encoder
    trunk: Trunk
    shared: Path
    progress: Progress
    _material: Material | None = None

    def task(self, split: str) -> FitTask:
        """The inner task of a split: fitted on one part of its training rows, scored on the other."""
        place = self.shared / f"task-{self._key()}-{split}"
        self.shared.mkdir(parents=True, exist_ok=True)
        with locked(self.shared / "tasks.lock", self.progress.check_stop):
            if place.exists():
                return self._read(place, split)
            task = self.made(split)
            save_folder(place, lambda folder: _write_task(folder, task))
        return task

    def made(self, split: str) -> FitTask:
        """The same, made here.

        Raises:
            TrainingRefusedError: the split leaves nothing to fit on or to score.
        """
        material = self._whole()
        folds = fold_count(self.data)
        if split == FINAL:
            place, part = folds, np.ones(len(self.data.texts), dtype=np.bool_)
        else:
            place = int(split.removeprefix("fold"))
            part = split_fold(material, place).train
        whole = member_task(material, split, training_rows(material, part))
        task = inner_task(self.data, whole, place)
        if not len(task.check_rows) or not len(task.fit_rows):
            raise TrainingRefusedError(
                "inner-split-empty",
                "folds",
                f"the training part of {split} has too few groups to keep some back: add texts.",
            )
        return task

    def _whole(self) -> Material:
        if self._material is None:
            plan = unmeasured_plan(self.encoder, self.trunk, self.data, fold_count(self.data))
            self._material, _ = make_material(self.encoder, self.trunk, self.data, plan)
        return self._material

    def _read(self, place: Path, split: str) -> FitTask:
        with np.load(place / "task.npz", allow_pickle=False) as arrays:
            return FitTask(
                name=split,
                fit_rows=arrays["fit_rows"],
                check_rows=arrays["check_rows"],
                labels=self.data.labels,
                wide=arrays["wide"] if "wide" in arrays.files else None,
                features=text_means(self.trunk.frozen, self.trunk.windows),
                penalty=float(arrays["penalty"]),
                seed=self.data.request.seed,
                epochs=0,
            )

    def _key(self) -> str:
        """Input files and everything of the request that is more than a fit's own."""
        document = self.data.request.model_dump(mode="json", exclude=set(FIT_ONLY))
        told = json.dumps(
            [self.data.digest, self.encoder.sha256, str(self.encoder.dtype), self.trunk.depth, document]
        )
        return sha256(told.encode()).hexdigest()[:32]


def _write_task(folder: Path, task: FitTask) -> None:
    arrays: dict[str, Any] = {
        "fit_rows": task.fit_rows,
        "check_rows": task.check_rows,
        "penalty": np.array(task.penalty),
    }
    if task.wide is not None:
        arrays["wide"] = task.wide
    np.savez(folder / "task.npz", **arrays)
