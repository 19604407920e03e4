"""POST /generate, /tokens and /perplexity in bytes: requests checked by hand, and the refusals that name numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.generative.decode.choice import Choice
from workers.inference.wire import BadRequestError, digest_of

MOST_PROMPTS = 1024
MOST_BEAMS = 16
MOST_STOPS = 16
LONGEST_STOP = 200
DEFAULT_TOKENS = 256
MOST_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class ModelKey:
    """Which model: a base model by name, or an adapter by its blob digest."""

    kind: str
    """`base` or `adapter`."""
    name: str

    def __str__(self) -> str:
        """One word, for tables of what is loaded."""
        return f"{self.kind}:{self.name}"

    @staticmethod
    def of(words: str) -> ModelKey:
        """Inverse of `str`."""
        kind, _, name = words.partition(":")
        return ModelKey(kind, name)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """POST /generate. Prompt i is written with the seed `seed` + i."""

    model: ModelKey
    prompts: tuple[str, ...]
    choice: Choice
    max_tokens: int | None = None
    """None: as many as DEFAULT_TOKENS, or as the model has room for."""
    seed: int = 0
    stop: tuple[str, ...] = ()
    bulk: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True)
class TextsRequest:
    """POST /tokens and POST /perplexity."""

    model: ModelKey
    texts: tuple[str, ...]
    window: int | None = None
    """Of perplexity: tokens read at once; None: the model's own."""
    bulk: bool = False


@dataclass(slots=True)
class LengthError(Exception):
    """A prompt with more tokens than the model reads, or than leave room for what is asked for."""

    code: str
    detail: str
    numbers: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """What is wrong, with its numbers."""
        return self.detail


def generate_request(body: Mapping[str, Any]) -> GenerateRequest:
    """Check a /generate body."""
    prompts, stream = _strings(body, "prompts"), bool(body.get("stream", False))
    if not prompts or len(prompts) > MOST_PROMPTS:
        raise BadRequestError(f"prompts must be a list of 1 to {MOST_PROMPTS} texts")
    choice = _choice(body)
    most = body.get("max_tokens")
    most = None if most is None else _whole(body, "max_tokens", 1, 1, MOST_TOKENS)
    if most is not None and choice.min_tokens > most:
        raise BadRequestError("min_tokens must not be more than max_tokens")
    if stream and (len(prompts) > 1 or choice.beams > 1):
        raise BadRequestError("stream takes one prompt, and beams are known only when all are done")
    stop = _strings(body, "stop", optional=True)
    if len(stop) > MOST_STOPS or not all(0 < len(text) <= LONGEST_STOP for text in stop):
        raise BadRequestError(f"stop takes {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters at most")
    return GenerateRequest(
        model_key(body), prompts, choice, most, _whole(body, "seed", 0, 0, 2**63 - 1), stop,
        body.get("lane") == "bulk", stream,
    )  # fmt: skip


def texts_request(body: Mapping[str, Any]) -> TextsRequest:
    """Check a /tokens or /perplexity body."""
    window = None if body.get("window") is None else _whole(body, "window", 2, 2, MOST_TOKENS)
    return TextsRequest(model_key(body), _strings(body, "texts"), window, body.get("lane") == "bulk")


def model_key(body: Mapping[str, Any]) -> ModelKey:
    """One of `base` and `adapter`."""
    base, adapter = body.get("base"), body.get("adapter")
    if (base is None) == (adapter is None):
        raise BadRequestError("give one of base (a name) and adapter (a blob digest)")
    if base is None:
        return ModelKey("adapter", digest_of(body))
    if not isinstance(base, str) or not base:
        raise BadRequestError("base must name a base model")
    return ModelKey("base", base)


def _choice(body: Mapping[str, Any]) -> Choice:
    choice = Choice(
        temperature=_number(body, "temperature", 0.0, 0.0, 10.0),
        top_k=_whole(body, "top_k", 0, 0, 2**31),
        top_p=_number(body, "top_p", 1.0, 1e-6, 1.0),
        repetition_penalty=_number(body, "repetition_penalty", 1.0, 0.1, 10.0),
        min_tokens=_whole(body, "min_tokens", 0, 0, MOST_TOKENS),
        beams=_whole(body, "beams", 1, 1, MOST_BEAMS),
    )
    if choice.beams > 1 and not choice.greedy:
        raise BadRequestError("beams are searched, not drawn: temperature must be 0 with more than one")
    return choice


def _strings(body: Mapping[str, Any], name: str, *, optional: bool = False) -> tuple[str, ...]:
    found = body.get(name, [] if optional else None)
    if optional and found is None:
        found = []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise BadRequestError(f"{name} must be a list of strings")
    return tuple(found)


def _whole(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    found = body.get(name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise BadRequestError(f"{name} must be a whole number from {least} to {most}")
    return found


def _number(body: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    found = body.get(name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or not least <= found <= most:  # fmt: skip
        raise BadRequestError(f"{name} must be a number from {least:g} to {most:g}")
    return float(found)
