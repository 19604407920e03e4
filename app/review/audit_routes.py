"""What an audit tells of labels and of the people who review them: findings, and how often the model is followed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import text

from app.corpora.queries import corpus_for
from app.db.session import AnySession
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from app.http.security import Reader
from app.review import findings, listing, sightings
from app.review.filters import Filters
from app.review.finding_schemas import FindingPage, finding_answer
from app.review.findings import Kind, OpenOrAll
from app.review.following import Vote, differences, groups
from app.review.following_schemas import ReviewingAnswer, reviewing_answer

router = APIRouter(tags=["review"])
CURSOR_KIND = "label-findings"

# A reviewer's first decision on a cell in a queue: later ones are made with everything on the table.
_VOTES = text(
    """SELECT DISTINCT ON (r.reviewer, r.text_id, r.question_id, r.option_id)
        r.reviewer, coalesce((r.shown ->> 'blind')::boolean, false) AS blind, d.reason = 'decoy' AS decoy,
        d.model_value AS model, d.human_value AS human, r.value
    FROM reviews r JOIN disagreements d ON d.id = r.disagreement_id
    WHERE r.corpus_id = :corpus AND r.audit_sample_id IS NULL AND r.value IS NOT NULL
        AND d.reason <> 'finding' AND d.model_value IS NOT NULL
    ORDER BY r.reviewer, r.text_id, r.question_id, r.option_id, r.id"""
)


@router.get(
    "/label-findings",
    summary="List labels that cannot be right together",
    responses=problems(404, 409, 422),
)
def list_label_findings(
    caller: Reader,
    db: WriteDB,
    corpus: Annotated[str, Query(max_length=300, description="Id or name.")],
    kind: Annotated[
        Kind | None,
        Query(
            description="violation: a broken dependency of the codebook; conflict: duplicates labelled differently."
        ),
    ] = None,
    ranking: Annotated[
        str | None, Query(max_length=300, description="A ranking; default: the corpus's newest.")
    ] = None,
    state: Annotated[OpenOrAll, Query(description="open: with a cell that nobody has decided.")] = "open",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FindingPage:
    """Labels that break a dependency, and exact or near duplicates labelled differently: wrong somewhere, whatever any model says.

    Each names the cells of it as disagreements, which are decided like any other. A finding tells labels, so that a reviewer who lists
    it does not decide those texts blind.
    """
    chosen = Filters(corpus=corpus, ranking=ranking)
    walked, after = (None, 0) if cursor is None else _cursor(cursor)
    found_ranking = listing.find_ranking(db, chosen, caller, walked)
    if found_ranking is None:
        return FindingPage(items=[], next_cursor=None)
    rows = findings.list_findings(db, found_ranking, kind, state, caller.name, after=after, limit=limit + 1)
    page = rows[:limit]
    texts = sorted({number for row in page for number in row.texts})
    sightings.record_texts(db, caller, found_ranking.corpus_id, texts)
    counts = findings.count_findings(db, found_ranking.id)
    more = len(rows) > limit
    return FindingPage(
        items=[finding_answer(row, caller.name) for row in page],
        next_cursor=encode_cursor(CURSOR_KIND, [found_ranking.id, page[-1].row.position]) if more else None,
        ranking_id=found_ranking.id,
        violations=counts.get("violation", 0),
        conflicts=counts.get("conflict", 0),
    )


@router.get(
    "/corpora/{corpus_id}/reviewing",
    summary="How often reviewers follow the model",
    responses=problems(404),
)
def reviewing(
    corpus_id: Annotated[str, Path(max_length=300, description="Id or name.")], caller: Reader, db: ReadDB
) -> ReviewingAnswer:
    """First decisions on cells of queues, by reviewer: how often they take the model's value and keep the label, blind and not, at flags and at decoys."""
    corpus = corpus_for(db, corpus_id, caller)
    votes = votes_of(db, corpus.id)
    return reviewing_answer(corpus.id, groups(votes), differences(votes))


def votes_of(session: AnySession, corpus_id: str) -> list[Vote]:
    """Every reviewer's first decision on each cell of a queue."""
    return [Vote(**row) for row in session.execute(_VOTES, {"corpus": corpus_id}).mappings()]


def _cursor(cursor: str) -> tuple[str, int]:
    ranking, position = decode_cursor(cursor, CURSOR_KIND)
    return str(ranking), int(position)
