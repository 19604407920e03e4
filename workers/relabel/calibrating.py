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
    """int64 (drawn): rows of the run's texts; a text that several samples drew counts as the newest found it."""
    given: Labels
    """int8 (drawn, options): the value that was audited."""
    truth: Labels
    """int8 (drawn, options): the settled blind value; MISSING where skipped, not settled or not read."""
    inclusion: NDArray[np.float64]
    """float64 (drawn)."""

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
    taken: dict[int, tuple[NDArray[np.int8], NDArray[np.int8], float]] = {}
    for sample in samples:
        wanted = [sample.option_keys.index(key) if key in sample.option_keys else -1 for key in option_keys]
        read = np.array(wanted) >= 0
        given = np.where(read, sample.given[:, wanted], MISSING).astype(np.int8)
        truth = np.where(read, sample.truth[:, wanted], MISSING).astype(np.int8)
        for place, version in enumerate(sample.text_version_ids.tolist()):
            row = row_of.get(version)
            if row is not None and row not in taken:
                taken[row] = given[place], truth[place], float(sample.inclusion[place])
    shape = (len(taken), len(option_keys))
    return Audited(
        samples=tuple(sample.sample_id for sample in samples),
        rows=np.array(list(taken), dtype=np.int64),
        given=np.array([given for given, _, _ in taken.values()], dtype=np.int8).reshape(shape),
        truth=np.array([truth for _, truth, _ in taken.values()], dtype=np.int8).reshape(shape),
        inclusion=np.array([pi for _, _, pi in taken.values()], dtype=np.float64),
    )


def calibrated(
    scores: NDArray[np.float32],
    labels: Labels,
    audited: Audited,
    text_ids: NDArray[np.int64],
    reviewed: Reviewed,
    scheme: Scheme,
) -> Calibration | NotCalibrated:
    """The fit of error probabilities on the audited cells that nothing else has settled.

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
        known &= np.isfinite(scores[audited.rows, place])
        known &= np.array(
            [(int(number), cell.question, cell.option) not in queue for number in text_ids[audited.rows]], dtype=np.bool_
        )  # fmt: skip
        suspicion.append(scores[audited.rows[known], place].astype(np.float64))
        wrong.append((truth[known] != given[known]).any(axis=1))
        inclusion.append(audited.inclusion[known])
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
