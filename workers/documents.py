"""A document job: every file of a set becomes text, or is refused by name. `python -m workers.documents JOB FENCE`.

Files are read in this process, so that one that ends it (memory, a fault of a library) takes nothing else along.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from app.blobs import Blob
from app.corpora.queries import drop_unregistered, register_blob
from app.db.session import WriteSession, reading, writing
from app.db.tables import DocumentFile, DocumentSet
from app.documents.queries import files_of
from app.jobs.rules import LeaseLost
from app.settings import get_settings
from models.documents.read import has_rows, is_archive, read_document, unpacked
from models.documents.rows import read_rows
from models.documents.values import DocumentRefusedError, Limits
from workers.job_context import JobContext, JobFailed, JobStopped, child_main

MOST_TRIES = 2
"""Readings that may end the process; then the file is refused."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file became: columns of its row, and blobs to register."""

    columns: dict[str, Any]
    blobs: tuple[tuple[Blob, str], ...] = ()
    """(blob, media type)."""
    inside: tuple[tuple[str, Blob], ...] = ()
    """Files of an archive: name, blob."""


def run(job: JobContext) -> None:
    """Read what waits; goes on where an earlier attempt ended."""
    set_id = str(job.params["document_set"])
    limits = limits_of_settings()
    while True:
        files = _files(set_id)
        waiting = [file for file in files if file.status == "waiting"]
        if not waiting:
            break
        for number, file in enumerate(waiting):
            job.progress(stage="reading", done=len(files) - len(waiting) + number, total=len(files))
            if job.stop_reason() is not None:
                raise JobStopped
            _take(job, file, limits)
    job.transaction(lambda session: _finish(job, session, set_id))


def limits_of_settings() -> Limits:
    """What the operator lets one document hold."""
    settings = get_settings()
    return Limits(
        bytes=settings.max_document_bytes,
        characters=settings.max_document_characters,
        files=settings.max_document_files,
        archive_bytes=settings.max_upload_bytes,
    )


def _files(set_id: str) -> Sequence[DocumentFile]:
    with reading() as session:
        files = files_of(session, set_id)
        session.expunge_all()
    if not files:
        raise JobFailed("not-found", "The document set was deleted while its files were read.")
    return files


def _take(job: JobContext, file: DocumentFile, limits: Limits) -> None:
    """Read one file and store what came of it."""
    _count_tries(job, file, file.tries + 1)
    try:
        if file.tries >= MOST_TRIES:
            raise DocumentRefusedError(
                "document-unreadable",
                file.filename,
                "reading it ended the reading process twice (memory, or a fault in it). Save it anew, or split it.",
            )
        found = _read(job, file, limits)
    except DocumentRefusedError as refused:
        found = _Read({"status": "refused", "code": refused.code, "detail": str(refused)})
    except JobStopped:  # the file is not to blame
        _count_tries(job, file, file.tries)
        raise
    try:
        job.transaction(lambda session: _store(job, session, file, found))
    except (JobFailed, LeaseLost):
        _forget_deleted(job, file, found)
        raise


def _count_tries(job: JobContext, file: DocumentFile, tries: int) -> None:
    query = update(DocumentFile).where(DocumentFile.id == file.id).values(tries=tries)
    job.transaction(lambda session: session.execute(query))


def _breathe(job: JobContext) -> None:
    """Between two pages or files of an archive: a sign of life, JobStopped when the job shall stop."""
    job.beat("reading")
    if job.stop_reason() is not None:
        raise JobStopped


def _forget_deleted(job: JobContext, file: DocumentFile, found: _Read) -> None:
    """Remove what was read out of a file whose set, or corpus, was deleted meanwhile: nothing of it stays."""
    with reading() as session:
        if session.get(DocumentFile, file.id) is not None:
            return
    _forget(job, {blob.digest for blob, _media_type in found.blobs})


def _forget(job: JobContext, digests: set[str]) -> None:
    """Delete those of these blobs that no row refers to."""
    for digest in digests:
        with writing() as session:
            drop_unregistered(session, job.blobs, digest)


def _read(job: JobContext, file: DocumentFile, limits: Limits) -> _Read:
    path = job.blobs.path(file.source_blob)
    if is_archive(file.filename) and not file.inside:
        inside = _unpack(job, file, path, limits)
        blobs = tuple((blob, "application/octet-stream") for _name, blob in inside)
        return _Read({"status": "unpacked", "kind": "archive"}, blobs, tuple(inside))
    content = path.read_bytes()
    if has_rows(file.filename):
        rows, warnings = read_rows(content, file.filename, limits)
        blob = job.blobs.put_bytes(
            "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("utf-8", "replace")
        )
        columns = {"kind": "rows", "row_count": len(rows)}
        return _Read(
            columns | {"status": "read", "warnings": list(warnings), "text_blob": blob.digest},
            ((blob, "application/jsonl"),),
        )
    document = read_document(content, file.filename, limits, lambda: _breathe(job))
    blob = job.blobs.put_bytes(document.text.encode("utf-8", "replace"))
    columns = {"kind": "document", "pages": document.pages, "characters": len(document.text)}
    return _Read(
        columns | {"status": "read", "warnings": list(document.warnings), "text_blob": blob.digest},
        ((blob, "text/plain"),),
    )


def _unpack(job: JobContext, file: DocumentFile, path: Path, limits: Limits) -> list[tuple[str, Blob]]:
    """Store the files of an archive: all of them, or none."""
    inside: list[tuple[str, Blob]] = []
    try:
        for name, content in unpacked(path, file.filename, limits):
            _breathe(job)
            inside.append((f"{file.filename}/{name}", job.blobs.put_bytes(content)))
    except (DocumentRefusedError, JobStopped):
        _forget(job, {blob.digest for _name, blob in inside})
        raise
    return inside


def _store(job: JobContext, session: WriteSession, file: DocumentFile, found: _Read) -> None:
    status = session.scalar(select(DocumentFile.status).where(DocumentFile.id == file.id))
    if status is None:
        raise JobFailed("not-found", "The document set was deleted while its files were read.")
    if status != "waiting":  # an earlier run of this transaction was committed after all
        return
    for blob, media_type in found.blobs:
        register_blob(session, job.blobs, blob, media_type, "document")
    for name, blob in found.inside:
        session.add(
            DocumentFile(set_id=file.set_id, filename=name[-500:], source_blob=blob.digest, inside=True)
        )
    columns = found.columns | _repetition(session, file, found.columns)
    session.execute(update(DocumentFile).where(DocumentFile.id == file.id).values(**columns))
    job.save_checkpoint({"file": file.id}, session)


def _repetition(session: WriteSession, file: DocumentFile, columns: dict[str, Any]) -> dict[str, Any]:
    """A warning where the same file stands in the set before; training takes it once."""
    query = select(DocumentFile.filename).where(
        DocumentFile.set_id == file.set_id,
        DocumentFile.source_blob == file.source_blob,
        DocumentFile.id < file.id,
    )
    before = session.scalar(query.limit(1))
    if before is None:
        return {}
    return {"warnings": [*columns.get("warnings", []), f"The same file as {before}."]}


def _finish(job: JobContext, session: WriteSession, set_id: str) -> None:
    session.execute(update(DocumentSet).where(DocumentSet.id == set_id).values(read_at=func.now()))
    files = files_of(session, set_id)
    refused = [file for file in files if file.status == "refused"]
    job.succeed(
        session,
        {
            "document_set": set_id,
            "documents": sum(file.kind == "document" and file.status == "read" for file in files),
            "rows": sum(file.row_count or 0 for file in files),
            "refused": len(refused),
            "refusals": [{"code": file.code, "detail": file.detail} for file in refused[:20]],
            "characters": sum(file.characters or 0 for file in files),
        },
    )


if __name__ == "__main__":
    child_main(run)
