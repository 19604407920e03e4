"""What may be asked of models that write, and what to know about the answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.generating.schemas import GenerateBody
from app.http.problems import Conflict, Invalid, TooLarge
from app.inference.rules import Limits, check_text
from models.data.control_characters import left_out, plain

USUAL_TOKENS = 256
"""Written per prompt where no number is given."""


def prompts_of(
    one: str | None, several: list[str] | None, limits: Limits, names: tuple[str, str]
) -> tuple[list[str], str]:
    """The prompts, and the field they came in; a problem names the first at fault.

    Args:
        one: `prompt` of the body.
        several: `prompts`.
        limits: how many, how long.
        names: of the two fields.
    """
    single, plural = names
    if one is not None and several is not None:
        raise Invalid(
            f"Give `{single}` or `{plural}`, not both.", field=f"/{plural}", slug=f"{single}-and-{plural}"
        )
    if one is None and not several:
        raise Invalid(
            f"There is nothing to go on: give `{single}` or `{plural}`.",
            field=f"/{single}",
            slug=f"no-{plural}",
        )
    prompts = [one] if one is not None else list(several or ())
    if len(prompts) > limits.texts:
        raise TooLarge(
            f"{len(prompts):,} {plural} were sent, one request takes {limits.texts:,}: send them in parts.",
            field=f"/{plural}",
            slug=f"too-many-{plural}",
            limit_texts=limits.texts,
        )
    field = f"/{single}" if one is not None else f"/{plural}"
    for place, prompt in enumerate(prompts):
        check_text(plain(prompt), limits.characters, place_of(field, place))
    return prompts, field


def place_of(field: str, place: int) -> str:
    """JSON pointer of the prompt at a place."""
    return f"{field}/{place}" if field.endswith("s") else field


def check_generate(body: GenerateBody, prompts: int) -> None:
    """Raise a problem for settings that contradict each other."""
    check_model(body.adapter, body.base_model)
    if body.compare and body.adapter is None:
        raise Invalid(
            "A comparison is of an adapter with its base model: name an adapter.",
            field="/compare",
            slug="nothing-to-compare",
        )
    if body.beams > 1 and body.temperature > 0:
        raise Invalid(
            "Beams are searched, not drawn: give temperature 0 with them, or one beam.",
            field="/beams",
            slug="beams-and-temperature",
        )
    if body.max_tokens is not None and body.min_tokens > body.max_tokens:
        raise Invalid("min_tokens is more than max_tokens.", field="/min_tokens", slug="min-above-max")
    if body.stream and (prompts > 1 or body.beams > 1):
        raise Invalid("A stream is of one prompt, and without beams.", field="/stream", slug="cannot-stream")


def check_model(adapter: str | None, base_model: str | None) -> None:
    """Raise a problem unless one of them is named."""
    if adapter is None and base_model is None:
        raise Invalid(
            "Say who shall write: `adapter` (adp_…, of the task causal) or `base_model`.",
            field="/adapter",
            slug="model-missing",
        )
    if adapter is not None and base_model is not None:
        raise Invalid(
            "Give `adapter` or `base_model`, not both; `compare` asks an adapter's base model, too.",
            field="/base_model",
            slug="adapter-and-base-model",
        )


def check_may_write(corpus: str, *, sensitive: bool) -> None:
    """Raise Conflict where a causal adapter's corpus has been marked as sensitive."""
    if sensitive:
        raise Conflict(
            f"The corpus {corpus!r} is marked sensitive, and a causal adapter can repeat what it was trained on word for "
            "word: it does not write any more.",
            field="/adapter",
            slug="corpus-sensitive",
        )


def asked_of_worker(body: GenerateBody, prompts: Sequence[str], seed: int) -> dict[str, Any]:
    """The worker's request, without the model."""
    return {
        "prompts": [plain(prompt) for prompt in prompts],
        "seed": seed,
        "stop": body.stop or [],
        "lane": "interactive",
        **body.model_dump(
            include={
                "max_tokens", "min_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "beams", "stream",
            }
        ),
    }  # fmt: skip


def tokens_to_write(asked: Mapping[str, Any]) -> int:
    """Tokens that a worker's request asks for at most, by a guess where it does not say: how much it adds to a queue."""
    return len(asked.get("prompts", ())) * (asked.get("max_tokens") or USUAL_TOKENS)


def generate_warnings(body: GenerateBody, prompts: Sequence[str], field: str) -> list[str]:
    """What to know about the texts."""
    found = list(text_warnings(prompts, field))
    if body.seed is not None and body.temperature == 0:
        found.append("At temperature 0 nothing is drawn: the seed changes nothing.")
    spaced = [place for place, prompt in enumerate(prompts) if prompt.endswith((" ", "\t"))]
    if spaced:
        where = place_of(field, spaced[0])
        found.append(
            f"A prompt that ends with a space ({where}) makes most models go on badly: their words begin with it. Leave it out."
        )
    return found


def text_warnings(texts: Sequence[str], field: str) -> Iterator[str]:
    """What was left out of texts."""
    for place, text in enumerate(texts):
        yield from left_out(text, place_of(field, place))


def unread_warnings(results: Sequence[Mapping[str, Any]], field: str) -> Iterator[str]:
    """What a worker says that its model could not read of texts."""
    for place, result in enumerate(results):
        if result.get("unread"):
            yield f"{place_of(field, place)}: {result['unread']}"
