"""From a training part to what a member is fitted on: the wide branch's settings, its crossed logits, the penalty, the inner split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.adapters.wide import Wide
from models.data.folds import TooFewGroupsError, inner_split
from models.encoder.batches import Rows
from models.training.inputs import TrainingSet
from models.training.linear import choose_penalty
from models.training.material import Material
from models.training.plan import INNER_SHARE
from models.training.task import FitTask
from models.training.wide import STRENGTHS, WideSettings, crossed_logits, fit_wide
from models.training.wide_choice import WideChoice, choose_wide


def wide_choice(material: Material, rows: Rows) -> WideChoice:
    """How the TF-IDF baseline and the wide branch of a training part are fitted, chosen within it."""
    data, request = material.data, material.data.request
    groups = [data.groups[row] for row in rows]
    strengths = STRENGTHS if request.wide_strength == "auto" else (request.wide_strength,)
    return choose_wide(
        material.counts,
        data.labels,
        rows,
        groups,
        material.of_context,
        request.context,
        request.seed,
        strengths,
    )


def wide_branch(material: Material, rows: Rows, choice: WideChoice) -> Wide:
    """The wide branch of a member, fitted on all of its training part."""
    return fit_wide(material.counts, material.data.labels, rows, material.data.request.seed, choice.wide)


def crossed_wide(material: Material, rows: Rows, settings: WideSettings) -> NDArray[np.float32]:
    """Crossed logits of the wide branch at a training part's rows, zeros elsewhere: float32 (texts, options)."""
    data = material.data
    crossed = np.zeros(data.labels.shape, dtype=np.float32)
    groups = [data.groups[row] for row in rows]
    crossed[rows] = crossed_logits(material.counts, data.labels, rows, groups, data.request.seed, settings)
    return crossed


def inner_task(data: TrainingSet, task: FitTask, place: int) -> FitTask:
    """The part of a member's task that its epochs, and in a search its parameters, are chosen by.

    place: the fold's number; the number of folds for the final fit.
    """
    check = inner_rows(data, task.fit_rows, data.request.seed + place)
    return replace(task, fit_rows=np.setdiff1d(task.fit_rows, check), check_rows=check)


def inner_rows(data: TrainingSet, rows: Rows, seed: int) -> Rows:
    """Rows of a training part kept back to choose epochs on: whole groups, or single texts where there is one group."""
    try:
        kept = inner_split([data.groups[row] for row in rows], INNER_SHARE, seed)
    except TooFewGroupsError:
        kept = inner_split([data.keys[row] for row in rows], INNER_SHARE, seed)
    return rows[kept]


def member_task(material: Material, name: str, rows: Rows, choice: WideChoice | None = None) -> FitTask:
    """What a member is fitted on: its rows, the crossed wide branch beside them, and the penalty that suits them.

    choice: of this training part, where it has been made.
    """
    data = material.data
    groups = [data.groups[row] for row in rows]
    settings = (choice or wide_choice(material, rows)).wide if data.request.wide else None
    wide = None if settings is None else crossed_wide(material, rows, settings)
    beside = None if wide is None else wide[rows]
    return FitTask(
        name=name,
        fit_rows=rows,
        check_rows=rows[:0],
        labels=data.labels,
        wide=wide,
        features=material.features,
        penalty=choose_penalty(material.features[rows], data.labels[rows], groups, data.request.seed, beside),
        seed=data.request.seed,
        epochs=material.settings.epochs,
    )
