"""An analysis made ready: designs in words and numbers, who was read, or why it is refused; nothing is solved here, so that the api can say so beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.estimates.draws import Draw
from models.estimates.limits import (
    EVENTS_PER_COEFFICIENT,
    FEW_CLUSTERS,
    MOST_LEVELS,
    MOST_SKIPPED,
    READ_PER_LEVEL,
)
from models.estimates.panel import INTERCEPT, Analysis, Column, Panel, Prepared, Refused, Term, Vector


def prepare(panel: Panel, analysis: Analysis) -> Prepared:
    """Columns, counts, and the reason for a refusal where one can be seen before anything is solved."""
    inside, left_out = _inside(panel, analysis)
    settled = np.all([panel.labels[key].expert >= 0 for key in analysis.labels], axis=0)
    sampled = panel.drawn & settled
    skipped = int((panel.drawn & ~settled).sum())
    outcome, refusal = Column("outcome"), None
    design: tuple[Column, ...] = (Column(INTERCEPT, values=inside.astype(np.float64)),)
    references: dict[str, str] = {}
    try:
        _check_columns(analysis, left_out)
        outcome = _outcome(panel, analysis, inside)
        design = (*design, *_covariates(panel, analysis, inside, sampled, references))
    except Refused as reason:
        refusal = str(reason)
    events = _events(panel, analysis, outcome, sampled & inside)
    found = Prepared(
        analysis, design, outcome, inside, sampled, _draws(panel, sampled), skipped, left_out, events,
        _rarest(panel, analysis, design, events, sampled & inside),
        int(inside.sum()) if panel.clusters is None else len(np.unique(panel.clusters[inside])), references,
    )  # fmt: skip
    refusal = refusal or _too_little(panel, found)
    return found if refusal is None else replace(found, refusal=refusal)


def _inside(panel: Panel, analysis: Analysis) -> tuple[NDArray[np.bool_], int]:
    """Texts asked about that have a value of every column, and how many of those asked about have not."""
    there = np.ones(len(panel.where), dtype=np.bool_)
    for key in analysis.columns:
        there &= np.array([value is not None and value != "" for value in panel.columns[key]], dtype=np.bool_)
    return panel.where & there, int((panel.where & ~there).sum())


def _check_columns(analysis: Analysis, left_out: int) -> None:
    if left_out and not analysis.drop_missing:
        raise Refused(
            f"{left_out:,} texts have no value of {' or '.join(dict.fromkeys(analysis.columns))}: "
            'fill them in, or leave these texts out with "missing": "drop".'
        )


def _outcome(panel: Panel, analysis: Analysis, inside: NDArray[np.bool_]) -> Column:
    term = analysis.outcome
    if term.label is not None:
        return Column(term.label, label=term.label)
    assert term.column is not None
    values = _numbers(panel.columns[term.column], inside, term.column, "an outcome must be one")
    if analysis.kind == "logistic" and not np.isin(values[inside], (0.0, 1.0)).all():
        raise Refused(f"{term.column} is not 0 or 1 everywhere: a logistic regression needs yes or no.")
    return Column(term.column, column=term.column, values=values)


def _covariates(
    panel: Panel,
    analysis: Analysis,
    inside: NDArray[np.bool_],
    sampled: NDArray[np.bool_],
    references: dict[str, str],
) -> list[Column]:
    """Their columns; puts the level that each categorical one is compared with into `references`."""
    found: list[Column] = []
    for term in analysis.covariates:
        if term.label is not None:
            found.append(Column(term.label, label=term.label))
            continue
        assert term.column is not None
        values = panel.columns[term.column]
        if is_categorical(term, [value for value, there in zip(values, inside, strict=True) if there]):
            found += _levels(term, values, inside, sampled, references)
        else:
            found.append(
                Column(
                    term.column,
                    column=term.column,
                    values=_numbers(values, inside, term.column, 'make it "categorical"'),
                )
            )
    return found


def is_categorical(term: Term, values: Sequence[Any]) -> bool:
    """Whether a column counts as levels: as the term says, else unless all of its values are numbers."""
    if term.categorical is not None:
        return term.categorical
    return not all(isinstance(value, int | float) for value in values)


def level_of(value: Any) -> str:
    """A value as the name of a level."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _numbers(values: Sequence[Any], inside: NDArray[np.bool_], name: str, advice: str) -> Vector:
    found = np.zeros(len(inside))
    for row in np.flatnonzero(inside).tolist():
        try:
            found[row] = float(values[row])
        except (TypeError, ValueError):
            raise Refused(f"{name} is {values[row]!r} for a text and no number: {advice}.") from None
    if not np.isfinite(found).all():
        raise Refused(f"{name} is not finite for some texts.")
    return found


def _levels(
    term: Term,
    values: Sequence[Any],
    inside: NDArray[np.bool_],
    sampled: NDArray[np.bool_],
    references: dict[str, str],
) -> list[Column]:
    """A column of 0 and 1 for every level but the reference."""
    of = np.array([level_of(value) if there else "" for value, there in zip(values, inside, strict=True)])
    names, counts = np.unique(of[inside], return_counts=True)
    if len(names) > MOST_LEVELS:
        raise Refused(f"{term.column} has {len(names)} levels, {MOST_LEVELS} at most: group them first.")
    reference = (
        term.reference if term.reference is not None else str(names[counts.argmax()]) if len(names) else ""
    )
    if reference not in names:
        raise Refused(f"{term.column} is never {reference!r} among these texts: name another reference.")
    for name in names.tolist():
        read = int((sampled & inside & (of == name)).sum())
        if read < READ_PER_LEVEL:
            raise Refused(
                f"Experts have read {read} texts with {term.column} {name}: {READ_PER_LEVEL} are needed. Join levels."
            )
    references[str(term.column)] = reference
    return [
        Column(
            f"{term.column}: {name}", column=term.column, level=name,
            values=((of == name) & inside).astype(np.float64),
        )
        for name in names.tolist()
        if name != reference
    ]  # fmt: skip


def _events(
    panel: Panel, analysis: Analysis, outcome: Column, rows: NDArray[np.bool_]
) -> dict[str, tuple[int, int]]:
    found = {}
    for key in dict.fromkeys(analysis.labels):
        yes = int((panel.labels[key].expert[rows] == 1).sum())
        found[key] = (yes, int(rows.sum()) - yes)
    if analysis.kind == "logistic" and outcome.values is not None:
        yes = int(outcome.values[rows].sum())
        found[outcome.name] = (yes, int(rows.sum()) - yes)
    return found


def _rarest(
    panel: Panel,
    analysis: Analysis,
    design: Sequence[Column],
    events: Mapping[str, tuple[int, int]],
    rows: NDArray[np.bool_],
) -> int:
    """The fewest expert labels of a value; in the group that has the fewest, as many times as there are groups, where groups are compared."""
    if analysis.kind != "difference":
        return min((min(counts) for counts in events.values()), default=0)
    expert = panel.labels[analysis.labels[0]].expert
    levels = [column.values > 0 for column in design[1:] if column.values is not None]
    groups = [*levels, ~np.any(levels, axis=0)] if levels else []
    each = [min(int((expert[rows & of] == 1).sum()), int((expert[rows & of] == 0).sum())) for of in groups]
    return min(each, default=0) * len(design)


def _draws(panel: Panel, sampled: NDArray[np.bool_]) -> tuple[Draw, ...]:
    """Settled texts of each sample, π being those of the stratum over all of it. Those skipped are taken to be like the others of their stratum."""
    return tuple(
        Draw(one.drawn & sampled, one.settled(sampled), one.stratum, share)
        for one, share in zip(panel.samples, panel.shares, strict=True)
    )


def _standing_for_unsettled(panel: Panel, found: Prepared) -> float:
    """Share of the texts that drawn ones without a settled value stand for, each weighing 1 / π."""
    standing = np.sum(
        [
            np.where(one.drawn, share / np.where(one.drawn, one.inclusion, 1.0), 0.0)
            for one, share in zip(panel.samples, panel.shares, strict=True)
        ],
        axis=0,
    )
    return float(standing[panel.drawn & ~found.sampled].sum() / standing.sum())


def _too_little(panel: Panel, found: Prepared) -> str | None:
    """Why nothing can be said, or too little."""
    drawn, labels = int(panel.drawn.sum()), " or ".join(dict.fromkeys(found.analysis.labels))
    size = len(found.design)
    needed = EVENTS_PER_COEFFICIENT * size
    rare = found.analysis.kind == "prevalence"  # a rare one has an interval of its own
    unsettled = _standing_for_unsettled(panel, found)
    reasons = {
        f"{found.skipped} of {drawn} drawn texts have no settled value of {labels}: "
        "those that have one are no random sample any more.": found.skipped > MOST_SKIPPED * drawn,
        f"{found.skipped} of {drawn} drawn texts have no settled value of {labels}, and they stand for {100 * unsettled:.0f} % of all texts, in bands that "
        "were read thinly: those that have one are no random sample any more.": unsettled
        > MOST_SKIPPED + 1e-9,
        "No text is left to say anything about.": not found.inside.any(),
        "In a stratum of the sample no text has a settled value: nothing can be said about its texts.": any(
            (draw.inclusion[found.inside & (draw.stratum >= 0)] == 0).any() for draw in found.draws
        ),
        f"{found.rarest} expert labels of the rarer value for {size} coefficients; {needed} are needed.": not rare
        and found.rarest < needed,
        f"{found.clusters} clusters; standard errors by cluster need {FEW_CLUSTERS}.": not rare
        and found.clusters < FEW_CLUSTERS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
