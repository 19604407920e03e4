"""Suspicion against what closed audit samples found: error probabilities, and what reviewing the top K would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.audits.settled import Settled, closed_samples, settled
from app.blobs import BlobStore
from app.db.session import AnySession
from app.settings import get_settings
from models.audit.sample.calibration import Calibration, NotCalibrated, calibrate
from models.audit.sample.flags import budget_curve
from models.scheme import MISSING, NO, YES, Labels, Scheme
from workers.relabel.frozen import Run
from workers.relabel.reviewed import Reviewed

POINTS = 60
"""Of the budget curve."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What closed audit samples found, on the run's texts in the scheme's columns."""

    samples: tuple[str, ...]
    rows: NDArray[np.int64]
    """int64 (drawn): rows of the run's texts, each once."""
    given: Labels
    """int8 (drawn, options): the value that was audited, before any sample's outcome was released into it."""
    truth: Labels
    """int8 (drawn, options): the settled value, the newest where several samples read it; MISSING where skipped, not settled or not read."""
    inclusion: NDArray[np.float64]
    """float64 (drawn, options): 1 over the sum of 1 / π of the samples that settled it, each being a sample of everything; NaN where none did."""
    blind: NDArray[np.bool_]
    """bool (drawn): every reading of it was blind."""

    def as_given(self, labels: Labels) -> Labels:
        """Labels, int8 (texts, options), as they would be had no sample been read."""
        result = labels.copy()
        read = self.truth != MISSING
        result[self.rows] = np.where(read, self.given, result[self.rows])
        return result


def audited_cells(session: AnySession, run: Run, scheme: Scheme) -> Audited:
    """The closed samples of the run's corpus, so far as their texts still have the content that was read."""
    store = BlobStore(get_settings().blob_root)
    samples = [settled(session, name, store) for name in closed_samples(session, run.corpus_id)]
    row_of = {int(version): row for row, version in enumerate(run.texts.text_version_ids)}
    return joined(samples, row_of, scheme.option_keys)


def joined(samples: Sequence[Settled], row_of: dict[int, int], option_keys: Sequence[str]) -> Audited:
    """Several samples, the newest first, as one."""
    places = [
        np.array([row_of.get(number, -1) for number in one.text_version_ids.tolist()], dtype=np.int64)
        for one in samples
    ]
    rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *places]))
    rows = rows[rows >= 0]
    given, truth = (np.full((len(rows), len(option_keys)), MISSING, dtype=np.int8) for _ in range(2))
    weight, blind = np.zeros(truth.shape), np.ones(len(rows), dtype=np.bool_)
    for sample, place in zip(samples, places, strict=True):
        there = place >= 0
        at = np.searchsorted(rows, place[there])
        audited, settled_ = (
            _columns(values[there], sample.option_keys, option_keys)
            for values in (sample.given, sample.truth)
        )
        known = settled_ != MISSING
        # The oldest given value: a later sample may have been drawn from labels that an earlier one had corrected.
        given[at] = np.where(known, audited, given[at])
        truth[at] = np.where(truth[at] == MISSING, settled_, truth[at])
        weight[at] += known / sample.inclusion[there, None]
        blind[at] &= sample.blind[there]
    inclusion = np.divide(1.0, weight, out=np.full(weight.shape, np.nan), where=weight > 0)
    return Audited(tuple(sample.sample_id for sample in samples), rows, given, truth, inclusion, blind)


def _columns(values: Labels, theirs: Sequence[str], ours: Sequence[str]) -> Labels:
    """Columns of some options in the order of others; MISSING where they are not among them."""
    wanted = [theirs.index(key) if key in theirs else -1 for key in ours]
    return np.where(np.array(wanted) >= 0, values[:, wanted], MISSING).astype(np.int8)


def calibrated(
    scores: NDArray[np.float32],
    labels: Labels,
    audited: Audited,
    text_ids: NDArray[np.int64],
    reviewed: Reviewed,
    scheme: Scheme,
) -> Calibration | NotCalibrated:
    """The fit of error probabilities on the cells that were read blind and that nothing else has settled.

    Args:
        scores: float32 (texts, cells), by labels that know nothing of the samples.
        labels: int8 (texts, options), those labels.
        audited: what the samples found.
        text_ids: int64 (texts).
        reviewed: cells that the queue settled are no part of what is left to be judged.
        scheme: names the cells.
    """
    queue = {(text, question, option) for text, question, option in reviewed.settled} - reviewed.by_audit
    suspicion, wrong, inclusion, texts = [], [], [], []
    for place, cell in enumerate(scheme.cells):
        columns = list(cell.positions)
        truth, given = audited.truth[:, columns], labels[audited.rows][:, columns]
        known = np.isin(truth, (NO, YES)).all(axis=1) & np.isin(given, (NO, YES)).all(axis=1)
        known &= np.isfinite(scores[audited.rows, place]) & audited.blind
        known &= np.array(
            [(int(number), cell.question, cell.option) not in queue for number in text_ids[audited.rows]], dtype=np.bool_
        )  # fmt: skip
        suspicion.append(scores[audited.rows[known], place].astype(np.float64))
        wrong.append((truth[known] != given[known]).any(axis=1))
        inclusion.append(audited.inclusion[known, columns[0]])
        texts.append(audited.rows[known])
    return calibrate(*(np.concatenate(parts) for parts in (suspicion, wrong, inclusion, texts)))


def calibration_document(found: Calibration | NotCalibrated, samples: Sequence[str]) -> dict[str, Any]:
    """As stored with the ranking."""
    told = {"decisions": found.decisions, "errors": found.errors, "audit_samples": list(samples)}
    if isinstance(found, NotCalibrated):
        return {"calibrated": False, "reason": found.reason} | told
    return {
        "calibrated": True,
        "coefficients": found.coefficients.tolist(),
        "bend": found.bend,
        "steps": None if found.steps is None else [knots.tolist() for knots in found.steps],
    } | told


def budget_document(calibration: Calibration, scores: NDArray[np.float32]) -> dict[str, list[float]]:
    """The curve "review the top K, find about N" at points that lie closer where one begins."""
    audited = int(np.isfinite(scores).sum())
    points = np.unique(np.round(np.geomspace(1, max(audited, 1), POINTS)).astype(np.int64))
    curve = budget_curve(calibration, scores, points)
    return {
        "reviewed": curve.reviewed.tolist(),
        "found": np.round(curve.found, 2).tolist(),
        "low": curve.low.tolist(),
        "high": curve.high.tolist(),
    }
