"""From a worker's answer to the API's: readings per option, and its refusals as problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import httpx

from app.http.problems import Conflict, Invalid, Problem, TooLarge, Unavailable
from app.inference.explain_schemas import Explanation
from app.inference.queries import Served
from app.inference.rules import decisions
from app.inference.schemas import ClassifyAnswer, OptionReading, ReadBy, Stretch, TextReading
from models.scheme import Scheme

NO_CONTEXTS = (
    "This adapter also reads what stands around a text, was made before there was a reading of texts alone, and was given no context "
    "for some of them: it reads these less well (`without_context` in its report). Train it again."
)


_REFUSED = {
    "queue-full": "The inference workers are busy",
    "late": "The inference workers are busy and have not begun this in the time that you wait, so it was not computed",
}


def classified(
    document: dict[str, Any],
    served: Served,
    explanations: Sequence[Explanation | None] = (),
) -> ClassifyAnswer:
    """The answer of POST /classify from a worker's.

    explanations: one per text, or none at all.
    """
    model = ReadBy(
        adapter=served.id, name=served.name, digest=served.digest,
        base_model=served.base_model, corpus_id=served.corpus_id,
    )  # fmt: skip
    results = [_reading(result, document, served.scheme) for result in document["results"]]
    for result, explanation in zip(results, explanations, strict=False):
        result.explanation = explanation
    alone = any(result.reading == "alone" for result in results)
    warning = NO_CONTEXTS if alone and document.get("needs_context") else None
    return ClassifyAnswer(model=model, results=results, warning=warning)


def _reading(result: dict[str, Any], document: dict[str, Any], scheme: Scheme) -> TextReading:
    if "error" in result:
        return TextReading(options=[], windows=0, truncated=False, error=result["error"])
    beside = bool(result.get("with_context"))
    thresholds = document["thresholds" if beside else "lone_thresholds"]
    windows, probabilities = result["windows"], result["probabilities"]
    decided = decisions(probabilities, thresholds, scheme)
    question_of = {option.key: question.key for question in scheme.questions for option in question.options}
    options = [
        OptionReading(
            key=option.key,
            name=option.name,
            question=question_of[option.key],
            probability=probabilities[place],
            threshold=thresholds[place],
            decision=decided[place],
            decided_by=_stretch(windows[result["deciding"][place]]) if len(windows) > 1 else None,
        )
        for place, option in enumerate(scheme.options)
    ]
    reading: Literal["with_context", "alone"] = "with_context" if beside else "alone"
    return TextReading(options=options, windows=len(windows), truncated=False, reading=reading)


def _stretch(span: list[int]) -> Stretch:
    return Stretch(start=span[0], end=span[1])


def refusal(answer: httpx.Response, field: str) -> Problem:
    """The problem for a worker's refusal. field: what a refused model is named by in the request."""
    try:
        document = answer.json()
    except ValueError:
        document = {}
    detail = str(document.get("detail", "the inference worker gave no reason"))
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        words = _REFUSED.get(document.get("code", ""), "The inference worker is starting again")
        retry = float(answer.headers.get("Retry-After", 5))
        return Unavailable(
            f"{words}: try again in {retry:.0f} s.",
            retry_after=retry,
            slug=str(document.get("code", "unavailable")),
        )
    slug = str(document.get("code", "inference-refused"))
    if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(detail, field="/text", slug=slug)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return Conflict(
            "The adapter's file is not in the blob store of the inference worker: check REMAND_BLOB_ROOT.",
            field=field,
            slug=slug,
        )
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        return Invalid(detail, field=field, slug=slug)
    return Unavailable(f"The inference worker failed: {detail}", slug="inference-failed")
