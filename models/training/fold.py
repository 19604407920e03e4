"""One fold: embargo, baselines, inner split, fit, held-out logits. And the final fit, which holds nothing out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from models.adapters.member import Weights
from models.adapters.seen import Seen, seen_of
from models.adapters.wide import wide_logits
from models.data.embargo import Embargo, embargo
from models.training.alone import lone_weights
from models.training.baselines import probe_logits
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.fit import Fitted, Signals, fit_member
from models.training.held_out import held_out_logits
from models.training.inputs import TrainingSet
from models.training.material import Material, labelled_rows, part_sample
from models.training.member_result import MemberResult
from models.training.member_task import inner_task, member_task, wide_branch, wide_choice
from models.training.task import FitTask
from models.training.wide import fit_wide


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
    wide = wide_branch(material, rows, choice) if choice.context else tfidf
    _breathe(signals, name)
    task = member_task(material, name, rows, choice)
    _breathe(signals, name)
    alone = None
    if choice.context and data.request.wide:
        alone = lone_weights(material, task, tfidf, choice.tfidf)
        _breathe(signals, name)
    if task.wide is not None:
        # Only the learning curve reads these rows; no fit does.
        task.wide[held_out] = wide_logits(wide, csr_matrix(material.counts[held_out]))
    inner = inner_task(data, task, fold)
    chosen = _fit(material, inner, checkpoints / f"fit-{name}-inner.pt", signals)
    whole = replace(task, epochs=chosen.best_epoch, watch_rows=held_out)
    fitted = _fit(material, whole, checkpoints / f"fit-{name}.pt", signals)
    weights = Weights(fitted.upper, fitted.head, wide if data.request.wide else None, alone)
    logits = held_out_logits(material, weights, held_out, tfidf, wide)
    logits["probe"] = probe_logits(material.features, data.labels, data.groups, rows, held_out, seed)
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
    wide = wide_branch(material, rows, choice) if data.request.wide else None
    _breathe(signals, "final")
    task = member_task(material, "final", rows, choice)
    alone = None
    if choice.context and data.request.wide:
        _breathe(signals, "final")
        tfidf = fit_wide(material.counts, data.labels, rows, data.request.seed, choice.tfidf)
        alone = lone_weights(material, task, tfidf, choice.tfidf)
        _breathe(signals, "final")
    fitted = _fit(material, replace(task, epochs=epochs), checkpoints / "fit-final.pt", signals)
    facts = {"rows": len(rows), "penalty": task.penalty, "best_epoch": epochs, "epochs": list(fitted.history)}
    facts |= {"wide": choice.to_document()} | sample.facts()
    # what tells whether the final fit has seen a text: embargoes of all folds together can leave a row out of every `seen`
    known = labelled_rows(
        data, np.ones(len(data.texts), dtype=np.bool_)
    )  # sampled or not: thresholds come from all
    seen = seen_of(*([column[row] for row in known] for column in (data.texts, data.groups, data.keys)))
    return MemberResult(Weights(fitted.upper, fitted.head, wide, alone), {}, seen, facts)


def _breathe(signals: Signals, name: str) -> None:
    """A sign of life between two convex fits, which give none; TrainingStoppedError when the job shall stop."""
    if signals.should_stop():
        raise TrainingStoppedError(f"stopped before the first epoch of {name}")


def _fit(material: Material, task: FitTask, checkpoint: Path, signals: Signals) -> Fitted:
    return fit_member(
        material.encoder, material.trunk, material.data.scheme, task, material.settings, checkpoint, signals
    )
