"""What the API says about document sets."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.http.schemas import AnswerModel


class DocumentFileAnswer(AnswerModel):
    """A file of a set."""

    filename: str = Field(description="Inside an archive: archive.zip/folder/file.pdf.")
    status: Literal["waiting", "read", "refused", "unpacked"]
    kind: Literal["document", "rows", "archive"] | None = Field(
        description="A document, a file of rows (texts with summaries), or an archive; null while it waits."
    )
    pages: int | None
    characters: int | None
    rows: int | None
    code: str | None = Field(description="Why it was refused: document-scanned, document-corrupt …")
    detail: str | None = Field(description="The same in words, and what to do.")
    warnings: list[str]


class DocumentSetAnswer(AnswerModel):
    """A document set."""

    id: str = Field(examples=["doc_01k3zq5w0v8n2m4c6x7y9abc"])
    corpus_id: str
    name: str
    state: Literal["reading", "ready", "failed"]
    job_id: str | None = Field(description="The job that reads the files: GET /document-jobs/{job_id}.")
    documents: int = Field(description="Files read as documents.")
    rows: int = Field(description="Rows read from JSONL and CSV files.")
    refused: int = Field(description="Files that could not be read.")
    waiting: int = Field(description="Files not looked at yet.")
    pages: int
    characters: int
    created_by: str | None
    created_at: datetime


class DocumentSetDetail(DocumentSetAnswer):
    """A document set with its files, in the order of upload; files of archives come last."""

    files: list[DocumentFileAnswer]
