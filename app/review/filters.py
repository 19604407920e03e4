"""The filters of the disagreement listing: query parameters in, SQL conditions with bound values out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request

from app.http.problems import Invalid
from app.http.schemas import check_string

StateFilter = Literal["open", "settled", "claimed", "all"]

_NAMED = {
    "corpus", "run", "ranking", "option", "question", "state", "annotator", "team", "minimum_score",
    "blind", "cursor", "limit", "format", "with_text", "order_by",
}  # fmt: skip
_KEYED = ("metadata.", "group.")
_Name = Query(max_length=300)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a listing is narrowed to; None and empty leave everything in."""

    corpus: str | None = None
    run: str | None = None
    ranking: str | None = None
    option: str | None = None
    question: str | None = None
    state: StateFilter = "all"
    annotator: str | None = None
    team: str | None = None
    minimum_score: float | None = None
    order_by: str | None = None
    """A score's name; None: the order of the ranking."""
    metadata: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def filters(  # noqa: PLR0913, PLR0917  # FastAPI reads one argument per query parameter
    request: Request,
    corpus: Annotated[
        str | None,
        Query(max_length=300, description="Id or name; needed unless a run or a ranking is given."),
    ] = None,
    run: Annotated[
        str | None, Query(max_length=300, description="A relabel run: its newest ranking.")
    ] = None,
    ranking: Annotated[
        str | None, Query(max_length=300, description="A ranking; default: the corpus's newest.")
    ] = None,
    option: Annotated[
        str | None,
        Query(
            max_length=300,
            description="An option's key; of a choose_one question: cells where people or the model chose it.",
        ),
    ] = None,
    question: Annotated[str | None, Query(max_length=300, description="A question's key.")] = None,
    state: Annotated[StateFilter, Query(description="open: undecided, and claimed by nobody else.")] = "open",
    annotator: Annotated[
        str | None, Query(max_length=300, description="Cells whose question this annotator answered.")
    ] = None,
    team: Annotated[
        str | None, Query(max_length=300, description="Cells whose question this team answered.")
    ] = None,
    minimum_score: Annotated[float | None, Query(ge=0, le=1, description="Least suspicion.")] = None,
    order_by: Annotated[
        str | None,
        Query(
            max_length=100,
            description="A score of the ranking (its `score_names`) in place of its own order.",
        ),
    ] = None,
) -> Filters:
    """The filters of a request; `metadata.<key>=value` and `group.<key>=value` filter by any key. Unknown parameters are Invalid."""
    keyed: dict[str, dict[str, str]] = {prefix: {} for prefix in _KEYED}
    for name, value in request.query_params.multi_items():
        prefix = next((p for p in _KEYED if name.startswith(p) and len(name) > len(p)), None)
        check_string(name, name)
        check_string(value, name)
        if prefix is not None:
            keyed[prefix][name.removeprefix(prefix)] = value
        elif name not in _NAMED:
            raise Invalid(
                f"There is no parameter “{name}”; by metadata one filters with `metadata.<key>=value`, by group with `group.<key>=value`.",
                field=name,
            )
    return Filters(
        corpus, run, ranking, option, question, state, annotator, team, minimum_score, order_by,
        metadata=keyed["metadata."], groups=keyed["group."],
    )  # fmt: skip


Filtering = Annotated[Filters, Depends(filters)]
"""The filters of a request, as a dependency."""


def conditions(chosen: Filters, blind: bool) -> tuple[str, dict[str, Any]]:
    """SQL conditions over the aliases of `app.review.listing`, and their parameters.

    A decoy is let through where its place is, lest it be told by its own suspicion. A blind reader filters a choose_one question by its option without the values being looked at: what is listed would give them away.
    """
    found: list[str] = []
    values: dict[str, Any] = {"blind": blind}
    for given, condition in (
        (chosen.option, _OPTION),
        (chosen.question, "q.key = :question"),
        (chosen.minimum_score, "coalesce(d.places[1], d.suspicion) >= :minimum_score"),
        (chosen.annotator or chosen.team, _ANNOTATED),
    ):
        if given is not None:
            found.append(condition)
    values |= {
        "option": chosen.option,
        "question": chosen.question,
        "minimum_score": chosen.minimum_score,
        "annotator": chosen.annotator,
        "team": chosen.team,
    }
    if chosen.state != "all":
        found.append(_STATES[chosen.state])
    for column, keys in (("metadata", chosen.metadata), ("groups", chosen.groups)):
        for number, (key, value) in enumerate(keys.items()):
            found.append(f"t.{column} ->> :{column}_key_{number} = :{column}_value_{number}")
            values |= {f"{column}_key_{number}": key, f"{column}_value_{number}": value}
    return "".join(f" AND {condition}" for condition in found), values


_OPTION = """(o.key = :option OR (d.option_id IS NULL
    AND EXISTS (SELECT FROM options chosen WHERE chosen.question_id = d.question_id AND chosen.key = :option)
    AND (:blind OR :option IN (d.human_value, d.model_value))))"""
_ANNOTATED = """EXISTS (SELECT FROM annotations a JOIN annotators n ON n.id = a.annotator_id
    WHERE a.text_id = d.text_id AND a.question_id = d.question_id
    AND (CAST(:annotator AS text) IS NULL OR n.name = :annotator) AND (CAST(:team AS text) IS NULL OR a.team = :team))"""
_SETTLED = "coalesce(seen.sha256 = now.sha256 AND f.digest = r.definition_digest, false)"
_CLAIMED = "coalesce(c.reviewer <> :reader, false)"
_STATES = {
    "settled": _SETTLED,
    "claimed": f"NOT {_SETTLED} AND {_CLAIMED}",
    "open": f"NOT {_SETTLED} AND NOT {_CLAIMED}",
}
SETTLED_COLUMN = _SETTLED
"""Whether a listed cell is settled, over the same aliases."""
