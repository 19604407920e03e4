"""The worker's internal HTTP in bytes: requests checked by hand (both ends are ours), answers as JSON or as .npy arrays."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson

from models.data.context import Context
from models.text.extractive import METHODS, TRADE_OFF, Budget, Method, Unit

QUEUED_HEADER = "X-Remand-Queued-Tokens"
TIMING = "Server-Timing"
FAILED_HEADER = "X-Remand-Failed-Texts"
"""Rows (comma-separated) of a binary answer that are NaN because the text could not be read."""

CORPUS = re.compile(r"cor_[0-9a-z]{1,64}")

Pool = Literal["mean", "max"]


class BadRequestError(ValueError):
    """The body is not what the endpoint takes; the message says what is."""


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """POST /classify."""

    adapter: str
    texts: tuple[str, ...]
    pool: Pool
    contexts: tuple[Context | None, ...] | None = None
    """What stands around each text; None: nothing is known, of one or of all."""


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """POST /bulk: `uses[i]` are the places in `members` of the models that read text i; their mean is the answer."""

    adapter: str
    texts: tuple[str, ...]
    members: tuple[str, ...]
    uses: tuple[tuple[int, ...], ...]
    embeddings: bool
    contexts: tuple[Context | None, ...] | None = None
    corpus: str | None = None
    """Whose texts they are: their token ids are kept for the next time."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """POST /embed."""

    base: str
    texts: tuple[str, ...]
    dtype: Literal["float16", "float32"]
    bulk: bool
    """Whether it waits in the bulk lane."""


@dataclass(frozen=True, slots=True)
class SummarizeRequest:
    """POST /summarize."""

    base: str
    text: str
    method: Method
    budget: Budget
    trade_off: float


def body_of(raw: bytes) -> Mapping[str, Any]:
    """The JSON object in a body."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def classify_request(body: Mapping[str, Any]) -> ClassifyRequest:
    """Check a /classify body."""
    pool = body.get("pool", "mean")
    if pool not in ("mean", "max"):
        raise BadRequestError('pool must be "mean" or "max"')
    texts = _texts(body)
    return ClassifyRequest(digest_of(body), texts, pool, _contexts(body, len(texts)))


def bulk_request(body: Mapping[str, Any]) -> BulkRequest:
    """Check a /bulk body."""
    texts, members, uses = _texts(body), body.get("members"), body.get("uses")
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise BadRequestError("members must be a list of names")
    if not isinstance(uses, list) or len(uses) != len(texts):
        raise BadRequestError("uses must be a list with an entry per text")
    if not all(_places(entry, len(members)) for entry in uses):
        raise BadRequestError("each entry of uses must be a list of places in members, at least one")
    corpus = body.get("corpus")
    if corpus is not None and not (isinstance(corpus, str) and CORPUS.fullmatch(corpus)):
        raise BadRequestError("corpus must be the id of a corpus (cor_…)")
    return BulkRequest(
        digest_of(body), texts, tuple(members), tuple(map(tuple, uses)), bool(body.get("embeddings")),
        _contexts(body, len(texts)), corpus,
    )  # fmt: skip


def embed_request(body: Mapping[str, Any]) -> EmbedRequest:
    """Check an /embed body."""
    base, dtype = body.get("base"), body.get("dtype", "float32")
    if not isinstance(base, str):
        raise BadRequestError("base must name a base model")
    if dtype not in ("float16", "float32"):
        raise BadRequestError('dtype must be "float16" or "float32"')
    return EmbedRequest(base, _texts(body), dtype, body.get("lane") == "bulk")


def summarize_request(body: Mapping[str, Any]) -> SummarizeRequest:
    """Check a /summarize body."""
    base, text, method = body.get("base"), body.get("text"), body.get("method", "mmr")
    if not isinstance(base, str) or not isinstance(text, str):
        raise BadRequestError("base and text must be strings")
    if method not in METHODS:
        raise BadRequestError(f"method must be one of {', '.join(METHODS)}")
    try:
        budget = Budget(Unit(str(body.get("unit"))), float(body.get("amount", 0)))
        return SummarizeRequest(base, text, method, budget, float(body.get("trade_off", TRADE_OFF)))
    except (TypeError, ValueError) as error:
        raise BadRequestError(str(error)) from error


def digest_of(body: Mapping[str, Any]) -> str:
    """The adapter's blob digest in a body."""
    digest = body.get("adapter")
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise BadRequestError("adapter must be a blob digest (64 hexadecimal digits)")
    return digest


def arrays_to_bytes(arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """Arrays one after another in .npy format."""
    buffer = io.BytesIO()
    for array in arrays:
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def arrays_from_bytes(raw: bytes, count: int) -> list[np.ndarray[Any, Any]]:
    """Inverse of `arrays_to_bytes`; ValueError when the bytes hold fewer arrays."""
    buffer = io.BytesIO(raw)
    return [np.load(buffer, allow_pickle=False) for _ in range(count)]


def _texts(body: Mapping[str, Any]) -> tuple[str, ...]:
    texts = body.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequestError("texts must be a list of strings")
    return tuple(texts)


def _contexts(body: Mapping[str, Any], texts: int) -> tuple[Context | None, ...] | None:
    contexts = body.get("contexts")
    if contexts is None:
        return None
    if not isinstance(contexts, list) or len(contexts) != texts:
        raise BadRequestError("contexts must be a list with an entry per text")
    try:
        return tuple(None if context is None else Context.from_document(context) for context in contexts)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequestError(str(error)) from error


def _places(entry: object, members: int) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) > 0
        and all(isinstance(place, int) and 0 <= place < members for place in entry)
    )
