"""/corpora: make, list, change, delete; schemes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from app.blobs import BlobStore
from app.corpora.queries import (
    corpus_counts,
    corpus_for,
    create_corpus,
    delete_corpus,
    drop_unregistered,
    flush_name,
    list_corpora,
    lock_corpus,
)
from app.corpora.schemas import (
    CorpusAnswer,
    CorpusChange,
    CorpusDetail,
    CorpusRequest,
    SchemeAnswer,
    SchemeRequest,
    corpus_answer,
    scheme_answer,
    scheme_of,
)
from app.corpora.scheme_queries import newest_scheme, scheme_version, store_scheme
from app.corpora.scheme_rules import EMPTY, changed
from app.db.session import WriteSession, writing
from app.db.tables import AuditLog, Corpus
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.etags import IfMatch, etag_of, require_match
from app.http.idempotency import Idempotent
from app.http.paging import Cursor, Limit, Page, newest_before, newest_cursor
from app.http.problems import Invalid, NotFound
from app.http.security import Admin, Reader, forget_credentials, require_unscoped
from app.settings import get_settings
from models.scheme import Scheme

router = APIRouter(prefix="/corpora", tags=["corpora"])
CorpusRef = Annotated[
    str, Path(alias="corpus_id", max_length=200, description="A corpus's id (cor_…) or its unique name.")
]


@router.post(
    "",
    status_code=201,
    summary="Make a corpus",
    response_model=CorpusAnswer,
    responses=problems(409, 413, 422),
)
def make_corpus(body: CorpusRequest, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """Makes an empty corpus, with a scheme if one is given; otherwise the first import brings it."""
    require_unscoped(caller)
    if body.name.startswith("cor_"):
        raise Invalid("A name that begins with cor_ could be taken for an id: choose another.", field="/name")
    corpus = create_corpus(db, caller.name, **body.model_dump(exclude={"scheme"}))
    if body.scheme is not None:
        scheme = changed(EMPTY, scheme_of(body.scheme), get_settings().max_options)
        store_scheme(db, corpus.id, scheme)
    headers = {"Location": f"/corpora/{corpus.id}", "ETag": etag_of(corpus.etag)}
    return idempotent.store(201, corpus_answer(corpus).model_dump(mode="json"), headers)


@router.get("", summary="List corpora", responses=problems(422))
def list_(caller: Reader, db: ReadDB, limit: Limit = 50, cursor: Cursor = None) -> Page[CorpusAnswer]:
    """The corpora that the key reaches, newest first."""
    before = newest_before(cursor, "corpora")
    found = list_corpora(db, only=caller.corpus_id, before=before, limit=limit + 1)
    page, last = found[:limit], found[limit - 1] if len(found) > limit else None
    following = newest_cursor("corpora", last.created_at, last.id) if last else None
    return Page(items=[corpus_answer(corpus) for corpus in page], next_cursor=following)


@router.get("/{corpus_id}", summary="One corpus", responses=problems(404))
def get(corpus_id: CorpusRef, caller: Reader, db: ReadDB, response: Response) -> CorpusDetail:
    """A corpus with what it holds; the ETag is what a change asks for."""
    corpus = corpus_for(db, corpus_id, caller)
    response.headers["ETag"] = etag_of(corpus.etag)
    return CorpusDetail(**corpus_answer(corpus).model_dump(), **corpus_counts(db, corpus.id))


@router.put("/{corpus_id}", summary="Change a corpus", responses=problems(404, 409, 412, 413, 422, 428))
def put(
    corpus_id: CorpusRef,
    body: CorpusChange,
    caller: Admin,
    db: WriteDB,
    response: Response,
    if_match: IfMatch = None,
) -> CorpusAnswer:
    """Changes name, description, sensitivity, the grouping key of folds and how the consensus is found."""
    corpus = lock_corpus(db, corpus_for(db, corpus_id, caller).id)
    require_match(if_match, etag_of(corpus.etag))
    if body.name.startswith("cor_"):
        raise Invalid("A name that begins with cor_ could be taken for an id: choose another.", field="/name")
    before = corpus_answer(corpus).model_dump(include=set(CorpusChange.model_fields))
    wanted = body.model_dump(exclude={"consensus"} if body.consensus is None else set())
    for name, value in wanted.items():
        setattr(corpus, name, value)
    corpus.etag += 1
    flush_name(db, body.name)
    changes = {name: value for name, value in wanted.items() if before[name] != value}
    db.add(AuditLog(actor=caller.name, action="corpus.change", object_id=corpus.id, detail=changes))
    response.headers["ETag"] = etag_of(corpus.etag)
    return corpus_answer(corpus)


@router.delete("/{corpus_id}", status_code=204, summary="Delete a corpus", responses=problems(404))
def delete(corpus_id: CorpusRef, caller: Admin) -> Response:
    """Removes texts, labels, reviews, jobs, adapters and files of a corpus for good; the audit log keeps that it was done, and by whom."""
    with writing() as session:
        digests = delete_corpus(session, corpus_for(session, corpus_id, caller), caller.name)
    # Only what the committed transaction let go of is deleted: a crash here leaves files, never rows without files.
    forget_credentials()
    blobs = BlobStore(get_settings().blob_root)
    for digest in digests:
        with writing() as session:
            drop_unregistered(
                session, blobs, digest
            )  # unless somebody has registered the same content meanwhile
    return Response(status_code=204)


@router.get("/{corpus_id}/scheme", summary="The codebook", responses=problems(404))
def get_scheme(corpus_id: CorpusRef, caller: Reader, db: ReadDB, version: int | None = None) -> Response:
    """The newest version of the scheme, or the one asked for; the ETag is what a change asks for."""
    corpus = corpus_for(db, corpus_id, caller)
    number, scheme = newest_scheme(db, corpus.id)
    if version is not None and version != number:
        row = scheme_version(db, corpus.id, version) if 0 < version < 2**31 else None
        if row is None:
            raise NotFound(f"The scheme has no version {version}; the newest is {number}.", field="version")
        number, scheme = row.version, Scheme.from_document(row.document)
    return _scheme_response(number, scheme)


@router.put(
    "/{corpus_id}/scheme",
    summary="Change the codebook",
    response_model=SchemeAnswer,
    responses=problems(404, 412, 413, 422, 428),
)
def put_scheme(
    corpus_id: CorpusRef, body: SchemeRequest, caller: Admin, db: WriteDB, if_match: IfMatch = None
) -> Response:
    """Stores a new version. Options keep their positions, new ones are appended, ones left out are retired; a changed definition reopens settled cells."""
    corpus = lock_corpus(db, corpus_for(db, corpus_id, caller).id)
    version, scheme = _change_scheme(db, corpus, body, if_match)
    db.add(
        AuditLog(actor=caller.name, action="scheme.change", object_id=corpus.id, detail={"version": version})
    )
    return _scheme_response(version, scheme)


def _change_scheme(
    db: WriteSession, corpus: Corpus, body: SchemeRequest, if_match: str | None
) -> tuple[int, Scheme]:
    version, current = newest_scheme(db, corpus.id)
    require_match(if_match, etag_of(version))
    scheme = changed(current, scheme_of(body), get_settings().max_options)
    return store_scheme(db, corpus.id, scheme), scheme


def _scheme_response(version: int, scheme: Scheme) -> Response:
    return JSONResponse(
        scheme_answer(version, scheme).model_dump(mode="json"), headers={"ETag": etag_of(version)}
    )
