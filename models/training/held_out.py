"""What finished members say about rows that they were not fitted on, gathered and calibrated between folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.head import head_from_state, window_logits
from models.adapters.member import Weights, given_contexts
from models.adapters.wide import Wide, wide_logits
from models.encoder.batches import Rows
from models.encoder.trunk import text_means, window_sums
from models.encoder.tuning import ready_layers
from models.training.baselines import untrained_logits
from models.training.calibration import (
    Calibration,
    CrossFitted,
    calibrated_by,
    cross_fit,
    fit_calibration,
)
from models.training.inputs import TrainingSet
from models.training.material import CONTEXT_READINGS, READINGS, WITHOUT_CONTEXT, Material
from models.training.member_result import MemberResult
from models.training.report import MODEL


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out readings of all rows, calibrated by the other folds."""

    crossed: dict[str, CrossFitted]
    """By reading. That of the model is what the adapter says of a row with the context that it has, if any."""
    alone: NDArray[np.bool_]
    """bool (rows): nothing is known to stand around the row, so `crossed[MODEL]` has its fold model's reading of texts alone."""
    shipped: Calibration
    """From all folds: the final fit's."""
    shipped_alone: Calibration
    """The same for texts that are read alone."""


def held_out_logits(
    material: Material, weights: Weights, rows: Rows, tfidf: Wide, wide: Wide
) -> dict[str, NDArray[np.float32]]:
    """A fold's readings of its held-out rows but the probe's, each float32 (rows, options).

    Args:
        material: of the job.
        weights: of the fold's model.
        rows: held out, in rising order.
        tfidf: the baseline.
        wide: the wide branch, whether or not the model has it.
    """
    sums = member_sums(material, weights, rows)
    counts, words = csr_matrix(material.counts[rows]), csr_matrix(material.words()[rows])
    logits = {
        MODEL: member_logits(material, weights, rows, sums, counts),
        "tfidf": wide_logits(tfidf, words),
    }
    if WITHOUT_CONTEXT in material.readings:
        logits[WITHOUT_CONTEXT] = member_logits(material, weights.read_alone(), rows, sums, words)
        logits["wide"] = wide_logits(wide, counts)
    return logits


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


def held_out(material: Material, results: Sequence[MemberResult]) -> HeldOut:
    """Gather the folds' held-out logits and calibrate each fold on the others."""
    data = material.data
    logits = gathered(results, material.folds)
    last = text_means(material.trunk.frozen[:, -1:, :], material.trunk.windows)
    logits["untrained"] = untrained_logits(material.encoder, last, data.scheme)
    alone = read_alone(data, material.folds, results)
    crossed = crossed_readings(data, material.folds, results, logits)
    shipped, shipped_alone = (
        fit_calibration(logits.get(name, logits[MODEL]), data.labels, data.scheme)
        for name in (MODEL, WITHOUT_CONTEXT)
    )
    return HeldOut(crossed, alone, shipped, shipped_alone)


def crossed_readings(
    data: TrainingSet,
    folds: NDArray[np.int32],
    results: Sequence[MemberResult],
    logits: dict[str, NDArray[np.float32]],
) -> dict[str, CrossFitted]:
    """Held-out readings calibrated by the other folds; rows that nothing stands around are read alone.

    Args:
        data: what was trained on.
        folds: int32 (rows).
        results: the folds' members.
        logits: float32 (rows, options) by reading, from `gathered`; of `model`, rows that are read alone become NaN.
    """
    two = np.array([result.weights.alone is not None for result in results])
    alone = read_alone(data, folds, results)
    # What the reading with contexts would say of rows without any is never heard, so it does not calibrate either.
    logits[MODEL] = np.where(alone[:, None], np.float32(np.nan), logits[MODEL])
    crossed = {name: cross_fit(part, data.labels, folds, data.scheme) for name, part in logits.items()}
    if WITHOUT_CONTEXT in logits:
        pairs = zip(two, *(crossed[name].calibrations for name in (WITHOUT_CONTEXT, MODEL)), strict=True)
        # A fold model that reads no context has one reading, and one calibration for it.
        own = [lone if both else only for both, lone, only in pairs]
        crossed[WITHOUT_CONTEXT] = calibrated_by(own, logits[WITHOUT_CONTEXT], folds)
        crossed[MODEL] = _each_by_its_own(alone, crossed[WITHOUT_CONTEXT], crossed[MODEL])
    return crossed


def read_alone(
    data: TrainingSet, folds: NDArray[np.int32], results: Sequence[MemberResult]
) -> NDArray[np.bool_]:
    """Rows that nothing stands around, held out by a member with a reading for such: bool (rows)."""
    two = np.array([result.weights.alone is not None for result in results])
    around = given_contexts(data.contexts, len(data.texts))
    found: NDArray[np.bool_] = ~around & (folds >= 0) & two[folds]
    return found


def gathered(results: Sequence[MemberResult], folds: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
    """Held-out logits of all rows by reading, float32 (rows, options); NaN where no fold held the row out."""
    read = [result.logits for result in results]
    if any(WITHOUT_CONTEXT in logits for logits in read):
        # A fold whose search chose to do without the wide branch reads every text alone.
        read = [{WITHOUT_CONTEXT: logits[MODEL]} | logits for logits in read]
    found: dict[str, NDArray[np.float32]] = {}
    for name in (*READINGS, *CONTEXT_READINGS):
        if not all(name in logits for logits in read):
            continue
        found[name] = np.full((len(folds), read[0][name].shape[1]), np.nan, dtype=np.float32)
        for fold, logits in enumerate(read):
            found[name][folds == fold] = logits[name]
    return found


def _each_by_its_own(alone: NDArray[np.bool_], lone: CrossFitted, beside: CrossFitted) -> CrossFitted:
    """Rows of `alone` as the one reading has them, the others as the other; with the other's calibrations."""
    return replace(
        beside,
        probabilities=np.where(alone[:, None], lone.probabilities, beside.probabilities),
        decisions=np.where(alone[:, None], lone.decisions, beside.decisions),
    )


def write_held_out(path: Path, material: Material, read: HeldOut) -> None:
    """Write held-out probabilities: key str, fold int32, alone bool, probabilities list[float32] in option order (NaN: none)."""
    polars.DataFrame({
        "key": list(material.data.keys),
        "fold": material.folds,
        "alone": read.alone,
        "probabilities": read.crossed[MODEL].probabilities.tolist(),
    }, schema={"key": polars.String, "fold": polars.Int32, "alone": polars.Boolean, "probabilities": polars.List(polars.Float32)}).write_ipc(path)  # fmt: skip
