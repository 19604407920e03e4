"""What the API takes for evaluations of summaries and of causal adapters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from app.http.problems import Invalid
from app.http.schemas import RequestModel
from app.training.generative_schemas import SetReference, SummaryPairs
from models.catalog import DEFAULT

Items = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["all"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Strategy = Literal["cut", "auto", "extract_then_abstract", "chunk_and_merge"]
USUAL_ITEMS = 50
_ITEMS = "So many, drawn by the seed from those that the adapter has not seen, or `all` of these."
_VOUCHED = (
    "The adapter does not say what it was trained on (it was made elsewhere, or before that was kept): evaluate it all the same, on "
    "your word that it has not seen these texts. The report says so."
)


class SummaryEvaluation(SummaryPairs):
    """Summaries beside what people wrote. Lead, TextRank, LexRank and MMR always stand in the table."""

    items: Items = Field(USUAL_ITEMS, description=_ITEMS)
    style: Literal["document", "dialogue"] | None = Field(
        None, description="What a base model by itself reads before the text; adapters bring their own."
    )
    words: Annotated[int, Field(ge=1, le=100_000)] | Literal["matched"] = Field(
        "matched",
        description="Words an extractive summary may have; matched: as many as the evaluated model's summary of the same text; where that is "
        "empty, the mean of those that are not; where all are, or without a model, the references' mean.",
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
    strategies: list[Strategy] = Field(
        ["cut"],
        min_length=1,
        max_length=4,
        description="How a model summarizes texts longer than `max_input_tokens`: `cut` reads their beginning, as training does; the others "
        "are those of POST /summarize. By each the model under evaluation gets a row of its own, paired with the first; other models "
        "summarize by the first.",
    )
    encoder: ModelName = Field(
        DEFAULT,
        description="Base model of BERTScore, of MMR, and of sentences that the source must support: a catalog name or an allowed folder.",
    )
    bertscore_layer: int | None = Field(
        None, ge=1, le=200, description="Layer whose vectors BERTScore compares; default: five sixths up."
    )
    vouched: bool = Field(False, description=_VOUCHED)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.strategies)) < len(self.strategies):
            raise Invalid("Name each strategy once.", field="/summarize/strategies", slug="strategy-repeated")
        return self


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
