"""What every kind of job answers: list, get, events, cancel, pause, resume. The POST that makes one belongs to its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.corpora.queries import corpus_for
from app.db.session import AnySession, reading
from app.db.tables import Job
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.paging import Cursor, Limit, Page, newest_before, newest_cursor
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Admin, Principal, Reader, check_scope
from app.jobs.kinds import KINDS
from app.jobs.queries import get_job, list_jobs, request_cancel, request_pause, resume_job
from app.jobs.rules import is_final
from app.jobs.schemas import JobDocument, JobState, job_document
from app.jobs.stream import event_stream
from app.pages.errors import wants_page

JobId = Annotated[
    str, Path(max_length=40, description="Id of the job: `job_…`.", examples=["job_01k3zq5w0v8n2m4c6x7y9abc"])
]
CorpusQuery = Annotated[
    str | None, Query(max_length=200, description="Only jobs of this corpus (id or name).")
]
StateQuery = Annotated[JobState | None, Query(description="Only jobs in this state.")]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=20, description="Number of the last event already seen."),
]
Accept = Annotated[str, Header(description="`text/html` for a page; JSON otherwise.", max_length=1000)]
JobPage = Callable[[Request, Principal, AnySession, Job], Response]
_PAGE_TOO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As asked for by Accept.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}

_SSE_EVENT = {
    "type": "object",
    "properties": {
        "id": {
            "type": "string",
            "description": "Number of the event; send it as Last-Event-ID to go on after it.",
        },
        "event": {"type": "string", "description": "Kind of the event."},
        "data": {"type": "string", "description": "JSON: number, kind, at, data."},
    },
}


def job_router(kind: str | None, prefix: str, page: JobPage | None = None) -> APIRouter:
    """The endpoints for one kind under its prefix, or for all kinds (kind None); pause and resume only where the kind can wait.

    page: what a browser gets of one job instead of JSON.
    """
    words = KINDS[kind].title.lower() if kind else "job"
    one = f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    slug = prefix.strip("/").replace("-", "_")
    router = APIRouter(prefix=prefix, tags=[prefix.strip("/")])
    router.get("", summary=f"List {words}s", operation_id=f"list_{slug}", responses=problems(404, 422))(
        _list(kind)
    )
    router.get(
        "/{job_id}",
        summary=f"Get {one}",
        operation_id=f"get_{slug}",
        response_model=JobDocument,
        responses=problems(404) if page is None else {**_PAGE_TOO, **problems(404)},
    )(_get(kind) if page is None else _get_or_page(kind, page))
    router.get(
        "/{job_id}/events",
        summary=f"Follow {one} as Server-Sent Events",
        operation_id=f"follow_{slug}",
        response_class=StreamingResponse,
        responses={
            **problems(404, 422),
            200: {
                "description": "Events as they happen.",
                "content": {"text/event-stream": {"schema": _SSE_EVENT}},
            },
            204: {"description": "The job has ended and you have seen every event."},
        },
    )(_events(kind))
    router.post(
        "/{job_id}/cancel",
        summary=f"Cancel {one}",
        operation_id=f"cancel_{slug}",
        status_code=202,
        response_model=JobDocument,
        responses=problems(404),
    )(_cancel(kind))
    if kind is None or KINDS[kind].pausable:
        for action, endpoint in (("pause", _pause(kind)), ("resume", _resume(kind))):
            router.post(
                f"/{{job_id}}/{action}",
                summary=f"{action.capitalize()} {one}",
                operation_id=f"{action}_{slug}",
                status_code=202,
                response_model=JobDocument,
                responses=problems(404, 409) if kind is None else problems(404),
            )(endpoint)
    return router


def find_job(session: AnySession, job_id: str, kind: str | None, caller: Principal) -> Job:
    """The job; NotFound when there is none of this kind or the key does not reach its corpus."""
    job = get_job(session, job_id, kind)
    if job is None:
        title, prefix = (KINDS[kind].title.lower(), KINDS[kind].prefix) if kind else ("job", "/jobs")
        raise NotFound(f"There is no {title} {job_id!r}: GET {prefix} lists them.", field="job_id")
    check_scope(caller, job.corpus_id)
    return job


def _list(kind: str | None) -> Callable[..., Page[JobDocument]]:
    def jobs(
        db: ReadDB,
        caller: Reader,
        corpus: CorpusQuery = None,
        state: StateQuery = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[JobDocument]:
        """Newest first."""
        corpus_id = corpus_for(db, corpus, caller, "corpus").id if corpus else caller.corpus_id
        name = f"jobs:{kind}:{corpus_id}:{state}"
        before = newest_before(cursor, name)
        found = list_jobs(db, kind=kind, corpus_id=corpus_id, state=state, before=before, limit=limit + 1)
        more = len(found) > limit
        last = found[limit - 1] if more else None
        return Page(
            items=[job_document(job) for job in found[:limit]],
            next_cursor=newest_cursor(name, last.created_at, last.id) if last else None,
        )

    return jobs


def _get(kind: str | None) -> Callable[..., JobDocument]:
    def job(db: ReadDB, caller: Reader, job_id: JobId) -> JobDocument:
        """How it stands, how far it is, what came out or why it failed."""
        return job_document(find_job(db, job_id, kind, caller))

    return job


def _get_or_page(kind: str | None, page: JobPage) -> Callable[..., Any]:
    def job(request: Request, db: ReadDB, caller: Reader, job_id: JobId, accept: Accept = "*/*") -> Any:
        """How it stands, how far it is, what came out or why it failed; a page for browsers."""
        found = find_job(db, job_id, kind, caller)
        return page(request, caller, db, found) if wants_page(accept) else job_document(found)

    return job


def _events(kind: str | None) -> Callable[..., Response]:
    def position(caller: Reader, job_id: JobId, last_event_id: LastEventId = None) -> int | None:
        """The number to go on after; None when there is nothing left to tell. The session ends before the stream begins."""
        after = _event_number(last_event_id)
        with reading() as session:
            job = find_job(session, job_id, kind, caller)
            return None if after and is_final(job.state) and after >= job.last_event else after

    async def events(job_id: JobId, after: int | None = Depends(position)) -> Response:
        """Numbered events from the beginning or after `Last-Event-ID`; ends with `succeeded`, `failed` or `cancelled`."""
        if after is None:
            return Response(status_code=204)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(event_stream(job_id, after), headers=headers, media_type="text/event-stream")

    return events  # type: ignore[return-value]  # a coroutine function, which FastAPI awaits


def _cancel(kind: str | None) -> Callable[..., JobDocument]:
    def cancel(db: WriteDB, caller: Admin, job_id: JobId) -> JobDocument:
        """A queued job is cancelled at once, a running one ends within seconds; one that has ended stays as it is."""
        find_job(db, job_id, kind, caller)
        job = request_cancel(db, job_id)
        assert job is not None
        return job_document(job)

    return cancel


def _pause(kind: str | None) -> Callable[..., JobDocument]:
    def pause(db: WriteDB, caller: Admin, job_id: JobId) -> JobDocument:
        """A queued job is paused at once; a running one makes a checkpoint, ends its process and frees its device. One that has ended, or is paused, stays as it is."""
        _pausable(find_job(db, job_id, kind, caller))
        job = request_pause(db, job_id)
        assert job is not None
        return job_document(job)

    return pause


def _resume(kind: str | None) -> Callable[..., JobDocument]:
    def resume(db: WriteDB, caller: Admin, job_id: JobId) -> JobDocument:
        """A paused job is queued again and goes on from its checkpoint; a pause that was only asked for is taken back. Any other job stays as it is."""
        _pausable(find_job(db, job_id, kind, caller))
        job = resume_job(db, job_id)
        assert job is not None
        return job_document(job)

    return resume


def _pausable(job: Job) -> None:
    if not KINDS[job.kind].pausable:
        raise Conflict(
            f"Jobs of the kind {job.kind!r} are short and cannot be paused: cancel it, and start it again later.",
            slug="not-pausable",
        )


def _event_number(given: str | None) -> int:
    if given is None or given == "":
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise Invalid(
            "Last-Event-ID is the number of an event: send the id you were given.", field="Last-Event-ID"
        )
    return int(given)


router = job_router(None, "/jobs")
"""Jobs of every kind under /jobs."""
