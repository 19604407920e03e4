"""POST /explain in bytes: what the api asks the worker to explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.inference.wire import BadRequestError, Pool, classify_request

MOST_WORDS = 5_000


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """POST /explain: `options[i]` are the keys of the options that text i is explained for."""

    adapter: str
    texts: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    top: int
    """Words per option."""
    pool: Pool


def explain_request(body: Mapping[str, Any]) -> ExplainRequest:
    """Check an /explain body."""
    asked = classify_request(body)
    options, top = body.get("options"), body.get("top")
    if not isinstance(options, list) or len(options) != len(asked.texts):
        raise BadRequestError("options must be a list with a list of option keys per text")
    for keys in options:
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
            raise BadRequestError("each entry of options must be a list of option keys, at least one")
    if not isinstance(top, int) or not 1 <= top <= MOST_WORDS:
        raise BadRequestError(f"top must be a number of words from 1 to {MOST_WORDS}")
    return ExplainRequest(asked.adapter, asked.texts, tuple(map(tuple, options)), top, asked.pool)
