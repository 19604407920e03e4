"""From a run's predictions and the labels in force to scores, flags, error probabilities and findings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from threadpoolctl import threadpool_limits

from app.corpora.codebook import Codebook, load_codebook
from app.db.session import AnySession, reading
from app.db.tables import Prediction
from app.relabelling.rules import common_scheme
from models.audit.evidence import Annotations
from models.audit.findings import Conflict, Violation, conflicts, content_codes, violations
from models.audit.learned import learned_shifts, reordered
from models.audit.ranking import FLAG_SHARE, flagged
from models.audit.sample.calibration import Calibration, NotCalibrated
from models.audit.sample.flags import DISCOVERY_RATE, flags_by_rate
from models.audit.suspicion import Evidence, score
from models.scheme import Labels, Scheme
from workers.job_context import JobFailed
from workers.neighbours import Surroundings
from workers.relabel.calibrating import Audited, audited_cells, calibrated
from workers.relabel.evidence import Kept
from workers.relabel.frozen import Run
from workers.relabel.listing import Reading, settled_mask
from workers.relabel.reviewed import Reviewed, decided_blind, reviewed_cells
from workers.relabel.voices import voices

LEARNED = "reviewed"
"""The stacked score, reordered by what decisions of the queue taught."""
THREADS = 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a ranking is asked for."""

    score: str | None = None
    """The score that orders it; None: the best there is."""
    decoys: float = 0.0
    """Share of the queue."""
    rate: float | None = None
    """Largest expected share of right labels among the flagged; None: the usual rule."""

    @staticmethod
    def of(params: Mapping[str, Any]) -> Wishes:
        """From a job's parameters."""
        return Wishes(
            params.get("score"), params.get("decoys") or 0.0, params.get("max_false_discovery_rate")
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """A run's scores, ready to be written."""

    codebook: Codebook
    scheme: Scheme
    """What the adapter can speak of."""
    reading: Reading
    names: tuple[str, ...]
    """Of every score, the one that orders first."""
    every: NDArray[np.float32]
    """float32 (scores, texts, cells), by `names`; NaN where not audited or settled."""
    parameters: dict[str, Any]
    flags: NDArray[np.bool_]
    """bool (texts, cells)."""
    settled: NDArray[np.bool_]
    """bool (texts, cells): left out because a review has settled them."""
    calibration: Calibration | NotCalibrated
    samples: tuple[str, ...]
    """The closed audit samples that it rests on."""
    found: tuple[tuple[Violation, ...], tuple[Conflict, ...]] = field(default=((), ()))
    """Broken dependencies and conflicting duplicates, over the labels of `scheme`."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 (texts, cells): suspicion."""
        scores: NDArray[np.float32] = self.every[0]
        return scores

    @property
    def audited_cells(self) -> int:
        """Cells with a score."""
        return int(np.isfinite(self.scores).sum())

    @property
    def flagged_cells(self) -> int:
        """Cells to look at."""
        return int(self.flags.sum())


@dataclass(frozen=True, slots=True)
class _Basis:
    """What is read from the database before anything is computed."""

    codebook: Codebook
    scheme: Scheme
    columns: list[int]
    """Of `scheme`'s options in the codebook's."""
    probabilities: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    annotations: Annotations | None
    reviewed: Reviewed
    audited: Audited


def score_run(
    run: Run, kept: Kept, labels: Labels, wishes: Wishes = Wishes(), around: Surroundings | None = None
) -> Scored:
    """Suspicion of every cell that a held-out model has read and no review has settled.

    Args:
        run: whose predictions are used.
        kept: what the run keeps of its texts.
        labels: int8 (texts, options of the codebook), values in force.
        wishes: what is asked of the ranking.
        around: what stands around the texts, where the adapter reads it.

    Raises:
        JobFailed: a score or a rate was asked for that cannot be had.
    """
    basis = _read(run)
    given = labels[:, basis.columns]
    # What an audit sample settled must not reach the scores that it calibrates: they are computed as if it had not been read.
    judged = basis.audited.as_given(given)
    found = _scores(run, kept, basis, judged)
    settled = settled_mask(
        basis.scheme.cells,
        {int(number): row for row, number in enumerate(run.texts.text_ids)},
        basis.reviewed.settled,
        len(given),
    )
    every, shifts = _learned(basis, found.every, found.method)
    names = _ordered(every, wishes.score, found.method)
    calibration = calibrated(
        every[names[0]], judged, basis.audited, run.texts.text_ids, basis.reviewed, basis.scheme
    )
    stacked = np.stack([np.where(settled, np.float32(np.nan), every[name]) for name in names])
    flags, rule = _flags(stacked[0], calibration, wishes.rate)
    codes = content_codes(run.texts.sha256)
    return Scored(
        codebook=basis.codebook,
        scheme=basis.scheme,
        reading=Reading(
            basis.scheme.cells, basis.scheme.option_keys, basis.probabilities, given, _thresholds(run, basis.scheme, around),
        ),
        names=names,
        every=stacked,
        parameters=found.parameters | {"flags": rule, "learned": shifts},
        flags=flags,
        settled=settled,
        calibration=calibration,
        samples=basis.audited.samples,
        found=(
            tuple(violations(given, basis.scheme)),
            tuple(conflicts(codes, kept.near, given, basis.scheme)),
        ),
    )  # fmt: skip


def _read(run: Run) -> _Basis:
    with reading() as session:
        codebook = load_codebook(session, run.corpus_id)
        scheme = common_scheme(codebook.scheme, run.option_keys)
        columns = [codebook.scheme.option_keys.index(key) for key in scheme.option_keys]
        probabilities, held_out = _predictions(session, run)
        return _Basis(
            codebook,
            scheme,
            columns,
            probabilities[:, [run.option_keys.index(key) for key in scheme.option_keys]],
            held_out,
            voices(session, run.corpus_id, codebook, run.texts.text_ids, columns),
            reviewed_cells(session, run.corpus_id, codebook),
            audited_cells(session, run, scheme),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    every: Mapping[str, NDArray[np.float32]]
    method: str
    parameters: dict[str, Any]


def _scores(run: Run, kept: Kept, basis: _Basis, labels: Labels) -> _Found:
    """Every score on labels that know nothing of closed audit samples."""
    probabilities = np.where(basis.held_out[:, None], basis.probabilities, np.nan).astype(np.float32)
    evidence = Evidence(
        probabilities=probabilities,
        labels=labels,
        scheme=basis.scheme,
        groups=run.texts.groups,
        order=run.texts.ordinals.tolist(),
        similar=kept.similar,
        annotations=basis.annotations,
    )
    # Many small fits: threads of BLAS wait for each other longer than they compute (206 s against 12 s on a busy machine).
    with threadpool_limits(1):
        found = score(evidence, threads=min(THREADS, len(os.sched_getaffinity(0))))
    return _Found(found.every or {found.method: found.scores}, found.method, found.parameters)


def _learned(
    basis: _Basis, every: Mapping[str, NDArray[np.float32]], method: str
) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """All scores, with the reordered one where decisions taught anything; and what they taught, by cell."""
    decided = decided_blind(basis.reviewed, basis.scheme)
    shifts = learned_shifts(decided, len(basis.scheme.cells))
    if not shifts.any():
        return dict(every), {}
    names = [cell.option or cell.question for cell in basis.scheme.cells]
    told = {name: round(float(shift), 3) for name, shift in zip(names, shifts, strict=True) if shift}
    return {**every, LEARNED: reordered(every[method], shifts)}, told


def _ordered(every: Mapping[str, NDArray[np.float32]], wanted: str | None, method: str) -> tuple[str, ...]:
    """Names of the scores, the one that orders first."""
    first = wanted or (LEARNED if LEARNED in every else method)
    if first not in every:
        raise JobFailed(
            "no-such-score",
            f"This run has no score “{first}”: it has {', '.join(every)}.",
            field="/score",
        )
    return (first, *(name for name in every if name != first))


def _flags(
    scores: NDArray[np.float32], calibration: Calibration | NotCalibrated, rate: float | None
) -> tuple[NDArray[np.bool_], str]:
    """Cells to look at, and the rule in words."""
    if isinstance(calibration, NotCalibrated):
        if rate is not None:
            raise JobFailed(
                "not-calibrated",
                f"A false-discovery rate needs error probabilities, and there are none yet: {calibration.reason}.",
                field="/max_false_discovery_rate",
            )
        return flagged(scores), "suspicion of at least one half, and the top 2 % in any case"
    chosen = flags_by_rate(calibration, scores, DISCOVERY_RATE if rate is None else rate)
    if rate is None and not chosen.any():
        return flagged(scores, at=np.inf, share=FLAG_SHARE), "the top 2 %, because no set keeps to the rate"
    share = DISCOVERY_RATE if rate is None else rate
    return chosen, f"expected share of right labels at most {share:g}"


def _predictions(session: AnySession, run: Run) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities, float32 (texts, options of the run), and held out, bool (texts), in the run's order."""
    query = select(Prediction.text_version_id, Prediction.probabilities, Prediction.held_out)
    rows = session.execute(query.where(Prediction.run_id == run.id)).all()
    place = {int(version): row for row, version in enumerate(run.texts.text_version_ids)}
    probabilities = np.full((len(place), len(run.option_keys)), np.nan, dtype=np.float32)
    held_out = np.zeros(len(place), dtype=np.bool_)
    order = [place[version] for version, _, _ in rows]
    probabilities[order] = [values for _, values, _ in rows]
    held_out[order] = [held for _, _, held in rows]
    return probabilities, held_out


def _thresholds(run: Run, scheme: Scheme, around: Surroundings | None) -> NDArray[np.float32]:
    """float32 (texts, options): the shipped ones of the reading that answered for each text."""
    known = {alone: run.adapter.thresholds(alone=alone) for alone in (True, False)}
    alone, beside = (
        np.array([known[which].get(key, 0.5) for key in scheme.option_keys], dtype=np.float32)
        for which in (True, False)
    )
    versions = run.texts.text_version_ids
    given = np.zeros(len(versions), dtype=np.bool_) if around is None else around.given(versions)
    return np.where(given[:, None], beside, alone)
