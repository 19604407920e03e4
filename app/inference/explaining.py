"""Asking a worker to explain what it has just read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.inference.answers import refusal
from app.inference.explain_schemas import ExplainChoice, Explanation
from app.inference.explanations import ExplainLimits, explanation_of, options_to_explain
from app.inference.pool import Gone, WorkerPool
from app.inference.queries import Served
from app.settings import Settings


def explain_limits(settings: Settings) -> ExplainLimits:
    """What the operator allows."""
    return ExplainLimits(settings.explain_texts, settings.explain_options, settings.explain_characters)


async def explanations(
    workers: WorkerPool,
    served: Served,
    texts: Sequence[str],
    readings: Sequence[dict[str, Any]],
    choice: ExplainChoice,
    most: int,
    pool: str,
    gone: Gone | None = None,
) -> list[Explanation | None]:
    """An explanation per text, None for texts that could not be read.

    Args:
        workers: who explains.
        served: the adapter.
        texts: of the request.
        readings: the worker's `results` of POST /classify, in the same order.
        choice: which options, how many words.
        most: options explained where none are named.
        pool: how windows were pooled.
        gone: as `WorkerPool.post` takes it.
    """
    rows = [row for row, reading in enumerate(readings) if "error" not in reading]
    options = [
        options_to_explain(choice, served.scheme, readings[row]["probabilities"], most) for row in rows
    ]
    asked = [texts[row] for row in rows]
    answered = await explained_texts(workers, served, asked, options, choice.top, pool, gone) if rows else []
    found: list[Explanation | None] = [None] * len(texts)
    for row, explanation in zip(rows, answered, strict=True):
        found[row] = explanation
    return found


async def explained_texts(
    workers: WorkerPool,
    served: Served,
    texts: Sequence[str],
    options: Sequence[Sequence[str]],
    top: int,
    pool: str = "mean",
    gone: Gone | None = None,
) -> list[Explanation]:
    """An explanation per text for its own options, by key, with `top` words of each."""
    asked = {
        "adapter": served.blob_digest,
        "texts": list(texts),
        "options": [list(keys) for keys in options],
        "top": top,
        "pool": pool,
    }
    answer = await workers.post("/explain", asked, gone)
    if not answer.is_success:
        raise refusal(answer, "/explain")
    return [
        explanation_of(text, result) for text, result in zip(texts, answer.json()["results"], strict=True)
    ]
