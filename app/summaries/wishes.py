"""How a summary shall be made: what POST /summarize and POST /summary-jobs both take."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.http.schemas import RequestModel

Extractive = Literal["mmr", "textrank", "lexrank", "lead"]
Method = Literal["mmr", "textrank", "lexrank", "lead", "abstractive"]
Style = Literal["document", "dialogue"]
Strategy = Literal["auto", "whole", "extract_then_abstract", "chunk_and_merge"]


class SummaryWishes(RequestModel):
    """Method, length, and for abstractive summaries who writes and how."""

    model_config = ConfigDict(populate_by_name=True)
    method: Method = Field(
        "mmr",
        description="`mmr`: sentences that stand for the whole and do not repeat each other (maximal marginal relevance over sentence embeddings); "
        "`textrank`, `lexrank`: those that share most words with the others; `lead`: the first ones; `abstractive`: written by `adapter`, by `base_model`, or by the corpus's promoted adapter.",
    )
    max_sentences: int | None = Field(None, ge=1, le=1000, description="For extractive methods (default 3).")
    max_words: int | None = Field(None, ge=1, le=100_000)
    ratio: float | None = Field(None, gt=0, le=1, description="Share of the text's words.")
    trade_off: float = Field(
        0.7, ge=0, le=1, alias="lambda", description="1: relevance alone, 0: novelty alone. For `mmr`."
    )
    base_model: str | None = Field(
        None,
        max_length=500,
        description="Extractive: catalog name of the model whose embeddings are compared (default minilm). Abstractive: a model of the T5 family "
        "that writes without an adapter, by catalog name or allowed folder.",
    )
    adapter: str | None = Field(
        None,
        max_length=100,
        description="Abstractive: the adapter that writes (adp_…, of the task summarize); default: the corpus's promoted one.",
        examples=["adp_01k3zq5w0v8n2m4c6x7y9abc"],
    )
    style: Style | None = Field(
        None,
        description="Abstractive: what the text is; default: what the adapter was trained on, else document.",
    )
    strategy: Strategy = Field(
        "auto",
        description="Abstractive, for texts longer than the model reads: `extract_then_abstract` gives it the sentences that stand for the text, "
        "`chunk_and_merge` has it summarize every part and merges the summaries; `auto` extracts texts of up to 8 times what the model reads.",
    )
    salience: Extractive = Field(
        "lexrank", description="Abstractive: how `extract_then_abstract` chooses sentences."
    )
    max_tokens: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="Abstractive: longest summary in tokens, where no other length is given; default: the adapter's.",
    )
    window: int | None = Field(
        None,
        ge=64,
        le=16_384,
        description="Abstractive: tokens to read at once, if fewer than the model's own.",
    )
    beams: int = Field(1, ge=1, le=16, description="Abstractive: 1 takes the likeliest token each time.")
    temperature: float = Field(
        0.0, ge=0, le=10, description="Abstractive: above 0 tokens are drawn, with `seed`."
    )
    top_p: float = Field(1.0, ge=1e-6, le=1)
    top_k: int = Field(0, ge=0, le=1_000_000)
    repetition_penalty: float = Field(1.0, ge=0.1, le=10)
    seed: int = Field(0, ge=0, lt=2**31)
    min_supported: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Abstractive: a summary of which a smaller share of sentences is supported by its text is refused (docs/summaries.md).",
    )
    embedder: str = Field(
        "minilm",
        max_length=500,
        description="Abstractive: catalog name of the model whose embeddings help to find support.",
    )


ABSTRACTIVE_ONLY = (
    "adapter", "style", "strategy", "salience", "max_tokens", "window", "beams", "temperature", "top_p", "top_k",
    "repetition_penalty", "min_supported",
)  # fmt: skip
"""Fields that extractive methods have no use for."""
DECODING = ("beams", "temperature", "top_p", "top_k", "repetition_penalty", "seed")
EXTRACTIVE_ONLY = ("max_sentences", "trade_off")
