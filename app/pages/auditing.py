"""Pages of audit samples: the list, the plan, progress, and the result with its intervals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.audits.queries import find_audit_sample, list_audit_samples, scheme_of
from app.audits.releasing import release
from app.audits.schemas import AuditSampleRequest, StoppingClaim
from app.audits.views import result_of, sample_answer, sample_answers
from app.blobs import BlobStore
from app.corpora.codebook import load_codebook
from app.corpora.queries import corpus_for
from app.db.tables import AuditLog
from app.estimates.queries import estimates_of
from app.http.database import ReadDB, WriteDB
from app.http.problems import Invalid, Problem
from app.http.security import Admin, Reader
from app.pages import audit_reading, queries
from app.pages.audit_chart import totals_chart
from app.pages.deciding import names_of
from app.pages.render import page
from app.settings import get_settings

router = APIRouter()
router.include_router(audit_reading.router)

CorpusName = Annotated[str, Query(max_length=200)]
Number = Annotated[str, Form(max_length=12)]
MOST = 100
_LABELS = {"size": "Texts", "at_most": "Stopping: at most left", "looks": "Stopping: looks"}


@router.get("/audits")
def samples(request: Request, corpus: CorpusName, caller: Reader, db: ReadDB) -> HTMLResponse:
    """The audit samples of a corpus."""
    found = corpus_for(db, corpus, caller, "corpus")
    listed = sample_answers(db, list_audit_samples(db, found.id, None, MOST))
    return page(request, "audits.html", caller, corpus=queries.corpus_row(db, found.id), samples=listed)


@router.get("/audits/new")
def new(request: Request, corpus: CorpusName, caller: Admin, db: ReadDB, plan: CorpusName = "") -> HTMLResponse:  # fmt: skip
    """What to ask for; `plan`: the next look of that stopping plan."""
    found = corpus_for(db, corpus, caller, "corpus")
    return _form_page(request, db, caller, found.id, {"plan": plan, "purpose": "stopping" if plan else "totals"})  # fmt: skip


@router.post("/audits/new")
def plan_or_draw(  # noqa: PLR0913, PLR0917  # FastAPI reads one argument per form field
    request: Request,
    caller: Admin,
    db: WriteDB,
    corpus: Annotated[str, Form(max_length=200)],
    action: Annotated[str, Form(max_length=10)] = "plan",
    purpose: Annotated[str, Form(max_length=20)] = "totals",
    name: Annotated[str, Form(max_length=200)] = "",
    size: Number = "",
    readers: Number = "1",
    design: Annotated[str, Form(max_length=20)] = "",
    option: Annotated[list[str] | None, Form(max_length=1000)] = None,
    at_most: Number = "",
    looks: Number = "1",
    plan: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """First the plan, then the draw; what does not fit comes back with the form."""
    from app.audits.making import make_sample, plan_sample

    found = corpus_for(db, corpus, caller, "corpus")
    fields = {
        "purpose": purpose, "name": name, "size": size, "readers": readers, "design": design, "options": option or [],
        "at_most": at_most, "looks": looks, "plan": plan,
    }  # fmt: skip
    try:
        asked = _request(found.id, fields)
        if action == "draw":
            with db.begin_nested():  # a refusal takes the frozen snapshot back and leaves the page to be made
                sample = make_sample(db, BlobStore(get_settings().blob_root), found.id, asked, caller.name)
            return RedirectResponse(f"/audits/{sample.id}", 303)
        return _form_page(request, db, caller, found.id, fields, told=plan_sample(db, found.id, asked))
    except Problem as problem:
        return _form_page(request, db, caller, found.id, fields, problem=problem)


@router.get("/audits/{audit_sample_id}")
def one(request: Request, audit_sample_id: str, caller: Reader, db: WriteDB) -> HTMLResponse:
    """How far the reading is; once it is closed, what was found."""
    sample = find_audit_sample(db, audit_sample_id, caller)
    scheme = scheme_of(db, sample)
    context: dict[str, Any] = {
        "corpus": queries.corpus_row(db, sample.corpus_id),
        "sample": sample_answer(db, sample),
        "names": names_of(scheme),
    }
    if sample.state == "reading":
        return page(request, "audit.html", caller, **context)
    result = result_of(db, sample)
    db.add(AuditLog(actor=caller.name, action="audit-sample.result", object_id=sample.id))
    return page(
        request,
        "audit_result.html",
        caller,
        result=result,
        chart=totals_chart(result, context["names"]),
        estimates=estimates_of(db, sample.corpus_id, sample.id),
        **context,
    )


@router.post("/audits/{audit_sample_id}/close")
def close(
    audit_sample_id: str,
    caller: Admin,
    db: WriteDB,
    skip_unread: Annotated[bool, Form()] = False,
) -> Response:
    """The one look."""
    from app.audits import closing
    from app.audits.progress import progress

    sample = find_audit_sample(db, audit_sample_id, caller, lock=True)
    blobs = BlobStore(get_settings().blob_root)
    closing.close(db, sample, blobs, progress(db, sample), caller.name, skip=skip_unread)
    return RedirectResponse(f"/audits/{sample.id}", 303)


@router.post("/audits/{audit_sample_id}/release")
def release_(audit_sample_id: str, caller: Admin, db: WriteDB) -> Response:
    """Settled values become reviews."""
    sample = find_audit_sample(db, audit_sample_id, caller, lock=True)
    release(db, sample, BlobStore(get_settings().blob_root), caller.name)
    return RedirectResponse(f"/audits/{sample.id}", 303)


def _form_page(
    request: Request,
    db: Any,
    caller: Any,
    corpus_id: str,
    fields: dict[str, Any],
    told: Any = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    scheme = load_codebook(db, corpus_id).scheme
    given = {"name": "", "size": "", "readers": "1", "design": "", "options": [], "at_most": "", "looks": "1", "plan": ""}  # fmt: skip
    return page(
        request,
        "audit_plan.html",
        caller,
        422 if problem else 200,
        corpus=queries.corpus_row(db, corpus_id),
        scheme=scheme,
        names=names_of(scheme),
        fields=given | fields,
        told=told,
        problem=problem,
    )


def _request(corpus_id: str, fields: dict[str, Any]) -> AuditSampleRequest:
    """The form as the API takes it."""
    stopping, plan = None, fields["plan"] or None
    if fields["purpose"] != "stopping" and fields["at_most"].strip():
        raise Invalid(
            "“At most left” belongs to “May we stop reviewing?”: choose that, or leave it empty.",
            field="/at_most",
        )
    if fields["purpose"] == "stopping" and plan is None:
        stopping = StoppingClaim(
            at_most=_number(fields, "at_most", 0, 10_000_000), looks=_number(fields, "looks", 1, 5)
        )
    wanted = fields["size"].strip() or fields["purpose"] != "stopping"  # a look takes what no error needs
    size = _number(fields, "size", 1, 1_000_000) if wanted else None
    given = {
        "corpus": corpus_id,
        "name": " ".join(fields["name"].split()) or None,
        "purpose": "stopping" if fields["purpose"] == "stopping" else "totals",
        "size": size,
        "readers": 2 if fields["readers"] == "2" else 1,
        "design": fields["design"] if fields["design"] in {"random", "stratified"} else None,
        "options": fields["options"] or None,
        "stopping": stopping,
        "plan": plan,
    }
    return AuditSampleRequest.model_validate(given)


def _number(fields: dict[str, Any], name: str, least: int, most: int) -> int:
    """A number as people write it: the pages' own thousands separators are taken."""
    written = fields[name].strip()
    digits = written.replace(",", "")
    if not (digits.isascii() and digits.isdigit() and least <= int(digits) <= most):
        said = f"“{written}” is no whole number" if written else "say a whole number"
        raise Invalid(f"{_LABELS[name]}: {said} from {least:,} to {most:,}.", field=f"/{name}")
    return int(digits)
