"""What the API takes and says about generative train jobs: `causal` and `summarize`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.http.schemas import AnswerModel, RequestModel
from app.training.estimate_schemas import GenerativeEstimateAnswer

Auto = Literal["auto"]
SetReference = Annotated[str, StringConstraints(min_length=1, max_length=40)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class CausalSettings(RequestModel):
    """Domain adaptation: what `task: causal` learns from, and how documents are cut."""

    document_set: SetReference | None = Field(
        None,
        description="The documents of this set (doc_…) of the same corpus; default: the corpus's texts.",
    )
    document_limit: int | None = Field(
        None,
        ge=2,
        description="At most so many documents, chosen by the seed, those held out included.",
    )
    block_tokens: Annotated[int, Field(ge=16, le=32768)] | Auto = Field(
        "auto",
        description="Documents are wrapped into blocks of so many tokens; none sees another. auto: 2,048, or what the model reads.",
    )
    held_out_share: float = Field(
        0.1, gt=0, lt=0.9, description="Share of the documents that perplexity is measured on."
    )
    schedule: Literal["cosine", "linear"] = Field("cosine", description="How the learning rate decays.")


class SummaryPairs(RequestModel):
    """Where texts with summaries are found: those of training, and those of an evaluation."""

    document_set: SetReference | None = Field(
        None,
        description="The rows of this set's JSONL and CSV files; default: the corpus's texts with a summary in their metadata.",
    )
    text_field: FieldName = Field("text", description="Field of a row that holds the text.")
    summary_field: FieldName = Field(
        "summary",
        description="Field of a row, or metadata key of the corpus's texts, that holds the summary.",
    )
    group_field: FieldName = Field(
        "group",
        description="Field of a row whose value keeps rows together: they are held out together, and intervals are by group.",
    )
    id_field: FieldName = Field("id", description="Field of a row that names it.")


class SummarizeSettings(SummaryPairs):
    """Sequence-to-sequence training: where `task: summarize` finds texts with summaries, and how long they may be."""

    style: Literal["document", "dialogue"] = Field(
        "document", description="What is summarized; decides what the model reads before the text."
    )
    max_input_tokens: int = Field(1024, ge=16, le=16384, description="Longer texts are cut, and counted.")
    max_target_tokens: int = Field(256, ge=4, le=4096, description="Longer summaries are cut, and counted.")
    document_limit: int | None = Field(
        None, ge=2, description="At most so many pairs, chosen by the seed, those held out included."
    )
    held_out_share: float = Field(
        0.1, gt=0, lt=0.9, description="Share of the pairs that loss and ROUGE-L are measured on."
    )
    rouge_pairs: int = Field(
        100, ge=0, le=10_000, description="Held-out pairs that summaries are written for, before and after."
    )
    schedule: Literal["cosine", "linear"] = Field("cosine", description="How the learning rate decays.")


class GenerativePreview(AnswerModel):
    """What a generative train job would learn from; nothing was stored."""

    corpus_id: str
    task: Literal["causal", "summarize"]
    documents: int = Field(
        description="Documents, or pairs of text and summary, before duplicates are dropped."
    )
    characters: int
    approximate_tokens: int = Field(
        description="Characters / 4; the estimate's `tokens` go by the base model's tokenizer."
    )
    warnings: list[str]
    estimate: GenerativeEstimateAnswer | None = Field(
        None, description="None while no trainer has measured this yet: ask again after Retry-After."
    )
    measuring: str | None = Field(None, description="The measuring job that the estimate waits for.")
