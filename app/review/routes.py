"""Disagreements and reviews over HTTP: list, read (blind or not), decide, undo, claim, export."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.corpora.queries import corpus_for
from app.db.session import WriteSession
from app.http.database import WriteDB
from app.http.documented import problems
from app.http.etags import IfMatch, require_match
from app.http.files import Format
from app.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from app.http.security import Principal, Reader, Reviewer
from app.review import claims, decisions, exports, listing, sightings, views
from app.review.cells import find_cell
from app.review.filters import Filtering
from app.review.schemas import ClaimAnswer, DisagreementDetail, DisagreementPage, ReviewRequest
from app.settings import get_settings

router = APIRouter(tags=["review"])

_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}}
CURSOR_KIND = "label-disagreements"
DisagreementId = Annotated[str, Path(max_length=60, examples=["dis_42"])]
Blind = Annotated[
    bool,
    Query(description="Hide values, probabilities and suspicion of what the caller has not voted on yet."),
]
Force = Annotated[bool, Query(description="Go ahead although another reviewer is at work on it.")]


@router.get(
    "/label-disagreements",
    summary="List the labels to look at, most suspicious first",
    responses=problems(400, 404, 409, 422),
)
def list_label_disagreements(
    caller: Reader,
    db: WriteDB,
    chosen: Filtering,
    blind: Blind = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DisagreementPage:
    """Disagreements by falling suspicion, from the corpus's newest ranking unless another is named.

    The cursor stays with its ranking: pages do not shift when a newer ranking appears. Any metadata key filters as `metadata.<key>=value`,
    any group as `group.<key>=value`. What a reviewer is shown here is recorded, and counts when they decide.
    """
    walked, after = _cursor(cursor, chosen.order_by)
    ranking = listing.find_ranking(db, chosen, caller, walked)
    if ranking is None:
        return DisagreementPage(items=[], next_cursor=None)
    rows = list(
        listing.list_disagreements(
            db, ranking, chosen, caller.name, after=after, limit=limit + 1, blind=blind
        )
    )
    items = [views.listed(row, ranking, caller.name, blind=blind) for row in rows[:limit]]
    _record(
        db, caller, ranking.id, [row.id for row, item in zip(rows, items, strict=False) if not item.blind]
    )
    more = len(rows) > limit
    return DisagreementPage(
        items=items,
        next_cursor=encode_cursor(_kind(chosen.order_by), [ranking.id, items[-1].position]) if more else None,
        ranking_id=ranking.id,
        run_id=ranking.run_id,
    )


@router.get(
    "/label-disagreements/export",
    summary="Export disagreements",
    response_class=StreamingResponse,
    responses=_FILE | problems(404, 409, 422),
)
def export_label_disagreements(
    caller: Reader,
    db: WriteDB,
    chosen: Filtering,
    format: Format = "csv",
    with_text: Annotated[bool, Query(description="Also the texts' content.")] = False,
) -> Response:
    """All disagreements that the filters leave, streamed, with their decisions. CSV is safe to open in a spreadsheet; JSONL is lossless."""
    ranking = listing.find_ranking(db, chosen, caller)
    if ranking is None:
        return exports.empty(format)
    exports.check(db, ranking, chosen)
    if caller.role != "reader":
        sightings.record(db, caller.name, ranking.id, None)
    return exports.disagreements(ranking, chosen, caller.name, format, with_text=with_text)


@router.get(
    "/label-disagreements/{disagreement_id}", summary="Read one disagreement", responses=problems(404, 422)
)
def get_label_disagreement(
    disagreement_id: DisagreementId,
    caller: Reader,
    db: WriteDB,
    response: Response,
    blind: Blind = False,
    neighbours: Annotated[
        int, Query(ge=0, le=10, description="Texts before and after it, of the same group.")
    ] = 0,
) -> DisagreementDetail:
    """The text, the codebook's words, every annotator's value, the model's probabilities, the text's other values, the history and the claim.

    With `blind=true` only the text and the codebook's words, until the caller has voted.
    """
    view = find_cell(db, disagreement_id, caller)
    hidden = blind and not view.voted(caller.name)
    if not hidden:
        sightings.record_once(db, caller, view)
    response.headers["ETag"] = view.etag
    response.headers["Cache-Control"] = "private, no-store"
    return views.detailed(db, view, caller.name, hidden=hidden, beside=neighbours)


@router.put(
    "/label-disagreements/{disagreement_id}/review",
    summary="Decide a disagreement",
    responses=problems(404, 409, 412, 422, 428),
)
def put_review(
    disagreement_id: DisagreementId,
    body: ReviewRequest,
    caller: Reviewer,
    db: WriteDB,
    response: Response,
    if_match: IfMatch = None,
    force: Force = False,
) -> DisagreementDetail:
    """Appends a decision; it is in force until undone, decided anew, or the text or the definition changes. Annotations stay as they are."""
    view = find_cell(db, disagreement_id, caller, lock=True)
    require_match(if_match, view.etag)
    decisions.decide(db, view, caller, body.value, body.note, force=force)
    return _fresh(db, disagreement_id, caller, response)


@router.delete(
    "/label-disagreements/{disagreement_id}/review",
    summary="Undo the decision in force",
    responses=problems(404, 409, 412, 428),
)
def undo_review(
    disagreement_id: DisagreementId,
    caller: Reviewer,
    db: WriteDB,
    response: Response,
    if_match: IfMatch = None,
) -> DisagreementDetail:
    """Appends an undo; nothing is deleted. What stood before is in force again."""
    view = find_cell(db, disagreement_id, caller, lock=True)
    require_match(if_match, view.etag)
    decisions.undo(db, view, caller)
    return _fresh(db, disagreement_id, caller, response)


@router.post(
    "/label-disagreements/{disagreement_id}/claim",
    summary="Claim a disagreement",
    responses=problems(404, 409),
)
def claim(
    disagreement_id: DisagreementId, caller: Reviewer, db: WriteDB, force: Force = False
) -> ClaimAnswer:
    """Says that the caller is at work on it, so that others take another. Repeat it to renew; it ends by itself."""
    view = find_cell(db, disagreement_id, caller)
    taken = claims.take(db, view.key, caller.name, get_settings().claim_minutes, force=force)
    return ClaimAnswer(reviewer=taken.reviewer, expires_at=taken.expires_at)


@router.delete(
    "/label-disagreements/{disagreement_id}/claim",
    status_code=204,
    summary="Give a claim back",
    responses=problems(404),
)
def unclaim(disagreement_id: DisagreementId, caller: Reviewer, db: WriteDB) -> Response:
    """Ends the caller's own claim, if there is one."""
    view = find_cell(db, disagreement_id, caller)
    claims.end(db, view.key, caller.name)
    return Response(status_code=204)


@router.get(
    "/corpora/{corpus_id}/export",
    tags=["corpora"],
    summary="Export corrected labels",
    response_class=StreamingResponse,
    responses=_FILE | problems(404, 409, 422),
)
def export_corpus(
    corpus_id: Annotated[str, Path(max_length=300, description="Id or name.")],
    caller: Reader,
    db: WriteDB,
    format: Format = "csv",
    layout: Annotated[
        exports.Layout,
        Query(description="csv: wide, one row a text; long, one row a cell with its whole history."),
    ] = "wide",
    with_text: Annotated[bool, Query(description="Also the texts' content.")] = False,
) -> Response:
    """Corrected labels of every text. JSONL and the long CSV carry every annotator's value, the consensus, every decision and where the value in force comes from."""
    found = corpus_for(db, corpus_id, caller).id
    sightings.record_texts(db, caller, found, None)
    return exports.corpus(db, found, format, layout, with_text=with_text)


def _record(db: WriteSession, caller: Principal, ranking_id: str, shown: list[int]) -> None:
    if caller.role != "reader":
        sightings.record(db, caller.name, ranking_id, shown)


def _cursor(cursor: str | None, order_by: str | None) -> tuple[str | None, int]:
    """Ranking and position of the last row already seen. A cursor is good for the order that it walks alone."""
    if cursor is None:
        return None, 0
    ranking, position = decode_cursor(cursor, _kind(order_by))
    return str(ranking), int(position)


def _kind(order_by: str | None) -> str:
    return CURSOR_KIND if order_by is None else f"{CURSOR_KIND} by {order_by}"


def _fresh(
    db: WriteSession, disagreement_id: str, caller: Principal, response: Response
) -> DisagreementDetail:
    view = find_cell(db, disagreement_id, caller)
    sightings.record_once(db, caller, view)
    response.headers["ETag"] = view.etag
    return views.detailed(db, view, caller.name, hidden=False)
