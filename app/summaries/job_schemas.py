"""What the API takes for a summary job, and what it says of runs and summaries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from app.db.tables import Summary, SummaryRun
from app.http.paging import Cursor, Limit, Page
from app.http.schemas import AnswerModel, RequestModel
from app.ids import numbered
from app.summaries.schemas import Faithfulness
from app.summaries.wishes import SummaryWishes


class SummaryJobBody(SummaryWishes):
    """Which corpus, and how its texts are summarized."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"corpus": "letters", "method": "lexrank", "max_sentences": 3},
                {
                    "corpus": "letters",
                    "method": "abstractive",
                    "adapter": "adp_01k3zq5w0v8n2m4c6x7y9abc",
                    "max_words": 80,
                },
            ]
        },
    )
    corpus: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="Whose texts are summarized: id or name. Abstractive: its promoted adapter writes where neither `adapter` nor `base_model` is named."
    )


class SummaryFilters(RequestModel):
    """Which summaries of which run."""

    corpus: str | None = Field(None, max_length=200, description="Id or name; default: the key's own corpus.")
    run: str | None = Field(None, max_length=100, description="A summary run (smr_…); default: the newest.")
    min_supported: float | None = Field(
        None, ge=0, le=1, description="Only those of whose sentences at least this share is supported."
    )
    max_supported: float | None = Field(
        None, ge=0, le=1, description="Only those of whose sentences at most this share is supported."
    )
    without: bool = Field(False, description="Only texts that have no summary.")
    text_id: str | None = Field(None, max_length=40, description="Only of this text.", examples=["txt_17"])


class SummaryListing(SummaryFilters):
    """Which summaries to list."""

    limit: Limit = 50
    cursor: Cursor = None


class SummaryExport(SummaryFilters):
    """Which summaries to export, and how."""

    format: Literal["csv", "jsonl"] = "csv"
    with_text: bool = Field(False, description="Also the texts that were summarized.")


class SummaryRunAnswer(AnswerModel):
    """One pass over a corpus's texts."""

    id: str = Field(examples=["smr_01k3zq5w0v8n2m4c6x7y9abc"])
    job_id: str
    corpus_id: str
    adapter_id: str | None
    method: str
    parameters: dict[str, Any]
    model: dict[str, Any] = Field(
        description="Abstractive: base model and digest of the adapter, as the worker said; empty before it wrote."
    )
    text_count: int
    watermark: int = Field(description="Texts done.")
    without: int = Field(description="Texts done that have no summary.")
    finished_at: datetime | None
    created_at: datetime


class NoSummary(AnswerModel):
    """Why a text has no summary."""

    code: str
    detail: str


class SummaryAnswer(AnswerModel):
    """The summary of one text."""

    text_id: str = Field(examples=["txt_17"])
    external_id: str
    text_version: int = Field(description="Number of the text version that was summarized.")
    current: bool = Field(
        description="Whether the corpus still has that version; false once the text has been edited."
    )
    run_id: str
    summary: str | None = Field(description="Null where there is none: `error` says why.")
    words: int
    words_in_text: int
    strategy: Literal["extractive", "whole", "extract_then_abstract", "chunk_and_merge"] | None
    supported_share: float | None = Field(
        description="Abstractive: share of its sentences that the text supports."
    )
    faithfulness: Faithfulness | None
    details: dict[str, Any] = Field(
        description="Extractive: `sentences`, their offsets in the text. Abstractive: chunks, rounds, calls, tokens_in_text, window. Both: `warnings`."
    )
    error: NoSummary | None


class SummaryPage(Page[SummaryAnswer]):
    """A page of a run's summaries."""

    run_id: str | None = Field(None, description="The run walked; null when the corpus was never summarized.")
    finished: bool = Field(
        False,
        description="Whether all texts of the run are done; until then more may come after the last page.",
    )


def summary_answer(row: Row[Any]) -> SummaryAnswer:
    """The API's form of a row of `queries.list_summaries`."""
    summary: Summary = row.Summary
    return SummaryAnswer(
        text_id=numbered("txt", row.text_id),
        external_id=row.external_id,
        text_version=row.version,
        current=row.current_version_id == summary.text_version_id,
        run_id=summary.run_id,
        summary=summary.text,
        words=summary.words,
        words_in_text=summary.words_in_text,
        strategy=summary.strategy,
        supported_share=None if summary.supported_share is None else round(summary.supported_share, 4),
        faithfulness=summary.faithfulness,
        details=summary.details,
        error=summary.error,
    )


def run_answer(run: SummaryRun) -> SummaryRunAnswer:
    """The API's form of a run."""
    return SummaryRunAnswer(**{name: getattr(run, name) for name in SummaryRunAnswer.model_fields})
