"""From a worker's answers to the API's, and its refusals as problems that name the field at fault."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import httpx

from app.generating.queries import Writes
from app.generating.rules import place_of
from app.generating.schemas import (
    BaseAnswer,
    GenerateAnswer,
    PerplexityAnswer,
    TextPerplexity,
    Written,
    WrittenBy,
)
from app.http.problems import Invalid, Problem
from app.inference.answers import refusal

_MOST_NATS = 700.0
"""e to more than this is no number that JSON has."""


def generated(
    documents: Sequence[dict[str, Any]], writes: Writes | None, seed: int, warnings: list[str]
) -> GenerateAnswer:
    """The answer of POST /generate.

    documents: the worker's answers: of the model asked, and with `compare` of its base model.
    """
    base = BaseAnswer(model=written_by(documents[1], None), results=_texts(documents[1], seed)) if len(documents) > 1 else None  # fmt: skip
    return GenerateAnswer(
        model=written_by(documents[0], writes),
        results=_texts(documents[0], seed),
        base=base,
        seed=seed,
        warnings=warnings,
    )


def measured(
    documents: Sequence[dict[str, Any]], writes: Writes | None, window: int, warnings: list[str]
) -> PerplexityAnswer:
    """The answer of POST /perplexity; documents as for `generated`."""
    others = documents[1]["results"] if len(documents) > 1 else [None] * len(documents[0]["results"])
    results = [_perplexity(own, other) for own, other in zip(documents[0]["results"], others, strict=True)]
    return PerplexityAnswer(
        model=written_by(documents[0], writes), results=results, window=window, warnings=warnings
    )


def written_by(document: dict[str, Any], writes: Writes | None) -> WrittenBy:
    """Who wrote, from what the worker says and what the database knows."""
    model = document["model"]
    return WrittenBy(
        adapter=writes.id if writes else None,
        name=writes.name if writes else model["name"],
        digest=model["adapter"],
        base_model=writes.base_model if writes else model["name"],
        base_sha256=model["sha256"],
        family=model["family"],
        corpus_id=writes.corpus_id if writes else None,
    )


def written(result: dict[str, Any], seed: int) -> Written:
    """One text."""
    if "error" in result:
        return Written(text="", tokens=0, prompt_tokens=0, finish=None, seed=seed, error=result["error"])
    return Written(
        seed=seed, **{name: result[name] for name in ("text", "tokens", "prompt_tokens", "finish")}
    )


def writer_refusal(answer: httpx.Response, field: str, model: str) -> Problem:
    """The problem for a worker's refusal.

    Args:
        answer: the worker's.
        field: of the prompts in the request.
        model: field that the model was named by.
    """
    try:
        document = answer.json()
    except ValueError:
        document = {}
    code = document.get("code")
    if code not in ("prompt-too-long", "no-room"):
        return refusal(answer, model)
    where = place_of(field, int(document["prompt"])) if code == "prompt-too-long" else "/max_tokens"
    numbers = {name: document[name] for name in ("tokens", "longest_input", "room") if name in document}
    return Invalid(f"{str(document['detail']).capitalize()}.", field=where, slug=str(code), **numbers)


def _texts(document: dict[str, Any], seed: int) -> list[Written]:
    return [written(result, seed + place) for place, result in enumerate(document["results"])]


def _perplexity(own: dict[str, Any], other: dict[str, Any] | None) -> TextPerplexity:
    error = own.get("error") or (other or {}).get("error")
    if error:
        return TextPerplexity(tokens=0, perplexity=None, base_perplexity=None, ratio=None, error=error)
    ratio = math.exp(min(_MOST_NATS, (own["nats"] - other["nats"]) / own["tokens"])) if other else None
    return TextPerplexity(
        tokens=own["tokens"],
        perplexity=own["perplexity"],
        base_perplexity=other["perplexity"] if other else None,
        ratio=ratio,
    )
