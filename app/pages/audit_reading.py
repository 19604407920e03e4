"""The page of blind reading: a text, the codebook's words, a value for every cell. An adjudicator has the same page with fewer cells."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.audits.progress import progress
from app.audits.queries import find_audit_sample, sampled_text
from app.audits.reading import blind_text, cells_to_read, next_place, record, role_of
from app.audits.schemas import ReadingRequest, Role
from app.http.database import ReadDB, WriteDB
from app.http.problems import Invalid, NotFound
from app.http.schemas import check_string
from app.http.security import Reviewer
from app.ids import number_of
from app.pages import queries
from app.pages.render import page

router = APIRouter()
PREFIX = "value."
SKIPPED = "skipped"
MOST_NOTE = 10_000
AsRole = Annotated[Role | None, Query()]


@router.get("/audits/{audit_sample_id}/read")
def read(
    request: Request,
    audit_sample_id: str,
    caller: Reviewer,
    db: ReadDB,
    text: Annotated[str | None, Query(max_length=40)] = None,
    role: AsRole = None,
) -> Response:
    """The next text, or `text`: one's own reading again."""
    sample = find_audit_sample(db, audit_sample_id, caller)
    if sample.state != "reading":
        return RedirectResponse(f"/audits/{sample.id}", 303)
    acting = role_of(db, sample, caller.name, role)
    found = next_place(db, sample, acting, caller.name)
    if text is not None:
        place = sampled_text(db, sample.id, number_of("txt", text))
        found = place, cells_to_read(db, sample, acting, place["text_id"])
        if not found[1]:
            raise NotFound("The readers do not differ on this text: there is nothing to settle.", field="text")  # fmt: skip
    shown = None if found is None else blind_text(db, sample, *found, acting, caller.name)
    told = progress(db, sample)
    own = next((p.read for p in told.people if p.name == caller.name and p.role == acting), 0)
    return page(
        request,
        "audit_read.html",
        caller,
        corpus=queries.corpus_row(db, sample.corpus_id),
        sample=sample,
        role=acting,
        text=shown,
        progress=told,
        own=own,
        again=text is not None,
        previous=request.query_params.get("after", "")[:40],
    )


async def _fields(request: Request) -> dict[str, str]:
    """The form, whose fields depend on the codebook."""
    form = await request.form()
    found = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, value in found.items():
        check_string(value, name)
    return found


@router.post("/audits/{audit_sample_id}/texts/{text_id}/reading")
def say(
    audit_sample_id: str,
    text_id: str,
    caller: Reviewer,
    db: WriteDB,
    fields: Annotated[dict[str, str], Depends(_fields)],
) -> Response:
    """Appends the reading and goes on to the next text."""
    sample = find_audit_sample(db, audit_sample_id, caller, lock=True)
    role: Role = "adjudicator" if fields.get("role") == "adjudicator" else "reader"
    values = {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}
    note = fields.get("note", "").replace("\r\n", "\n").strip()
    if len(note) > MOST_NOTE:
        raise Invalid(f"A note has at most {MOST_NOTE:,} characters.", field="note")
    skip = fields.get("action") == "skip"
    said = ReadingRequest.model_construct(
        values={} if skip else {key: None if value == SKIPPED else value for key, value in values.items()},
        skip=skip,
        note=note,
        role=role,
    )
    record(db, sample, number_of("txt", text_id), caller.name, said)
    return RedirectResponse(f"/audits/{sample.id}/read?role={role}&after={text_id}", 303)
