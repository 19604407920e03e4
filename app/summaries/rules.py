"""Rules of summaries: which wishes go together, what a worker is asked for, what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from app.http.problems import Invalid, Problem
from app.inference.answers import refusal
from app.settings import get_settings
from app.summaries.schemas import SummarizeAnswer
from app.summaries.wishes import ABSTRACTIVE_ONLY, DECODING, EXTRACTIVE_ONLY, SummaryWishes
from app.training.base_models import check_base_model
from models.catalog import CATALOG

BASE_WINDOW = 1024
"""Tokens that a base model without an adapter reads at once, unless asked otherwise: what adapters are trained on by default."""
DEFAULT_TOKENS = 128
_MADE = ("chunks", "rounds", "calls", "tokens_in_text", "window", "kept_sentences", "sentences_in_text")


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes abstractive summaries."""

    asked: Mapping[str, Any]
    """`adapter` (a blob digest) or `base`, as workers take them."""
    adapter: str | None
    """Adapter id."""
    reading: Mapping[str, Any]
    """What the adapter's manifest says of how it was trained: style, max_target_tokens; empty for a base model."""


def check_wishes(body: SummaryWishes) -> None:
    """Raise Invalid for wishes that contradict each other or belong to other methods."""
    lengths = [name for name in ("max_sentences", "max_words", "ratio") if getattr(body, name) is not None]
    if len(lengths) > 1:
        raise Invalid(
            "Give one of `max_sentences`, `max_words` and `ratio`, not several.",
            field="/max_sentences",
            slug="several-lengths",
        )
    abstractive = body.method == "abstractive"
    foreign = [name for name in (EXTRACTIVE_ONLY if abstractive else ABSTRACTIVE_ONLY) if _given(body, name)]
    if foreign:
        other = "extractive methods" if abstractive else "the method abstractive"
        raise Invalid(
            f"`{foreign[0]}` belongs to {other}, and the method is {body.method}: leave it out, or change `method`.",
            field=f"/{foreign[0]}",
            slug="other-method",
        )
    if not abstractive:
        return
    if body.adapter is not None and body.base_model is not None:
        raise Invalid(
            "Name an adapter or a base model, not both: an adapter has its own base model.",
            field="/base_model",
            slug="adapter-or-base",
        )
    check_embedder(body.embedder, "/embedder")
    if body.beams > 1 and body.temperature > 0:
        raise Invalid(
            "Beams are searched, not drawn: leave `temperature` at 0, or `beams` at 1.",
            field="/beams",
            slug="beams-or-temperature",
        )


def check_embedder(name: str, field: str) -> None:
    """Raise Invalid for an encoder that is neither of the catalog, on this machine or not, nor a folder that the operator allows."""
    if name not in CATALOG:
        try:
            check_base_model(name, get_settings())
        except Invalid as problem:
            raise Invalid(problem.detail, field=field, slug="unknown-base-model") from None


def _given(body: SummaryWishes, name: str) -> bool:
    field = type(body).model_fields[name]
    return bool(getattr(body, name) != field.get_default(call_default_factory=True))


def recipe_of(body: SummaryWishes, writer: Writer | None) -> dict[str, Any]:
    """How texts are summarized, as workers read it (`models.text.summarizing.recipe_of`)."""
    lengths = {name: getattr(body, name) for name in ("max_sentences", "max_words", "ratio")}
    recipe: dict[str, Any] = {name: value for name, value in lengths.items() if value is not None}
    if writer is None:
        return recipe | {"method": body.method, "trade_off": body.trade_off}
    recipe |= {
        "method": "abstractive",
        "style": body.style or writer.reading.get("style") or "document",
        "strategy": body.strategy,
        "salience": body.salience,
        "max_tokens": body.max_tokens or writer.reading.get("max_target_tokens") or DEFAULT_TOKENS,
        "window": body.window or (None if writer.adapter else BASE_WINDOW),
        "min_supported": body.min_supported,
    }
    return {name: value for name, value in recipe.items() if value is not None}


def decoding_of(body: SummaryWishes) -> dict[str, Any]:
    """How tokens are chosen, as /generate takes it."""
    return {name: getattr(body, name) for name in DECODING}


def style_warning(body: SummaryWishes, writer: Writer) -> list[str]:
    """What to say where a style is asked for that the adapter was not trained on."""
    trained = writer.reading.get("style")
    if body.style is None or trained is None or body.style == trained:
        return []
    return [
        f"The adapter was trained on the style {trained}, and {body.style} was asked for: it has not seen such inputs."
    ]


def written(body: SummaryWishes, writer: Writer, document: Mapping[str, Any]) -> SummarizeAnswer:
    """The answer from a worker's `done`."""
    model = document["model"]
    return SummarizeAnswer(
        summary=document["text"],
        sentences=[],
        method="abstractive",
        base_model=model["name"],
        words=document["words"],
        words_in_text=document["words_in_text"],
        warnings=[*style_warning(body, writer), *document["warnings"]],
        strategy=document["strategy"],
        model={
            "name": model["name"], "sha256": model["sha256"], "family": model["family"], "adapter": writer.adapter,
            "digest": model["adapter"],
        },
        faithfulness=document["faithfulness"],
        **{name: document[name] for name in _MADE},
    )  # fmt: skip


def failed(document: Mapping[str, Any], writer: Writer) -> Problem:
    """The problem of a worker's `failed`."""
    rest = dict(document)
    field = rest.pop("field", None)
    headers = {"Retry-After": str(rest.pop("retry_after"))} if "retry_after" in rest else {}
    named = "/adapter" if writer.adapter else "/base_model"
    answer = httpx.Response(int(rest.pop("status")), json=document, headers=headers)
    problem = refusal(answer, f"/{field}" if field else named)
    problem.extra |= {name: value for name, value in rest.items() if name not in ("code", "detail")}
    return problem
