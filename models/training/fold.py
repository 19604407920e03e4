"""One fold: embargo, baselines, inner split, fit, held-out logits. And the final fit, which holds nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.head import head_from_state, window_logits
from models.adapters.member import Weights
from models.adapters.seen import Seen, seen_of
from models.adapters.wide import Wide, wide_logits
from models.data.embargo import Embargo, embargo
from models.data.folds import TooFewGroupsError, inner_split
from models.data.near_duplicates import Signatures
from models.encoder.batches import Rows
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk, window_sums
from models.encoder.tuning import ready_layers
from models.scheme import MISSING
from models.training.baselines import probe_logits
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.fit import Fitted, Signals, fit_member
from models.training.inputs import TrainingSet
from models.training.linear import choose_penalty
from models.training.member_result import MemberResult
from models.training.part_sample import PartSample, sample_part
from models.training.plan import INNER_SHARE
from models.training.task import FitSettings, FitTask
from models.training.wide import STRENGTHS, WideSettings, crossed_logits, fit_wide
from models.training.wide_choice import WideChoice, choose_wide

READINGS = ("model", "tfidf", "probe")
WITHOUT_CONTEXT = "without_context"
CONTEXT_READINGS = (WITHOUT_CONTEXT, "wide")
"""Where texts have contexts: the model without them, and the wide branch alone."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the folds share, computed once per job."""

    data: TrainingSet
    encoder: Encoder
    trunk: Trunk
    features: NDArray[np.float32]
    """float32 (texts, features): pooled layers of the plain base model."""
    counts: csr_matrix
    """float32 sparse (texts, vocabulary)."""
    of_context: NDArray[np.bool_]
    """bool (vocabulary): terms of contexts."""
    folds: NDArray[np.int32]
    digests: Sequence[str]
    signed: Signatures
    settings: FitSettings

    @property
    def readings(self) -> tuple[str, ...]:
        """The readings of held-out rows that this job makes."""
        return READINGS + (CONTEXT_READINGS if self.of_context.any() and self.data.request.wide else ())

    def words(self) -> csr_matrix:
        """`counts` with no context in them: the same columns, those of contexts empty."""
        if not self.of_context.any():
            return self.counts
        words = csr_matrix(self.counts.multiply(~self.of_context))
        words.eliminate_zeros()  # a stored zero would have a logarithm
        return words


def training_rows(material: Material, mask: NDArray[np.bool_]) -> Rows:
    """Rows of a training part with at least one label: all of them, or the sample that the request asks for."""
    return part_sample(material, mask).rows


def part_sample(material: Material, mask: NDArray[np.bool_]) -> PartSample:
    """`training_rows` with the report of their sample."""
    data = material.data
    rows, keys = labelled_rows(data, mask), data.scheme.option_keys
    return sample_part(
        data.request.sample, rows, material.words(), data.labels, data.keys, keys, data.request.seed
    )


def labelled_rows(data: TrainingSet, mask: NDArray[np.bool_]) -> Rows:
    """Rows of a mask with at least one label."""
    return np.flatnonzero(mask & (data.labels != MISSING).any(axis=1)).astype(np.int64)


def split_fold(material: Material, fold: int) -> Embargo:
    """What fold `fold` holds out and trains on.

    Raises:
        TrainingRefusedError: the embargo leaves it nothing to train on.
    """
    split = embargo(material.folds, fold, material.digests, material.signed)
    if len(labelled_rows(material.data, split.train)) < 2:
        raise TrainingRefusedError(
            "fold-empty", "folds",
            f"fold {fold} is left with fewer than two labelled texts to train on after dropping duplicates of its "
            f"{int(split.held_out.sum())} held-out texts. Add texts, or name a finer grouping key.",
        )  # fmt: skip
    return split


def run_fold(
    material: Material, fold: int, split: Embargo, checkpoints: Path, signals: Signals
) -> MemberResult:
    """Fit fold `fold`'s model and its baselines, and read the held-out rows with each of them.

    Epochs are chosen on an inner split of the training part; the model kept is then fitted on all of that part, as the
    baselines are.

    Args:
        material: what the folds share.
        fold: which one.
        split: from `split_fold`.
        checkpoints: a folder for the fits in progress.
        signals: to and from the outside.
    """
    data, seed, name = material.data, material.data.request.seed, f"fold{fold}"
    sample = part_sample(material, split.train)
    rows = sample.rows
    held_out = np.flatnonzero(split.held_out).astype(np.int64)
    choice = wide_choice(material, rows)
    _breathe(signals, name)
    tfidf = fit_wide(material.counts, data.labels, rows, seed, choice.tfidf)
    _breathe(signals, name)
    wide = _wide_branch(material, rows, choice) if choice.context else tfidf
    _breathe(signals, name)
    task = member_task(material, name, rows, choice)
    _breathe(signals, name)
    if task.wide is not None:
        # Only the learning curve reads these rows; no fit does.
        task.wide[held_out] = wide_logits(wide, csr_matrix(material.counts[held_out]))
    inner = inner_task(data, task, fold)
    chosen = _fit(material, inner, checkpoints / f"fit-{name}-inner.pt", signals)
    whole = replace(task, epochs=chosen.best_epoch, watch_rows=held_out)
    fitted = _fit(material, whole, checkpoints / f"fit-{name}.pt", signals)
    weights = Weights(fitted.upper, fitted.head, wide if data.request.wide else None)
    sums = member_sums(material, weights, held_out)
    words = csr_matrix(material.words()[held_out])
    logits = {
        "model": member_logits(material, weights, held_out, sums, csr_matrix(material.counts[held_out])),
        "tfidf": wide_logits(tfidf, words),
        "probe": probe_logits(material.features, data.labels, data.groups, rows, held_out, seed),
    }
    if len(material.readings) > len(READINGS):
        logits[WITHOUT_CONTEXT] = member_logits(material, weights, held_out, sums, words)
        logits["wide"] = wide_logits(wide, csr_matrix(material.counts[held_out]))
    facts = {
        "embargo": split.to_document(), "rows": len(rows), "inner_rows": len(inner.check_rows), "penalty": task.penalty,
        "best_epoch": chosen.best_epoch, "inner_epochs": list(chosen.history), "epochs": list(fitted.history),
        "wide": choice.to_document(),
    } | sample.facts()  # fmt: skip
    return MemberResult(weights, logits, seen_by_fold(data, split), facts, fitted.watched)


def seen_by_fold(data: TrainingSet, split: Embargo) -> Seen:
    """What a fold's model and its thresholds may have seen.

    The thresholds come from the labels of all other folds: of rows that its sample left out, too, and of those that the embargo
    dropped. The latter count by their ids alone, because what they repeat is held out.
    """
    rows, others = labelled_rows(data, split.train), labelled_rows(data, ~split.held_out)
    return seen_of(
        [data.texts[row] for row in rows],
        [data.groups[row] for row in rows],
        [data.keys[row] for row in others],
    )


def run_final(material: Material, epochs: int, checkpoints: Path, signals: Signals) -> MemberResult:
    """Fit on every labelled row for a given number of epochs."""
    data = material.data
    sample = part_sample(material, np.ones(len(data.texts), dtype=np.bool_))
    rows = sample.rows
    choice = wide_choice(material, rows)
    _breathe(signals, "final")
    wide = _wide_branch(material, rows, choice) if data.request.wide else None
    _breathe(signals, "final")
    task = member_task(material, "final", rows, choice)
    fitted = _fit(material, replace(task, epochs=epochs), checkpoints / "fit-final.pt", signals)
    facts = {"rows": len(rows), "penalty": task.penalty, "best_epoch": epochs, "epochs": list(fitted.history)}
    facts |= {"wide": choice.to_document()} | sample.facts()
    # what tells whether the final fit has seen a text: embargoes of all folds together can leave a row out of every `seen`
    known = labelled_rows(
        data, np.ones(len(data.texts), dtype=np.bool_)
    )  # sampled or not: thresholds come from all
    seen = seen_of(*([column[row] for row in known] for column in (data.texts, data.groups, data.keys)))
    return MemberResult(Weights(fitted.upper, fitted.head, wide), {}, seen, facts)


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


def _wide_branch(material: Material, rows: Rows, choice: WideChoice) -> Wide:
    return fit_wide(material.counts, material.data.labels, rows, material.data.request.seed, choice.wide)


def crossed_wide(material: Material, rows: Rows, settings: WideSettings) -> NDArray[np.float32]:
    """Crossed logits of the wide branch at a training part's rows, zeros elsewhere: float32 (texts, options)."""
    data = material.data
    crossed = np.zeros(data.labels.shape, dtype=np.float32)
    groups = [data.groups[row] for row in rows]
    crossed[rows] = crossed_logits(material.counts, data.labels, rows, groups, data.request.seed, settings)
    return crossed


def member_sums(material: Material, weights: Weights, rows: Rows) -> NDArray[np.float32]:
    """Masked sums of the pooled layers under a finished member: float32 (windows of `rows`, pooled layers, hidden)."""
    encoder, trunk = material.encoder, material.trunk
    windows = np.flatnonzero(np.isin(trunk.windows.text_of, rows)).astype(np.int64)
    shape = (len(trunk.windows.lengths), encoder.hidden_size)
    if not len(rows):
        return np.zeros((0, len(trunk.pooled), encoder.hidden_size), dtype=np.float32)
    upper = ready_layers(encoder, trunk.depth, weights.upper, material.settings.tuning.scaling)
    batches = trunk.batches(windows, material.settings.batch_tokens)
    return window_sums(batches, [upper], trunk.depth, trunk.pooled, shape)[0][windows]


def member_logits(
    material: Material, weights: Weights, rows: Rows, sums: NDArray[np.float32], counts: csr_matrix
) -> NDArray[np.float32]:
    """Logits of some texts as the finished adapter gives them: float32 (rows, options).

    Args:
        material: of the job.
        weights: of the member.
        rows: the texts, in rising order.
        sums: from `member_sums`.
        counts: float32 sparse (rows, vocabulary): what the wide branch reads of them.
    """
    if not len(rows):
        return np.zeros((0, material.data.labels.shape[1]), dtype=np.float32)
    beside = None if weights.wide is None else wide_logits(weights.wide, counts)
    windows = material.trunk.windows
    head, first = head_from_state(weights.head).to(material.encoder.device), windows.first_window
    begins = np.concatenate([[0], np.cumsum(first[rows + 1] - first[rows])])
    lengths = windows.lengths[np.isin(windows.text_of, rows)]
    return window_logits(head, sums, lengths, begins, beside)


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


def _breathe(signals: Signals, name: str) -> None:
    """A sign of life between two convex fits, which give none; TrainingStoppedError when the job shall stop."""
    if signals.should_stop():
        raise TrainingStoppedError(f"stopped before the first epoch of {name}")


def _fit(material: Material, task: FitTask, checkpoint: Path, signals: Signals) -> Fitted:
    return fit_member(
        material.encoder, material.trunk, material.data.scheme, task, material.settings, checkpoint, signals
    )
