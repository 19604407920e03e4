"""/audit-samples: plan, draw and seal; read blind; close; what was found; release."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from app.audits.answers import (
    AuditPlan,
    AuditRelease,
    AuditSampleAnswer,
    BlindText,
    NextText,
    ReadingAnswer,
)
from app.audits.progress import progress
from app.audits.queries import audited_texts, find_audit_sample, list_audit_samples, sampled_text
from app.audits.reading import blind_text, cells_to_read, next_place, record, role_of
from app.audits.releasing import release
from app.audits.result_schemas import AuditResult
from app.audits.schemas import AuditCloseRequest, AuditSampleRequest, ReadingRequest, Role
from app.audits.views import result_of, sample_answer, sample_answers
from app.blobs import BlobStore
from app.corpora.queries import corpus_for
from app.db.tables import AuditLog
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent, Replay
from app.http.paging import Cursor, Limit, Page, newest_before, newest_cursor
from app.http.problems import Conflict, NotFound
from app.http.security import Admin, Reader, Reviewer
from app.ids import number_of
from app.review import sightings
from app.settings import get_settings

router = APIRouter(tags=["audit samples"])
SampleId = Annotated[
    str, Path(alias="audit_sample_id", max_length=100, examples=["aud_01k3zq5w0v8n2m4c6x7y9abc"])
]
TextId = Annotated[str, Path(alias="text_id", max_length=40, examples=["txt_42"])]
DryRun = Annotated[bool, Query(description="Only the plan: what it costs and what it can say. Nothing is stored.")]  # fmt: skip
AsRole = Annotated[Role | None, Query(description="Default: reader while there is a reader's seat for you.")]


@router.post(
    "/audit-samples",
    status_code=201,
    summary="Draw and seal an audit sample",
    response_model=AuditSampleAnswer,
    responses={
        200: {"model": AuditPlan, "description": "With dry_run: the plan."},
        **problems(404, 409, 413, 422),
    },
)
def draw(
    body: AuditSampleRequest, caller: Admin, db: WriteDB, idempotent: Idempotent, dry_run: DryRun = False
) -> Response:
    """Freezes labels and frame, draws at random with known probabilities, and seals all of it, in one transaction.

    The answer's `seal` is the sha256 of the sealed document: keep it, and nobody can change the design afterwards.
    """
    from app.audits.making import make_sample, plan_sample  # scipy.stats: a second at every start

    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    if dry_run:
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(JSONResponse(plan_sample(db, corpus.id, body).model_dump(mode="json")))
    sample = make_sample(db, _blobs(), corpus.id, body, caller.name)
    answer = sample_answer(db, sample).model_dump(mode="json")
    return idempotent.store(201, answer, {"Location": f"/audit-samples/{sample.id}"})


@router.get("/audit-samples", summary="List audit samples", responses=problems(404, 422))
def list_(
    db: ReadDB,
    caller: Reader,
    corpus: Annotated[
        str | None, Query(max_length=200, description="Only those of this corpus (id or name).")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditSampleAnswer]:
    """Newest first."""
    corpus_id = corpus_for(db, corpus, caller, "corpus").id if corpus else caller.corpus_id
    kind = f"audit-samples:{corpus_id}"
    before = newest_before(cursor, kind)
    found = list_audit_samples(db, corpus_id, before, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        items=sample_answers(db, found[:limit]),
        next_cursor=newest_cursor(kind, last.sealed_at, last.id) if last else None,
    )


@router.get("/audit-samples/{audit_sample_id}", summary="One audit sample", responses=problems(404))
def one(sample_id: SampleId, caller: Reader, db: ReadDB) -> AuditSampleAnswer:
    """Its design and how far the reading is; nothing of what is found."""
    return sample_answer(db, find_audit_sample(db, sample_id, caller))


@router.get(
    "/audit-samples/{audit_sample_id}/texts/next",
    summary="The next text to read",
    responses=problems(403, 404, 409, 422),
)
def next_text(sample_id: SampleId, caller: Reviewer, db: ReadDB, role: AsRole = None) -> NextText:
    """In the order of reading, blind: the text and the codebook's words alone. An adjudicator gets what two readers differ on, not who said what."""
    sample = find_audit_sample(db, sample_id, caller)
    if sample.state != "reading":
        raise Conflict("This audit sample is closed: there is nothing to read.", slug="audit-sample-closed")
    acting = role_of(db, sample, caller.name, role)
    found = next_place(db, sample, acting, caller.name)
    shown = None if found is None else blind_text(db, sample, *found, acting, caller.name)
    return NextText(role=acting, text=shown, progress=progress(db, sample))


@router.get(
    "/audit-samples/{audit_sample_id}/texts/{text_id}",
    summary="A text and one's own reading of it",
    responses=problems(403, 404, 422),
)
def own_text(
    sample_id: SampleId, text_id: TextId, caller: Reviewer, db: ReadDB, role: AsRole = None
) -> BlindText:
    """As blind as the first time; `value` is what you have said yourself."""
    sample = find_audit_sample(db, sample_id, caller)
    acting = role_of(db, sample, caller.name, role)
    place = sampled_text(db, sample.id, number_of("txt", text_id))
    asked = cells_to_read(db, sample, acting, place["text_id"])
    if not asked:
        raise NotFound("The readers do not differ on this text: there is nothing to settle.", field="text_id")
    return blind_text(db, sample, place, asked, acting, caller.name)


@router.put(
    "/audit-samples/{audit_sample_id}/texts/{text_id}/reading",
    summary="Say what you read",
    responses=problems(403, 404, 409, 413, 422),
)
def read(
    sample_id: SampleId, text_id: TextId, body: ReadingRequest, caller: Reviewer, db: WriteDB
) -> ReadingAnswer:
    """Appends a reading; the newest by the same person counts until the sample is closed."""
    sample = find_audit_sample(db, sample_id, caller, lock=True)
    role, blind = record(db, sample, number_of("txt", text_id), caller.name, body)
    return ReadingAnswer(text_id=text_id, role=role, blind=blind, progress=progress(db, sample))


@router.post(
    "/audit-samples/{audit_sample_id}/close",
    summary="Close an audit sample",
    responses=problems(404, 409, 413, 422),
)
def close_(sample_id: SampleId, body: AuditCloseRequest, caller: Admin, db: WriteDB) -> AuditResult:
    """Settles what was read and takes the one look at it; refused while texts are unread, unless they are declared skipped."""
    from app.audits.closing import close

    sample = find_audit_sample(db, sample_id, caller, lock=True)
    return close(db, sample, _blobs(), progress(db, sample), caller.name, skip=body.skip_unread)


@router.get(
    "/audit-samples/{audit_sample_id}/result",
    summary="What an audit sample found",
    responses=problems(404, 409),
)
def result(sample_id: SampleId, caller: Reader, db: WriteDB) -> AuditResult:
    """As it was recorded when the sample was closed; before that nobody is told. Whoever asks is written down."""
    sample = find_audit_sample(db, sample_id, caller)
    found = result_of(db, sample)
    db.add(AuditLog(actor=caller.name, action="audit-sample.result", object_id=sample.id))
    return found


@router.get(
    "/audit-samples/{audit_sample_id}/seal",
    summary="The sealed document",
    response_class=Response,
    responses={
        200: {
            "description": "JSON; its sha256 is `seal`.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(404, 409),
    },
)
def seal(sample_id: SampleId, caller: Reader, db: WriteDB) -> Response:
    """Design, strata, drawn texts and digests, byte for byte as they were sealed. Only after closing: strata are a model's view of the texts.

    A reviewer who asks is no blind reader of these texts any more where there are strata.
    """
    sample = find_audit_sample(db, sample_id, caller)
    if sample.state != "closed":
        raise Conflict(
            "The sealed document tells the score band of every text: it is shown once the sample is closed.",
            slug="audit-sample-open",
        )
    if len(sample.design["strata"]) > 1:
        sightings.record_texts(db, caller, sample.corpus_id, audited_texts(db, sample.corpus_id, sample.id))
    with _blobs().open(sample.seal_blob) as file:
        return Response(file.read(), media_type="application/json")


@router.post(
    "/audit-samples/{audit_sample_id}/release",
    summary="Release an audit sample's outcomes",
    responses=problems(404, 409),
)
def release_(sample_id: SampleId, caller: Admin, db: WriteDB) -> AuditRelease:
    """Settled values become reviews that name the sample; only now do they change labels, rankings and what models train on."""
    return release(db, find_audit_sample(db, sample_id, caller, lock=True), _blobs(), caller.name)


def _blobs() -> BlobStore:
    return BlobStore(get_settings().blob_root)
