"""How often each annotator, team, option and period says what the consensus says. Pure, no SQL.

Every group of annotators that shared texts connect is judged by itself, by what Dawid and Skene's model makes of its own votes: a
majority of two is a tie, and tells nothing of either. What is true is only probable: votes are counted by several draws of it,
and intervals hold how much those differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import betaincinv

from app.annotators.rules import answers_on, connected, not_comparable, votes_of
from app.corpora.rules import Counting
from models.audit.annotators.overlap import FEWEST, overlap
from models.audit.annotators.posterior import DRAWS, possible_truths
from models.audit.annotators.posterior_answers import possible_answers
from models.audit.annotators.quality import LEVEL, Quality, Right, Tally, hierarchy, imputed
from models.audit.annotators.votes import Answers, Votes
from models.scheme import NO, YES, Scheme

METHOD = "Dawid–Skene: what is probably true by how people err, each group of annotators by itself, without a model"
ALONE = f"not comparable: shares fewer than {FEWEST} texts with anybody"
FEWEST_PEOPLE = 3
PAIR = "two people alone: where they differ nobody else says who is right"
"""Intervals of two hold the truth .57 to .72 of the time (`remand bench claims --parts third_vote`): votes alone do not tell whose an error is."""
FEW = f"fewer than {FEWEST} votes on cells that somebody else answered, too"


@dataclass(frozen=True, slots=True)
class Places:
    """Team and period of every row of `Counting`."""

    teams: list[str]
    """Names of teams, in order; empty where annotations name none."""
    team: NDArray[np.int64]
    """int64 (rows,): place in `teams`, len(teams) where none is named."""
    periods: list[str]
    period: NDArray[np.int64]
    """int64 (rows,): place in `periods`."""
    by: str
    """What periods are: quarter or import."""


def places_of(frame: pl.DataFrame, text_ids: NDArray[np.int64], given: Counting) -> Places:
    """Where the values that count come from: an annotator's newest annotation of a text says it.

    Args:
        frame: annotations, oldest first: text_id, annotator_id, team, source, quarter.
        text_ids: int64 (texts,): ids of the rows that `given.texts` names.
        given: the values of one codebook version.
    """
    wanted = pl.DataFrame({"text_id": text_ids[given.texts], "annotator_id": given.annotators})
    newest = frame.unique(("text_id", "annotator_id"), keep="last")
    found = wanted.join(newest, on=("text_id", "annotator_id"), how="left", maintain_order="left")
    teams = sorted(frame["team"].drop_nulls().unique().to_list())
    dated = frame["quarter"].is_not_null().any()
    if dated:
        periods = sorted(frame["quarter"].fill_null("undated").unique().to_list())
        period = found["quarter"].fill_null("undated")
    else:
        sources = frame["source"].unique(maintain_order=True).to_list()
        periods = [f"import {number}" for number in range(1, len(sources) + 1)]
        period = found["source"].replace_strict(sources, periods, return_dtype=pl.String)
    return Places(
        teams=teams,
        team=_codes(found["team"].to_list(), teams),
        periods=periods,
        period=_codes(period.to_list(), periods),
        by="quarter" if dated else "import",
    )


def _codes(values: Sequence[str | None], names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(names)}
    return np.fromiter((len(names) if value is None else place[value] for value in values), np.int64, len(values))  # fmt: skip


def quality_document(
    scheme: Scheme, given: Counting, names: Mapping[int, str], places: Places
) -> dict[str, Any]:
    """Per annotator and team the share of right votes by the consensus with intervals, by option and period too.

    Args:
        scheme: the corpus's newest scheme.
        given: the values of one codebook version.
        names: of annotators by id.
        places: team and period of every row of `given`.
    """
    people, votes = votes_of(given, names)
    document: dict[str, Any] = {"method": METHOD, "level": LEVEL, "periods_by": places.by, "groups": [], "not_comparable": []}  # fmt: skip
    if not people:
        return document | {"annotators": [], "teams": []}
    found = overlap(votes)
    groups = connected(found)
    teams = _team_of(votes, places)
    said = [_counted(votes, person, people[person], places, int(teams[person])) for person in range(len(people))]  # fmt: skip
    team_rows: list[dict[str, Any]] = []
    for number, group in enumerate(groups):
        team_rows += _judge(scheme, votes, places, number, group, said, teams)
    alone = sorted({int(teams[person]) for person in range(len(people)) if said[person]["group"] is None})
    together = {row["name"] for row in team_rows}
    for team in alone:
        if team < len(places.teams) and places.teams[team] not in together:
            members = [one for one in said if one["team"] == places.teams[team]]
            team_rows.append(_team(places.teams[team], None, members, None))
    return document | {
        "groups": [[people[member] for member in group] for group in groups],
        "not_comparable": not_comparable(found, groups, people),
        "annotators": said,
        "teams": sorted(team_rows, key=lambda row: (row["name"], row["group"] or 0)),
    }


def _team_of(votes: Votes, places: Places) -> NDArray[np.int64]:
    """The team that most of an annotator's rows name: int64 (annotators,)."""
    table = np.zeros((votes.annotator_count, len(places.teams) + 1), dtype=np.int64)
    np.add.at(table, (votes.annotators, places.team), 1)
    named = table[:, :-1]
    return np.where(named.any(axis=1), named.argmax(axis=1), len(places.teams)) if len(places.teams) else np.zeros(len(table), np.int64)  # fmt: skip


def _counted(votes: Votes, person: int, name: str, places: Places, team: int) -> dict[str, Any]:
    rows = votes.annotators == person
    return {
        "name": name,
        "team": places.teams[team] if team < len(places.teams) else None,
        "group": None,
        "texts": int(rows.sum()),
        "votes": int(np.isin(votes.values[rows], (YES, NO)).sum()),
        "quality": None,
        "reason": ALONE,
        "options": [],
        "periods": [],
    }


def _judge(
    scheme: Scheme, votes: Votes, places: Places, number: int, group: Sequence[int], said: list[dict[str, Any]],
    teams: NDArray[np.int64],
) -> list[dict[str, Any]]:  # fmt: skip
    """Put one group's quality into `said`, or why there is none; gives its teams."""
    if len(group) < FEWEST_PEOPLE:
        for person in group:
            said[person] |= {"group": number, "reason": PAIR}
        return [
            _team(places.teams[team], number, [said[person] for person in group if teams[person] == team], None, PAIR)
            for team in np.unique(teams[np.asarray(group)]).tolist() if team < len(places.teams)
        ]  # fmt: skip
    rows = np.isin(votes.annotators, group)
    place = np.searchsorted(group, votes.annotators[rows])
    texts, numbers = np.unique(votes.texts[rows], return_inverse=True)
    part = Votes(numbers, place.astype(np.int64), votes.values[rows], len(texts), len(group))
    known, within = np.unique(teams[np.asarray(group)], return_inverse=True)
    spans = len(places.periods)
    whose = part.annotators * spans + places.period[rows]
    right, by_cell, by_period = _counts(scheme, part, whose, len(group) * spans)  # fmt: skip
    people, together = hierarchy(right, within.astype(np.int64))
    options, periods = [_plain(each) for each in by_cell], _plain(by_period)
    sizes = np.bincount(whose, minlength=len(group) * spans)
    for at, person in enumerate(group):
        enough = people[at].overlaps >= FEWEST
        said[person] |= {
            "group": number,
            "quality": _told(people[at]) if enough else None,
            "reason": None if enough else FEW,
            "options": [
                {"question": cell.question, "option": cell.option, "quality": options[column][at]}
                for column, cell in enumerate(scheme.cells)
            ],
            "periods": [
                {"period": places.periods[span], "texts": int(sizes[at * spans + span]), "quality": periods[at * spans + span]}
                for span in range(spans) if sizes[at * spans + span]
            ],
        }  # fmt: skip
    return [
        _team(places.teams[team], number, [said[person] for person in group if teams[person] == team], together[at])
        for at, team in enumerate(known.tolist()) if team < len(places.teams)
    ]  # fmt: skip


def _team(
    name: str,
    group: int | None,
    members: Sequence[Mapping[str, Any]],
    found: Quality | None,
    reason: str = ALONE,
) -> dict[str, Any]:
    """reason: why there is no quality, where there is none."""
    enough = found is not None and found.overlaps >= FEWEST
    return {
        "name": name,
        "group": group,
        "annotators": [member["name"] for member in members],
        "texts_read": sum(member["texts"] for member in members),
        "votes": sum(member["votes"] for member in members),
        "quality": _told(found) if found is not None and enough else None,
        "reason": None if enough else reason if found is None else FEW,
    }


def _counts(
    scheme: Scheme, votes: Votes, whose: NDArray[np.int64], whose_count: int
) -> tuple[Right, list[Right], Right]:
    """Right votes over all draws of the truth: of annotators, of annotators by cell, and of annotators by period.

    whose: int64 (rows,), annotator and period of each.
    """
    cells = [_votes_on(scheme, number, votes) for number in range(len(scheme.cells))]
    counted = np.stack([cell.counted for cell in cells])
    people = Tally.of(counted, votes.annotators, votes.annotator_count)
    spans = Tally.of(counted, whose, whose_count)
    found: list[tuple[Right, list[Right], Right]] = []
    for truth in _truths(scheme, votes, cells):
        right = np.stack([cell.chosen == true[votes.texts] for cell, true in zip(cells, truth, strict=True)])
        right &= counted
        found.append((people.right(right), people.by_cell(right), spans.right(right)))
    whole, by_cell, by_period = zip(*found, strict=True)
    return imputed(whole), [imputed(each) for each in zip(*by_cell, strict=True)], imputed(by_period)


@dataclass(frozen=True, slots=True)
class _VotesOn:
    """What each row says of a cell of the scheme, and which rows count."""

    answers: Answers
    chosen: NDArray[np.int16]
    """int16 (rows,): the answer, -1 for none."""
    counted: NDArray[np.bool_]
    """bool (rows,): somebody else answered, too."""


def _votes_on(scheme: Scheme, number: int, votes: Votes) -> _VotesOn:
    answers = answers_on(scheme, scheme.cells[number], votes)
    chosen = np.full(len(votes.texts), -1, dtype=np.int16)
    joined = votes.texts * votes.annotator_count + votes.annotators
    order = np.argsort(joined)
    rows = order[np.searchsorted(joined, answers.texts * votes.annotator_count + answers.annotators, sorter=order)]  # fmt: skip
    chosen[rows] = answers.chosen
    number_of = np.bincount(answers.texts, minlength=votes.text_count)
    return _VotesOn(answers, chosen, (chosen >= 0) & (number_of > 1)[votes.texts])


def _truths(scheme: Scheme, votes: Votes, cells: Sequence[_VotesOn]) -> Iterator[list[NDArray[np.int16]]]:
    """Draws of what is true: of each cell the answer of every text, as `_VotesOn.chosen` counts them, -1 where it is not known."""
    columns = [cell.positions[0] for cell in scheme.cells if cell.option is not None]
    sets = Votes(votes.texts, votes.annotators, votes.values[:, columns], votes.text_count, votes.annotator_count)  # fmt: skip
    yes_no = iter(possible_truths(sets) if columns else ())
    chosen = [
        iter(() if cell.option is not None else possible_answers(on.answers))
        for cell, on in zip(scheme.cells, cells, strict=True)
    ]
    unknown = np.full(votes.text_count, -1, dtype=np.int16)
    for _ in range(DRAWS):
        truth = next(yes_no, None)
        # Of an option, yes is the first answer and no the second.
        options = iter(() if truth is None else (~truth).T.astype(np.int16))
        yield [
            next(options, unknown) if cell.option is not None else next(draws, unknown).astype(np.int16)
            for cell, draws in zip(scheme.cells, chosen, strict=True)
        ]


def _plain(found: Right) -> list[dict[str, Any] | None]:
    """Shares with Jeffreys intervals on the information that is in them, not drawn to anybody's; None below FEWEST votes."""
    share = found.right / np.maximum(found.overlaps, 1)
    up, down = share * found.information + 0.5, (1 - share) * found.information + 0.5
    ends = [betaincinv(up, down, tail) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    return [
        None if found.overlaps[at] < FEWEST else
        _told(Quality(float(share[at]), float(ends[0][at]), float(ends[1][at]), float(found.right[at]), int(found.overlaps[at])))
        for at in range(len(share))
    ]  # fmt: skip


def _told(found: Quality) -> dict[str, Any]:
    return {
        "share": found.value,
        "low": found.low,
        "high": found.high,
        "right": round(found.right, 1),
        "counted": found.overlaps,
    }
