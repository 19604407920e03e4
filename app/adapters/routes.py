"""/adapters: list, get, promote, import, download. Their evidence is app.adapters.evidence_routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from fastapi.responses import FileResponse

from app.adapters.importing import store_upload
from app.adapters.promoting import by_hand
from app.adapters.queries import NewAdapter, find_adapter, list_adapters, promoted_adapters, register_adapter
from app.adapters.rules import check_options
from app.adapters.schemas import AdapterAnswer, AdapterDetail, PromoteBody, adapter_answer
from app.blobs import BlobStore
from app.corpora.queries import corpus_for, lock_corpus
from app.corpora.scheme_queries import newest_scheme
from app.db.session import reading, writing
from app.db.tables import AuditLog, Corpus
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.etags import IfMatch, etag_of, require_match
from app.http.paging import Cursor, Limit, Page, newest_before, newest_cursor
from app.http.problems import Conflict
from app.http.schemas import check_string
from app.http.security import Admin, Principal, Reader, require_unscoped
from app.settings import get_settings

router = APIRouter(prefix="/adapters", tags=["adapters"])
AdapterId = Annotated[str, Path(max_length=40, description="Id of the adapter: `adp_…`.")]
CorpusQuery = Annotated[
    str | None, Query(max_length=200, description="Only adapters of this corpus (id or name).")
]


@router.get("", summary="List adapters", responses=problems(404, 422))
def list_(
    db: ReadDB, caller: Reader, corpus: CorpusQuery = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[AdapterAnswer]:
    """Newest first."""
    corpus_id = corpus_for(db, corpus, caller, "corpus").id if corpus else None
    name = f"adapters:{corpus_id}"
    before = newest_before(cursor, name)
    found = list_adapters(db, corpus_id=corpus_id, only=caller.corpus_id, before=before, limit=limit + 1)
    page, last = found[:limit], found[limit - 1] if len(found) > limit else None
    promoted = promoted_adapters(db, page)
    return Page(
        items=[adapter_answer(adapter, promoted=adapter.id in promoted) for adapter in page],
        next_cursor=newest_cursor(name, last.created_at, last.id) if last else None,
    )


@router.get("/{adapter_id}", summary="One adapter", responses=problems(404))
def get(db: ReadDB, caller: Reader, adapter_id: AdapterId, response: Response) -> AdapterDetail:
    """An adapter with its manifest; the ETag is what promoting it asks for."""
    adapter = find_adapter(db, adapter_id, caller)
    corpus = db.get(Corpus, adapter.corpus_id) if adapter.corpus_id else None
    response.headers["ETag"] = _etag(corpus)
    promoted = bool(promoted_adapters(db, [adapter]))
    return AdapterDetail(**adapter_answer(adapter, promoted=promoted).model_dump(), manifest=adapter.manifest)


@router.post(
    "/{adapter_id}/promote", summary="Promote an adapter", responses=problems(404, 409, 412, 422, 428)
)
def promote_(
    db: WriteDB,
    caller: Admin,
    adapter_id: AdapterId,
    response: Response,
    body: PromoteBody | None = None,
    if_match: IfMatch = None,
) -> AdapterAnswer:
    """Makes it the one its corpus serves by default: `/classify` with one that classifies, abstractive summaries with one that
    summarizes. If-Match: the ETag of GET /adapters/{id}.

    An adapter that classifies and does not pass the gate is refused with its checks, unless `override` is true and `reason` says why; both
    are kept in the audit log and shown in the report.
    """
    adapter = find_adapter(db, adapter_id, caller)
    if adapter.corpus_id is None:
        raise Conflict(
            "The adapter belongs to no corpus: import it for a corpus to promote it there.", slug="no-corpus"
        )
    corpus = lock_corpus(db, adapter.corpus_id)
    require_match(if_match, _etag(corpus))
    by_hand(db, corpus, adapter, caller.name, body or PromoteBody())
    db.refresh(adapter)
    response.headers["ETag"] = _etag(corpus)
    return adapter_answer(adapter, promoted=True)


@router.post(
    "",
    status_code=201,
    summary="Import an adapter",
    response_model=AdapterAnswer,
    responses=problems(404, 413, 422),
)
def import_(
    caller: Admin,
    response: Response,
    file: Annotated[
        UploadFile,
        File(description="A tar or zip of an adapter folder, as GET /adapters/…/download gives it."),
    ],
    corpus: Annotated[
        str | None, Form(max_length=200, description="The corpus it shall serve (id or name).")
    ] = None,
    name: Annotated[
        str | None, Form(min_length=1, max_length=200, description="Default: the base model and the digest.")
    ] = None,
) -> AdapterAnswer:
    """Checks every file against the manifest. The same adapter is registered once for a corpus; it is promoted by hand."""
    for value, field in ((name or "", "name"), (corpus or "", "corpus")):
        check_string(value, field)
    corpus_id, known = _target(caller, corpus)

    def fits(manifest: dict[str, Any]) -> None:
        if known is not None:
            check_options(manifest["option_keys"], known)

    settings = get_settings()
    blobs = BlobStore(settings.blob_root)
    stored = store_upload(file.file, blobs, settings.max_upload_bytes, fits)
    manifest = stored.manifest
    name = name or f"{manifest['base']['name']} {manifest['digest'][:8]}"
    with writing() as session:
        adapter, new = register_adapter(
            session,
            blobs,
            NewAdapter(manifest, stored.report, stored.blob, corpus_id, name, caller.name, "import"),
        )
        if new:
            session.add(
                AuditLog(
                    actor=caller.name,
                    action="adapter.import",
                    object_id=adapter.id,
                    detail={"digest": adapter.digest},
                )
            )
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"/adapters/{adapter.id}"
        return adapter_answer(adapter, promoted=bool(promoted_adapters(session, [adapter])))


@router.get(
    "/{adapter_id}/download",
    summary="Download an adapter",
    response_class=FileResponse,
    responses={
        200: {"description": "A tar of the adapter folder.", "content": {"application/x-tar": {}}},
        **problems(404),
    },
)
def download(caller: Admin, adapter_id: AdapterId) -> FileResponse:
    """The adapter folder as a tar. A model can give away what it was trained on: handle it like the texts."""
    settings = get_settings()
    with reading() as session:
        adapter = find_adapter(session, adapter_id, caller)
    path = BlobStore(settings.blob_root).path(adapter.blob_digest)
    return FileResponse(path, media_type="application/x-tar", filename=f"{adapter.id}.tar")


def _target(caller: Principal, corpus: str | None) -> tuple[str | None, tuple[str, ...] | None]:
    """The corpus an import is for, with its options; a key that is bound to no corpus may import for none."""
    if not corpus:
        require_unscoped(caller)
        return None, None
    with reading() as session:
        corpus_id = corpus_for(session, corpus, caller, "corpus").id
        return corpus_id, newest_scheme(session, corpus_id)[1].option_keys


def _etag(corpus: Corpus | None) -> str:
    """What promoting changes is the corpus."""
    return etag_of(corpus.etag if corpus is not None else 0)
