"""Disagreements as answers: what a reader may see of them, blind or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Row

from app.db.session import AnySession
from app.ids import numbered
from app.review import evidence
from app.review.cells import CellView
from app.review.listing import RankingRef
from app.review.rules import Decision, state_of, values_of
from app.review.schemas import (
    ClaimAnswer,
    Disagreement,
    DisagreementDetail,
    NeighbourView,
    OpinionView,
    OptionView,
    ReviewAnswer,
)


def listed(row: Row[Any], ranking: RankingRef, reader: str, *, blind: bool) -> Disagreement:
    """A row of `list_disagreements`; a blind reader sees past the blind only where they have voted."""
    hidden = blind and not row.voted
    return Disagreement(
        id=numbered("dis", row.id),
        ranking_id=ranking.id,
        position=row.position,
        text_id=numbered("txt", row.text_id),
        external_id=row.external_id,
        text_changed=row.text_changed,
        question=row.question,
        question_kind=row.kind,
        option=row.option,
        state=state_of(row.settled, row.claimed_by, reader),
        blind=hidden,
        **_verdicts(row, ranking.score_names, hidden, voted=row.voted),
        metadata=row.metadata,
        groups=row.groups,
        review=_listed_review(row, hidden),
        claim=None
        if row.claimed_by is None
        else ClaimAnswer(reviewer=row.claimed_by, expires_at=row.claimed_until),
    )


def detailed(
    session: AnySession, view: CellView, reader: str, *, hidden: bool, beside: int = 0
) -> DisagreementDetail:
    """One disagreement; `hidden` leaves out everything but the text and the codebook's words. `beside`: neighbours each way."""
    row, question = view.row, view.question
    decision = view.decision
    return DisagreementDetail(
        id=numbered("dis", row.id),
        ranking_id=row.ranking_id,
        run_id=row.run_id,
        corpus_id=row.corpus_id,
        position=row.position,
        text_id=numbered("txt", row.text_id),
        external_id=row.external_id,
        text_changed=row.text_changed,
        question=question.key,
        question_kind=question.kind.value,
        question_name=question.name or question.key,
        question_definition=question.definition,
        option=view.option_key,
        state=view.state(reader),
        blind=hidden,
        **_verdicts(row, tuple(row.score_names), hidden, voted=view.voted(reader)),
        metadata=row.metadata,
        groups=row.groups,
        review=None if decision is None else review_answer(decision, hidden),
        claim=None
        if view.claim is None
        else ClaimAnswer(reviewer=view.claim.reviewer, expires_at=view.claim.expires_at),
        content=row.content,
        values=list(values_of(question, view.option_key)),
        options=_options(session, view, hidden),
        consensus_method=row.consensus_method,
        annotations=None if hidden else _opinions(session, view),
        history=None if hidden else [review_answer(d, hidden=False) for d in view.history],
        neighbours=[
            NeighbourView(external_id=n.external_id, content=n.content, place=n.place)
            for n in evidence.neighbours(session, view, beside)
        ],
        etag=view.etag,
    )


def review_answer(decision: Decision, hidden: bool) -> ReviewAnswer:
    """A decision; hidden, only that there is one, whose, and when."""
    return ReviewAnswer(
        id=numbered("rev", decision.id),
        value=None if hidden else decision.value,
        note="" if hidden else decision.note,
        reviewer=decision.reviewer,
        at=decision.at,
        undoes=None if decision.undoes is None else numbered("rev", decision.undoes),
        shown={} if hidden else decision.shown or {},
    )


_VERDICTS = ("human_value", "model_value", "probability", "suspicion", "error_probability")


def _verdicts(row: Row[Any], names: Sequence[str], hidden: bool, *, voted: bool) -> dict[str, Any]:
    """What people, model and scores say. Why a cell is in the queue is told to whoever has voted on it alone."""
    if hidden:
        return dict.fromkeys((*_VERDICTS, "scores", "reason"))
    known = {name: value for name, value in zip(names, row.scores, strict=False) if math.isfinite(value)}
    return {name: getattr(row, name) for name in _VERDICTS} | {
        "scores": known,
        "reason": row.reason if voted else None,
    }


def _listed_review(row: Row[Any], hidden: bool) -> ReviewAnswer | None:
    if row.review_id is None:
        return None
    return ReviewAnswer(
        id=numbered("rev", row.review_id),
        value=None if hidden else row.review_value,
        note="" if hidden else row.note,
        reviewer=row.reviewer,
        at=row.reviewed_at,
    )


def _options(session: AnySession, view: CellView, hidden: bool) -> list[OptionView]:
    scheme = view.codebook.scheme
    known = {} if hidden else {found.key: found for found in evidence.options(session, view)}
    return [
        OptionView(
            key=option.key,
            name=option.name or option.key,
            definition=option.definition,
            question=scheme.question_of(option.key).key,
            value=known[option.key].value if known else None,
            probability=known[option.key].probability if known else None,
            threshold=known[option.key].threshold if known else None,
        )
        for option in scheme.options
    ]


def _opinions(session: AnySession, view: CellView) -> list[OpinionView]:
    return [
        OpinionView(
            annotator=o.annotator,
            team=o.team,
            annotated_at=o.annotated_at,
            codebook_version=o.codebook_version,
            source=o.source,
            value=o.value,
            earlier_text=o.earlier_text,
        )
        for o in evidence.opinions(session, view)
    ]
