"""What the API takes for evaluations of summaries and of causal adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.http.schemas import RequestModel
from app.training.generative_schemas import FieldName, SetReference
from models.catalog import DEFAULT

Items = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["all"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=500)]
USUAL_ITEMS = 50
_ITEMS = "So many, drawn by the seed from those that the adapter has not seen, or `all` of these."
_VOUCHED = (
    "The adapter does not say what it was trained on (it was made elsewhere, or before that was kept): evaluate it all the same, on "
    "your word that it has not seen these texts. The report says so."
)


class SummaryEvaluation(RequestModel):
    """Summaries beside what people wrote. Lead, TextRank, LexRank and MMR always stand in the table."""

    document_set: SetReference | None = Field(
        None,
        description="The rows of this set's JSONL and CSV files; default: the corpus's texts with a summary in their metadata.",
    )
    text_field: FieldName = Field("text", description="Field of a row that holds the text.")
    summary_field: FieldName = Field(
        "summary",
        description="Field of a row, or metadata key of the corpus's texts, that holds the reference.",
    )
    group_field: FieldName = Field(
        "group", description="Field of a row whose value keeps rows together: intervals are by group."
    )
    id_field: FieldName = Field("id", description="Field of a row that names it.")
    items: Items = Field(USUAL_ITEMS, description=_ITEMS)
    style: Literal["document", "dialogue"] | None = Field(
        None, description="What a base model by itself reads before the text; adapters bring their own."
    )
    words: Annotated[int, Field(ge=1, le=100_000)] | Literal["matched"] = Field(
        "matched",
        description="Words an extractive summary may have; matched: as many as the evaluated model's summary of the same text, "
        "without a model the references' mean.",
    )
    max_input_tokens: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="Longer texts are cut, and counted; default: the adapter's own, 1,024 for a base model by itself.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Most tokens of a summary; default: the adapter's own, 256 for a base model by itself.",
    )
    beams: int = Field(1, ge=1, le=16, description="1: greedy.")
    encoder: ModelName = Field(
        DEFAULT,
        description="Base model of BERTScore, of MMR, and of sentences that the source must support: a catalog name or an allowed folder.",
    )
    bertscore_layer: int | None = Field(
        None, ge=1, le=200, description="Layer whose vectors BERTScore compares; default: five sixths up."
    )
    vouched: bool = Field(False, description=_VOUCHED)


class CausalEvaluation(RequestModel):
    """Perplexity of documents under an adapter and its base model, and how both go on from the same words."""

    document_set: SetReference | None = Field(
        None, description="The documents of this set; default: the corpus's texts."
    )
    items: Items = Field(USUAL_ITEMS, description=_ITEMS)
    samples: int = Field(5, ge=0, le=50, description="Documents whose beginning both models go on from.")
    prompt_words: int = Field(50, ge=1, le=2000, description="Words of that beginning.")
    max_tokens: int = Field(80, ge=1, le=2048, description="Most tokens of a continuation; greedy.")
    vouched: bool = Field(False, description=_VOUCHED)
