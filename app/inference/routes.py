"""POST /classify."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response

from app.http.documented import problems
from app.http.problems import Invalid
from app.http.security import Reader
from app.http.timing import TIMING, timed
from app.inference.answers import classified, refusal
from app.inference.explain_schemas import Explanation
from app.inference.explaining import explain_limits, explanations
from app.inference.explanations import check_explainable
from app.inference.pool import WorkerPool, caller_gone, workers_of
from app.inference.remembered import RememberedAdapters, remembered_of
from app.inference.rules import Limits, check_texts, wait_seconds
from app.inference.schemas import ClassifyAnswer, ClassifyBody
from app.settings import get_settings
from models.data.context import context_of

router = APIRouter(tags=["inference"])
Workers = Annotated[WorkerPool, Depends(workers_of)]
Remembered = Annotated[RememberedAdapters, Depends(remembered_of)]
Prefer = Annotated[
    str | None,
    Header(
        description="`wait=10`: you wait ten seconds (RFC 7240). What no worker has begun by then is not computed and answered by 503 "
        "with `Retry-After`. Without it: 90 seconds.",
        examples=["wait=10"],
    ),
]


@router.post(
    "/classify",
    summary="Read texts with an adapter",
    response_model=ClassifyAnswer,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
async def classify(
    request: Request,
    body: ClassifyBody,
    caller: Reader,
    workers: Workers,
    remembered: Remembered,
    prefer: Prefer = None,
) -> Response:
    """Per option of the codebook the calibrated probability and the decision at the adapter's threshold.

    Adapters that read what stands around a text have two readings, each with thresholds of its own: with `contexts`, and of a
    text alone. Each result says which answered.

    Texts longer than the model's window are read to their end in overlapping windows; the answer says so, and which
    window decided. A text that cannot be read has an `error`; the others are answered. When the workers are busy the
    answer is 503 with `Retry-After`.

    With `explain` each result has an `explanation`: the words that add up to the option's logit, and what each sentence
    changes. An explanation shows what the model goes by, not what is true.
    """
    texts = _texts(body)
    served = await remembered.served(caller, body.adapter, body.corpus)
    limits = explain_limits(get_settings())
    if body.explain is not None:
        field = "/text" if body.text is not None else "/texts"
        check_explainable(texts, body.explain, served.scheme, limits, field)
    asked = {
        "adapter": served.blob_digest,
        "texts": texts,
        "pool": body.pool,
        "contexts": _contexts(body, len(texts)),
    }
    gone, wait = caller_gone(request), wait_seconds(prefer)
    answer, timing = await timed(request, workers.post("/classify", asked, gone, wait=wait))
    if not answer.is_success:
        raise refusal(answer, "/adapter")
    document = orjson.loads(answer.content)
    found: list[Explanation | None] = []
    if body.explain is not None:
        found = await explanations(
            workers, served, texts, document["results"], body.explain, limits.options, body.pool, gone
        )
    # Made of what was validated already: read as a model a second time it would cost as much again.
    content = classified(document, served, found).model_dump_json()
    return Response(content, media_type="application/json", headers={TIMING: timing})


def _texts(body: ClassifyBody) -> list[str]:
    settings = get_settings()
    limits = Limits(settings.max_texts_per_request, settings.max_text_characters)
    if body.text is not None and body.texts is not None:
        raise Invalid("Give `text` or `texts`, not both.", field="/texts", slug="text-and-texts")
    if body.text is not None:
        check_texts([body.text], limits, "/text")
        return [body.text]
    check_texts(body.texts or [], limits)
    return body.texts or []


def _contexts(body: ClassifyBody, texts: int) -> list[dict[str, str] | None] | None:
    if body.contexts is None:
        return None
    if len(body.contexts) != texts:
        raise Invalid(
            f"There are {texts} texts and {len(body.contexts)} contexts: give one context per text, null where nothing is known.",
            field="/contexts",
            slug="contexts-do-not-match",
        )
    if body.explain is not None:
        raise Invalid(
            "Explanations are of a text read alone: leave `contexts` out to have one.",
            field="/explain",
            slug="explained-without-context",
        )
    limit = get_settings().max_text_characters
    for place, around in enumerate(body.contexts):
        if around is not None and sum(map(len, (*around.before, *around.after))) > limit:
            raise Invalid(
                f"The neighbours have more than {limit:,} characters: the nearest ones are enough.",
                field=f"/contexts/{place}",
                slug="context-too-long",
            )
    return [
        None if around is None else context_of(around.before, around.after).to_document()
        for around in body.contexts
    ]
