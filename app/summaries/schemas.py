"""Body and answer of POST /summarize."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.http.schemas import AnswerModel
from app.summaries.wishes import SummaryWishes


class SummarizeBody(SummaryWishes):
    """A text and how its summary shall be; at most one of `max_sentences`, `max_words`, `ratio`."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"text": "The applicant was arrested. He complained of it.", "max_sentences": 1},
                {
                    "text": "The applicant was arrested. He complained of it.",
                    "method": "abstractive",
                    "adapter": "adp_01k3zq5w0v8n2m4c6x7y9abc",
                    "max_words": 60,
                    "min_supported": 0.8,
                },
            ]
        },
    )
    text: str
    corpus: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None,
        description="Abstractive: where neither `adapter` nor `base_model` is named, the promoted adapter of this corpus (id or name) writes; default: "
        "the key's own corpus.",
    )
    stream: bool = Field(
        False,
        description="Abstractive: answer with Server-Sent Events `progress` {stage, done, total}, without `min_supported` and beams `piece` {text} as the summary is written, then `done` (this answer) or `failed` (a problem).",
    )


class SummarySentence(AnswerModel):
    """A sentence of the source, verbatim: `text[start:end]`."""

    start: int
    end: int
    text: str


class UnsupportedItem(AnswerModel):
    """A number, date, citation or name of the summary that its text does not have: `summary[start:end]`."""

    kind: Literal["number", "date", "citation", "name"]
    text: str
    start: int
    end: int


class ItemCounts(AnswerModel):
    """How many items of each kind a summary has."""

    number: int
    date: int
    citation: int
    name: int


class SentenceSupport(AnswerModel):
    """A sentence of the summary, `summary[start:end]`, and what in the text speaks for it."""

    start: int
    end: int
    supported: bool
    overlap: float = Field(
        description="Share of its terms found in one stretch of three sentences of the text."
    )
    similarity: float | None = Field(
        description="Highest cosine to a sentence of the text; null where its words suffice, or no embedder was at hand."
    )
    source: list[int] | None = Field(
        description="[start, end] of the stretch of the text that speaks most for it."
    )
    unsupported_items: int


class Faithfulness(AnswerModel):
    """What of a summary is found in its text. No proof: a negation or an exchange of parties is not seen (docs/summaries.md)."""

    supported_share: float = Field(description="Share of the summary's sentences that are supported.")
    items: ItemCounts
    unsupported: list[UnsupportedItem]
    sentences: list[SentenceSupport]
    names_checked: bool = Field(
        description="False where the script knows no capitals: names cannot be told then."
    )
    embedded: bool = Field(description="Whether embeddings were needed and at hand.")


class WrittenBy(AnswerModel):
    """The model that wrote."""

    name: str = Field(description="Base model.")
    sha256: str = Field(description="Of the base model's weights.")
    family: str
    adapter: str | None = Field(description="Adapter id.")
    digest: str | None = Field(description="Digest of the adapter's manifest.")


class SummarizeAnswer(AnswerModel):
    """A summary. Extractive: chosen sentences in the order of the text; abstractive: written, with its faithfulness."""

    summary: str
    sentences: list[SummarySentence] = Field(description="Of extractive summaries; empty otherwise.")
    method: str
    base_model: str | None = Field(
        description="Extractive: whose embeddings were compared, null when none were. Abstractive: the base model."
    )
    sentences_in_text: int
    words: int = Field(description="Words of the summary; a Chinese character or a kana counts as one.")
    words_in_text: int
    warnings: list[str]
    strategy: Literal["extractive", "whole", "extract_then_abstract", "chunk_and_merge"] = Field(
        "extractive", description="Which strategy ran."
    )
    model: WrittenBy | None = Field(None, description="Abstractive: who wrote.")
    chunks: int | None = Field(None, description="Abstractive: parts that were summarized on their own.")
    rounds: int | None = Field(None, description="Abstractive: passes over parts before the last.")
    calls: int | None = Field(None, description="Abstractive: texts that the model was given to summarize.")
    tokens_in_text: int | None = None
    window: int | None = Field(None, description="Abstractive: tokens of text that the model reads at once.")
    kept_sentences: int | None = Field(
        None,
        description="Abstractive: sentences of the text that the model was given; fewer than all for an extract.",
    )
    faithfulness: Faithfulness | None = None
