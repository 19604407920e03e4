"""/document-sets: upload files to learn from, see what was read out of them, delete them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from sqlalchemy.engine import RowMapping

from app.blobs import Blob, BlobStore
from app.corpora.queries import corpus_for, drop_unregistered
from app.db.session import reading, writing
from app.db.tables import DocumentFile
from app.documents.queries import create_set, delete_set, files_of, find_set, list_sets, state_of
from app.documents.schemas import DocumentFileAnswer, DocumentSetAnswer, DocumentSetDetail
from app.http.database import ReadDB
from app.http.documented import problems
from app.http.idempotency import Idempotency, IdempotencyHeader
from app.http.paging import Cursor, Limit, Page, newest_before, newest_cursor
from app.http.problems import Invalid, TooLarge
from app.http.schemas import check_string
from app.http.security import Admin, Principal, Reader
from app.http.uploads import display_name
from app.jobs.routes import job_router
from app.settings import get_settings

router = APIRouter(tags=["document-sets"])
SetId = Annotated[
    str, Path(alias="document_set_id", max_length=40, description="Id of the document set: `doc_…`.")
]
CorpusQuery = Annotated[
    str | None, Query(max_length=200, description="Only sets of this corpus (id or name).")
]
_PIECE = 1 << 20


@router.post(
    "/document-sets",
    status_code=202,
    summary="Upload documents",
    response_model=DocumentSetAnswer,
    responses=problems(400, 404, 409, 413, 422, 507),
)
def upload(
    caller: Admin,
    files: Annotated[
        list[UploadFile],
        File(description="PDF, DOCX, TXT; JSONL or CSV of texts with summaries; or zip archives of these."),
    ],
    corpus: Annotated[
        str, Form(min_length=1, max_length=200, description="The corpus they belong to (id or name).")
    ],
    name: Annotated[
        str | None, Form(min_length=1, max_length=200, description="Default: the first file's name.")
    ] = None,
    key: IdempotencyHeader = None,
) -> Response:
    """Stores the files and makes the job that reads them; `GET /document-sets/{id}` then says what was read of each.

    Several parts named `files` may be sent. The set shares its corpus's sensitivity, reach of keys, and deletion.
    """
    for value, field in ((name or "", "name"), (corpus, "corpus")):
        check_string(value, field)
    with reading() as session:
        corpus_for(session, corpus, caller, "corpus")
    blobs = BlobStore(get_settings().blob_root)
    stored: list[tuple[str, Blob]] = []
    try:
        for file in files:
            filename = _checked_name(file)
            stored.append((filename, blobs.put(_pieces(file))))
        return _accept(caller, corpus, name or stored[0][0], stored, key, blobs)
    except Exception:
        _forget(blobs, [blob.digest for _filename, blob in stored])
        raise


@router.get("/document-sets", summary="List document sets", responses=problems(404, 422))
def list_(
    db: ReadDB, caller: Reader, corpus: CorpusQuery = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[DocumentSetAnswer]:
    """Newest first."""
    corpus_id = corpus_for(db, corpus, caller, "corpus").id if corpus else caller.corpus_id
    name = f"document-sets:{corpus_id}"
    before = newest_before(cursor, name)
    found = list_sets(db, corpus_id=corpus_id, before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        items=[DocumentSetAnswer(**_fields(row)) for row in found[:limit]],
        next_cursor=newest_cursor(name, last["created_at"], last["id"]) if last else None,
    )


@router.get("/document-sets/{document_set_id}", summary="One document set", responses=problems(404))
def get(db: ReadDB, caller: Reader, set_id: SetId) -> DocumentSetDetail:
    """Every file with its pages, characters, warnings, or why it was refused."""
    found = find_set(db, set_id, caller)
    return DocumentSetDetail(**_fields(found), files=[_file(row) for row in files_of(db, set_id)])


@router.delete(
    "/document-sets/{document_set_id}",
    status_code=204,
    summary="Delete a document set",
    responses=problems(404),
)
def delete(caller: Admin, set_id: SetId) -> Response:
    """Removes its files and what was read out of them for good. Adapters trained on it stay."""
    with writing() as session:
        find_set(session, set_id, caller)
        digests = delete_set(session, set_id, caller.name)
    # Only what the committed transaction let go of is deleted: a crash here leaves files, never rows without files.
    _forget(BlobStore(get_settings().blob_root), digests)
    return Response(status_code=204)


def _accept(
    caller: Principal, corpus: str, name: str, stored: list[tuple[str, Blob]], key: str | None, blobs: BlobStore
) -> Response:  # fmt: skip
    """Blob rows, set, job and idempotency key in one transaction."""
    content = [corpus, name, [(filename, blob.digest) for filename, blob in stored]]
    with writing() as session:
        idempotency = Idempotency(session, caller.key_id, key)
        idempotency.claim(hashlib.sha256(json.dumps(content).encode()).hexdigest())
        corpus_id = corpus_for(session, corpus, caller, "corpus").id
        made = create_set(session, blobs, corpus_id, name, stored, caller.name)
        answer = DocumentSetAnswer(**_fields(find_set(session, made.id)))
        headers = {"Location": f"/document-sets/{made.id}", "Retry-After": "2"}
        return idempotency.store(202, answer.model_dump(mode="json"), headers)


def _checked_name(file: UploadFile) -> str:
    name = display_name(file.filename or "")
    if not name.strip("."):
        raise Invalid("Every file needs a name: its ending says how it is read.", field="files")
    check_string(name, "files")
    limit = get_settings().max_document_bytes
    if not name.casefold().endswith(".zip") and (file.size or 0) > limit:
        raise TooLarge(
            f"{name}: {file.size:,} bytes, more than the {limit:,} allowed for one document (REMAND_MAX_DOCUMENT_BYTES). Split it.",
            field="files",
            limit_bytes=limit,
        )
    return name


def _pieces(file: UploadFile) -> Any:
    return iter(lambda: file.file.read(_PIECE), b"")


def _forget(blobs: BlobStore, digests: list[str]) -> None:
    for digest in dict.fromkeys(digests):
        with writing() as session:
            drop_unregistered(session, blobs, digest)


def _fields(found: RowMapping) -> dict[str, Any]:
    given = {name: found[name] for name in DocumentSetAnswer.model_fields if name != "state"}
    return given | {"state": state_of(found)}


def _file(row: DocumentFile) -> DocumentFileAnswer:
    names = set(DocumentFileAnswer.model_fields) - {"rows"}
    return DocumentFileAnswer(**{name: getattr(row, name) for name in names}, rows=row.row_count)


router.include_router(job_router("documents", "/document-jobs"))
