"""Rankings over HTTP: judge a run again, list them, the reviewer's budget, and texts by pooled suspicion."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from app.corpora.queries import corpus_for
from app.corpora.routes import CorpusRef
from app.db.session import AnySession
from app.db.tables import Ranking
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor, newest_before, newest_cursor
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Admin, Principal, Reader, check_scope
from app.ids import numbered
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.relabelling.queries import (
    find_run,
    list_rankings,
    newest_ranking,
    newest_ranking_of_run,
    suspicious_texts,
)
from app.relabelling.schemas import (
    BudgetAnswer,
    CellName,
    RankingAnswer,
    RankingBody,
    SuspiciousText,
    SuspiciousTextPage,
    budget_answer,
    calibration_answer,
    is_calibrated,
    ranking_answer,
)
from app.review import sightings

router = APIRouter(tags=["relabelling"])
router.include_router(job_router("rank", "/ranking-jobs"))
RankingId = Annotated[str, Path(max_length=100, examples=["rnk_01k3zq5w0v8n2m4c6x7y9abc"])]


@router.post(
    "/rankings",
    status_code=202,
    summary="Judge a run's labels again",
    response_model=JobDocument,
    responses=problems(403, 404, 409, 422),
)
def make_ranking(body: RankingBody, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """Starts a job that makes a new ranking of a finished run from the labels and decisions of now, without reading any text again."""
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    run = find_run(db, corpus.id, body.run)
    if run.finished_at is None:
        raise Conflict(
            "That run is not finished yet: its job makes its first ranking.",
            field="/run",
            slug="run-unfinished",
        )
    _check_wishes(db, run.id, body)
    params = {"run": run.id} | body.model_dump(exclude={"corpus", "run"}, exclude_defaults=True)
    job = create_job(db, "rank", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


def _check_wishes(session: AnySession, run_id: str, body: RankingBody) -> None:
    """Invalid for a score that no ranking of the run has had: better now than from a job that fails."""
    newest = newest_ranking_of_run(session, run_id)
    known = [] if newest is None else [*newest.score_names, "reviewed"]
    if body.score is not None and known[:-1] and body.score not in known:
        raise Invalid(f"The run has no score “{body.score}”: it has {', '.join(known[:-1])}.", field="/score")


@router.get("/rankings", summary="List rankings", responses=problems(404, 422))
def rankings(
    caller: Reader,
    db: ReadDB,
    corpus: Annotated[
        str | None, Query(max_length=200, description="Only of this corpus (id or name).")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RankingAnswer]:
    """Rankings, newest first."""
    only = corpus_for(db, corpus, caller, "corpus").id if corpus is not None else caller.corpus_id
    kind = f"rankings:{only}"
    before = newest_before(cursor, kind)
    found = list_rankings(db, only, before, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    following = newest_cursor(kind, page[-1].created_at, page[-1].id) if more else None
    return Page(items=[ranking_answer(ranking) for ranking in page], next_cursor=following)


@router.get("/rankings/{ranking_id}", summary="One ranking", responses=problems(404))
def ranking_(
    ranking_id: RankingId,
    caller: Reader,
    db: ReadDB,
) -> RankingAnswer:
    """How a ranking was made, and how much it holds."""
    return ranking_answer(_find(db, ranking_id, caller))


@router.get(
    "/rankings/{ranking_id}/budget",
    summary="What reviewing the top K would find",
    responses=problems(404, 409),
)
def budget(ranking_id: RankingId, caller: Reader, db: ReadDB) -> BudgetAnswer:
    """Review the top K, find about N. Refused, with the reason, until closed audit samples calibrate suspicion."""
    found = _find(db, ranking_id, caller)
    if not is_calibrated(found):
        raise Conflict(
            f"Nothing can be foretold yet: {calibration_answer(found).reason}. Draw an audit sample, read and close it, then rank again.",
            slug="not-calibrated",
        )
    return budget_answer(found)


@router.get(
    "/corpora/{corpus_id}/suspicious-texts",
    summary="Texts by their labels' pooled suspicion",
    responses=problems(404, 422),
)
def texts_by_suspicion(
    corpus_id: CorpusRef,
    caller: Reader,
    db: WriteDB,
    by: Annotated[
        Literal["any_wrong", "highest"],
        Query(
            description="any_wrong: noisy-or over its labels, their odds damped; highest: the most suspicious one."
        ),
    ] = "any_wrong",
    ranking: Annotated[
        str | None, Query(max_length=100, description="A ranking; default: the corpus's newest.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SuspiciousTextPage:
    """Texts by falling suspicion. Which label of a text is most suspicious is told, so that whoever looks does not decide those texts blind."""
    corpus = corpus_for(db, corpus_id, caller)
    kind, after = f"suspicious-texts:{corpus.id}:{by}", None
    walked = ranking
    if cursor is not None:
        of, value, version = decode_cursor(cursor, kind)
        if ranking not in {None, of}:
            raise Invalid(
                "The cursor walks another ranking: leave it out to start from the top.", field="cursor"
            )
        walked, after = str(of), (float(value), int(version))
    found = newest_ranking(db, corpus.id) if walked is None else _find(db, walked, caller, "ranking")
    if found is None:
        return SuspiciousTextPage(items=[], next_cursor=None)
    if found.corpus_id != corpus.id:
        raise NotFound(f"The corpus has no ranking {found.id!r}.", field="ranking")
    rows = suspicious_texts(db, found.id, by, after, limit + 1)
    page = rows[:limit]
    sightings.record_texts(db, caller, corpus.id, [row.text_id for row in page])
    last = page[-1] if len(rows) > limit else None
    return SuspiciousTextPage(
        items=[
            SuspiciousText(
                text_id=numbered("txt", row.text_id),
                external_id=row.external_id,
                any_wrong=row.any_wrong,
                highest=row.highest,
                most_suspicious=CellName(question=str(cell[0]), option=cell[1]),
            )
            for row in page
            for cell in [found.cells[row.top]]
        ],
        next_cursor=None
        if last is None
        else encode_cursor(kind, [found.id, getattr(last, by), last.text_version_id]),
        ranking_id=found.id,
    )


def _find(session: AnySession, ranking_id: str, caller: Principal, field: str = "ranking_id") -> Ranking:
    found = session.get(Ranking, ranking_id)
    if found is None:
        raise NotFound(f"There is no ranking {ranking_id!r}.", field=field)
    check_scope(caller, found.corpus_id)
    return found
