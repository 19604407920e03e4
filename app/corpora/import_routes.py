"""/corpora/{id}/imports and /imports: an upload, or one sent before, becomes a job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field, ValidationError
from sqlalchemy import text

from app.blobs import Blob, BlobStore
from app.corpora.mapping import Mapping, check_mapping
from app.corpora.queries import corpus_for, drop_unregistered, register_blob
from app.corpora.routes import CorpusRef
from app.db.session import WriteSession, reading, writing
from app.db.tables import Blob as BlobRow
from app.http.answers import plain_words, pointer
from app.http.database import ReadDB
from app.http.documented import problems
from app.http.idempotency import Idempotency, IdempotencyHeader
from app.http.problems import Invalid, NotFound, TooLarge
from app.http.schemas import RequestModel
from app.http.security import Admin, Principal, Reader
from app.http.uploads import display_name, receive_upload
from app.jobs.queries import create_job
from app.jobs.routes import JobId, find_job, job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.settings import get_settings

router = APIRouter(tags=["imports"])
jobs = job_router("import", "/imports")
_PIECE = 1 << 16


class ImportRequest(RequestModel):
    """An import of a file that was uploaded before: for example its commit, after a dry run."""

    blob: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="`params.blob` of the earlier import into the same corpus."
    )
    filename: str = Field("", max_length=200)
    mapping: Mapping = Field(
        default_factory=Mapping, description="Which column is what; everything left out is guessed."
    )
    commit: bool = Field(False, description="Store what is found; false: a dry run with the same report.")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be imported; `stored` is the blob that this request has just brought."""

    digest: str
    filename: str
    mapping: Mapping
    commit: bool
    stored: Blob | None


_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "contentMediaType": "application/octet-stream",
                        "description": "CSV, JSONL or .xlsx.",
                    },
                    "mapping": {"$ref": "#/components/schemas/Mapping"},
                    "commit": {"type": "string", "enum": ["true", "false"], "default": "false"},
                },
            }
        },
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ImportRequest"},
            "examples": {
                "commit": {
                    "summary": "Store what a dry run has shown",
                    "value": {
                        "blob": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                        "commit": True,
                    },
                }
            },
        },
    },
}


_CSV: dict[int | str, dict[str, Any]] = {
    **problems(404),
    200: {"description": "line,column,reason", "content": {"text/csv": {"schema": {"type": "string"}}}},
}


@router.post(
    "/corpora/{corpus_id}/imports",
    status_code=202,
    summary="Import a file",
    response_model=JobDocument,
    responses=problems(400, 404, 409, 413, 415, 422, 507),
    openapi_extra={"requestBody": _BODY},
)
async def make_import(
    corpus_id: CorpusRef, request: Request, caller: Admin, key: IdempotencyHeader = None
) -> Response:
    """Uploads a file and makes an import job; a dry run unless `commit` is true.

    The job's result is the report: rows, texts new, updated and identical, duplicates, rare options, rejected rows, and the
    whole mapping as it was understood. Blank label cells are missing, never no.
    """
    blobs = BlobStore(get_settings().blob_root)
    await run_in_threadpool(_check_corpus, corpus_id, caller)
    if request.headers.get("content-type", "").startswith("application/json"):
        wanted = _from_document(await _small_body(request))
    else:
        wanted = await _from_upload(request, blobs)
    return await run_in_threadpool(_accept, corpus_id, wanted, caller, key, blobs)


@router.get(
    "/imports/{job_id}/rejected",
    summary="Rejected rows as CSV",
    response_class=StreamingResponse,
    responses=_CSV,
)
def rejected(job_id: JobId, caller: Reader, db: ReadDB) -> Response:
    """Line, column and reason of every rejected row of an import."""
    job = find_job(db, job_id, "import", caller)
    digest = (job.result or {}).get("rejected_blob")
    if digest is None:
        raise NotFound("This import has no rejected rows, or has not ended yet.", field="job_id")
    headers = {"Content-Disposition": f'attachment; filename="rejected-{job.id}.csv"'}
    return StreamingResponse(
        _pieces(BlobStore(get_settings().blob_root), digest),
        media_type="text/csv; charset=utf-8",
        headers=headers,
    )


def _check_corpus(corpus_id: str, caller: Principal) -> None:
    with reading() as session:
        corpus_for(session, corpus_id, caller)


async def _small_body(request: Request) -> bytes:
    limit, body = get_settings().max_body_bytes, bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(
                f"The body is larger than the {limit:,} bytes allowed here.", field="body", limit_bytes=limit
            )
    return bytes(body)


def _from_document(body: bytes) -> _Wanted:
    try:
        asked = ImportRequest.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error, "") from None
    check_mapping(asked.mapping)
    return _Wanted(asked.blob, display_name(asked.filename), asked.mapping, asked.commit, None)


async def _from_upload(request: Request, blobs: BlobStore) -> _Wanted:
    upload = await receive_upload(request, blobs, {"mapping", "commit"})
    if upload.blob is None:
        raise Invalid("There is no file: send it as the part named file.", field="file")
    try:
        if upload.blob.size == 0:
            raise Invalid("The file is empty.", field="file", slug="empty-file")
        commit = upload.fields.get("commit", "false")
        if commit not in {"true", "false"}:
            raise Invalid("commit is true or false.", field="commit")
        mapping = _mapping(upload.fields.get("mapping") or "{}")
    except Invalid:
        await run_in_threadpool(_forget, blobs, upload.blob)
        raise
    return _Wanted(upload.blob.digest, upload.filename, mapping, commit == "true", upload.blob)


def _mapping(document: str) -> Mapping:
    try:
        mapping = Mapping.model_validate_json(document)
    except ValidationError as error:
        raise _invalid(error, "/mapping") from None
    except Invalid as invalid:
        raise Invalid(invalid.detail, field=f"/mapping{invalid.field}", slug=invalid.slug) from None
    check_mapping(mapping)
    return mapping


def _accept(
    reference: str, wanted: _Wanted, caller: Principal, key: str | None, blobs: BlobStore
) -> Response:
    """Blob row, job, first event and idempotency key in one transaction; a file that no job takes is removed again."""
    try:
        with writing() as session:
            idempotency = Idempotency(session, caller.key_id, key)
            idempotency.claim(_digest(reference, wanted))
            corpus = corpus_for(session, reference, caller)
            _register(session, blobs, wanted, corpus.id)
            params = {
                "blob": wanted.digest,
                "filename": wanted.filename,
                "mapping": wanted.mapping.document(),
                "commit": wanted.commit,
            }
            job = create_job(session, "import", corpus.id, params, caller.name)
            return idempotency.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))
    except Exception:
        if wanted.stored is not None:
            _forget(blobs, wanted.stored)
        raise


def _register(session: WriteSession, blobs: BlobStore, wanted: _Wanted, corpus_id: str) -> None:
    if wanted.stored is not None:
        register_blob(session, blobs, wanted.stored, "application/octet-stream", "upload")
    elif not _uploaded_here(session, wanted.digest, corpus_id):
        raise NotFound("No file with this digest was uploaded to this corpus: upload it.", field="/blob")


def _uploaded_here(session: WriteSession, digest: str, corpus_id: str) -> bool:
    found = session.scalar(
        text(
            "SELECT 1 FROM jobs WHERE corpus_id = :corpus AND kind = 'import' AND params->>'blob' = :digest LIMIT 1"
        ),
        {"corpus": corpus_id, "digest": digest},
    )
    return found is not None and session.get(BlobRow, digest) is not None


def _forget(blobs: BlobStore, blob: Blob) -> None:
    with writing() as session:
        drop_unregistered(session, blobs, blob.digest)


def _digest(reference: str, wanted: _Wanted) -> str:
    content = [reference, wanted.digest, wanted.filename, wanted.mapping.document(), wanted.commit]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _invalid(error: ValidationError, prefix: str) -> Invalid:
    first = error.errors()[0]
    place = prefix + pointer(("body", *first["loc"])).rstrip("/")
    words = plain_words(first["type"], str(first["msg"]))
    if prefix and first["type"] == "json_invalid":
        words = "The mapping is not valid JSON."
    return Invalid(f"{place or 'body'}: {words}", field=place or "body")


def _pieces(blobs: BlobStore, digest: str) -> Iterator[bytes]:
    with blobs.open(digest) as file:
        yield from iter(lambda: file.read(_PIECE), b"")
