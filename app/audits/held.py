"""Annotators and teams held against what an audit sample settled: how many of their labels differ, from the sample alone. Pure; scipy, no SQL.

Of somebody's labels on the texts that could be drawn, the share that differs from the settled blind reading is a ratio of two
totals, both estimated with weights 1/π, texts being the units: R = Σ w d / Σ w c, d the labels of a text that differ and c those
that were judged. Its variance is that of d − R c (Särndal, Swensson and Wretman 1992, section 5.6), its interval Fay and
Feuer's (1997), as of the totals: the lower and upper gamma quantiles, with room above for one text more like those found wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.audits.cells import ReadCell, decided, differs
from app.audits.result_schemas import AnnotatorHeld, AnnotatorsHeld
from models.audit.sample.design import AuditSample
from models.audit.sample.totals import difference_estimate, total_interval
from models.scheme import Labels

FEWEST_LABELS = 50
FEWEST_TEXTS = 20
"""Fewer labels, or labels of fewer texts, and there is no share: labels of one text are not independent."""
MOST_UNSETTLED = 0.1
"""Share of somebody's drawn labels without a settled blind value from which those that have one are no sample of them."""

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Given:
    """What annotators said of drawn texts: one row for each (text, annotator)."""

    rows: NDArray[np.int64]
    """int64 (votes,): place of the text among the drawn ones."""
    annotators: Sequence[str]
    teams: Sequence[str | None]
    values: Labels
    """int8 (votes, options read): YES, NO, or what is no vote."""
    versions: Sequence[str] = ("",)
    """Names of the codebook versions that these values were given under, the oldest first."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Votes beside the settled values; bool (votes, cells)."""

    rows: NDArray[np.int64]
    said: Mask
    """The annotator gave a value that can be compared."""
    settled: Mask
    """Of these, the cells with a settled blind value."""
    wrong: Mask
    """Of these, those that differ from it."""


def held(
    given: Given, truth: Labels, blind: Mask, sample: AuditSample, cells: Sequence[ReadCell], readers: Sequence[str], purpose: str
) -> AnnotatorsHeld | None:  # fmt: skip
    """Everybody's labels against the settled values; None where nobody has annotated the drawn texts.

    Args:
        given: what annotators had said when the sample was sealed.
        truth: int8 (drawn, options read), MISSING where nothing is settled.
        blind: bool (drawn,): nobody who read the text had been shown its labels or probabilities.
        sample: the design.
        cells: what was read.
        readers: who read the sample.
        purpose: `totals` or `stopping`.
    """
    judged = _judged(given, truth, blind, cells)
    if not judged.said.any():
        return None
    who, teams = np.array(given.annotators, dtype=object), np.array(given.teams, dtype=object)
    people = [_one(name, judged, who == name, sample, _team(teams[who == name])) for name in sorted(set(who))]
    groups = [_one(name, judged, teams == name, sample) for name in sorted({team for team in teams if team})]
    judges = [one.name for one in people if one.name in set(readers)]
    return AnnotatorsHeld(annotators=people, teams=groups, notes=_notes(purpose, judges, given.versions))


def _judged(given: Given, truth: Labels, blind: Mask, cells: Sequence[ReadCell]) -> Judged:
    said = decided(given.values, cells)
    settled = said & (decided(truth, cells) & blind[:, None])[given.rows]
    return Judged(given.rows, said, settled, settled & differs(given.values, truth[given.rows], cells))


def _team(teams: NDArray[np.object_]) -> str | None:
    """The team of somebody's votes where it is always the same."""
    named = set(teams.tolist())
    return named.pop() if len(named) == 1 else None


def _one(
    name: str, judged: Judged, mine: Mask, sample: AuditSample, team: str | None = None
) -> AnnotatorHeld:
    said, settled, wrong = (int(mask[mine].sum()) for mask in (judged.said, judged.settled, judged.wrong))
    read, differ = (_by_text(judged, mask, mine, sample) for mask in (judged.settled, judged.wrong))
    texts = int((read > 0).sum())
    reason = _reason(said, settled, texts)
    share, low, high = (None, None, None) if reason else share_of(sample, differ, read)
    return AnnotatorHeld(
        name=name, team=team, texts=texts, labels=said, read=settled, differ=wrong, share=share, low=low, high=high, reason=reason
    )  # fmt: skip


def _by_text(judged: Judged, mask: Mask, mine: Mask, sample: AuditSample) -> Counts:
    """Cells of every drawn text: int64 (drawn,)."""
    found = np.bincount(judged.rows[mine], mask[mine].sum(axis=1), minlength=len(sample.rows))
    return found.astype(np.int64)


def _reason(said: int, settled: int, texts: int) -> str | None:
    """Why there is no share; None where there is."""
    if settled < FEWEST_LABELS or texts < FEWEST_TEXTS:
        return f"too few: {settled:,} labels of {texts:,} texts were settled blind, a share needs {FEWEST_LABELS} labels of {FEWEST_TEXTS} texts"
    if said - settled > MOST_UNSETTLED * said:
        return f"{said - settled:,} of {said:,} labels have no settled blind value, more than a tenth: the others are no sample of them"
    return None


def share_of(sample: AuditSample, differ: Counts, read: Counts) -> tuple[float, float, float]:
    """The share Σ w d / Σ w c with its 95 % interval.

    Args:
        sample: the design.
        differ: int64 (drawn,), labels that differ of each drawn text.
        read: int64 (drawn,), labels that were judged; not all 0.
    """
    weights = 1 / sample.inclusion
    if 2 * float(weights @ differ) > float(weights @ read):
        alike, least, most = _of_the_rarer(sample, read - differ, read, weights)
        return 1 - alike, 1 - most, 1 - least
    return _of_the_rarer(sample, differ, read, weights)


def _of_the_rarer(
    sample: AuditSample, differ: Counts, read: Counts, weights: NDArray[np.float64]
) -> tuple[float, float, float]:
    """The same of what is at most every second label: where all differ, the interval is to leave room for some that do not."""
    of = float(weights @ read)
    share = float(weights @ differ) / of
    values = np.stack([differ, differ - share * read]).astype(np.float64)
    found = difference_estimate(
        values, np.zeros_like(values), sample.strata, sample.sizes, cells_a_text=float(read.max())
    )
    left = weights[sample.inclusion < 1]
    largest = float(left.max(initial=0.0)) * float(found.clump[0])
    low, high = total_interval(found.total[:1], found.plain_variance[1:], largest, of)
    return share, float(low[0]) / of, float(high[0]) / of


def _notes(purpose: str, judges: Sequence[str], versions: Sequence[str]) -> list[str]:
    """What the numbers are and are not."""
    frame = "those with a label in force" + (
        " that reviews had not decided, which is not all that anybody has labelled"
        if purpose == "stopping"
        else ""
    )
    notes = [
        (
            "From this sample alone: what each had said of the drawn texts when it was sealed, against the settled blind readings, every text "
            "weighted by 1/π. Labels without a settled value, or whose reader was not blind, count for nobody."
        ),
        (
            f"The share is of one's labels on the texts that could be drawn: {frame}. Where annotators tie on every label that is read, none is in "
            "force. Texts are not dealt out at random: whoever had harder ones differs more often. Intervals are each for itself, not for the worst "
            "of many."
        ),
    ]
    if len(versions) > 1:
        named = ", ".join(version or "(unnamed)" for version in versions)
        notes.append(
            f"The labels were given under several codebook versions ({named}) and are held against readings by the codebook of the draw: "
            "what an earlier one meant otherwise differs, too."
        )
    if judges:
        notes.append(
            f"{', '.join(judges)} read this sample, too: where they did, their labels are held against their own reading."
        )
    return notes
