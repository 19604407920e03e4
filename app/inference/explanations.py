"""`explain` in POST /classify: what may be explained, for which options, and the worker's answer as the API's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.http.problems import Invalid
from app.inference.explain_schemas import (
    Characters,
    ExplainChoice,
    Explanation,
    OptionExplanation,
    OtherWords,
    SentenceWeight,
    WordWeight,
)
from models.scheme import Scheme


@dataclass(frozen=True, slots=True)
class ExplainLimits:
    """How much one request may have explained."""

    texts: int
    options: int
    characters: int


def check_explainable(
    texts: Sequence[str], choice: ExplainChoice, scheme: Scheme, limits: ExplainLimits, field: str
) -> None:
    """Raise a problem that names what is at fault: too many texts or options, an unknown option, too long a text.

    Args:
        texts: of the request.
        choice: what is asked for.
        scheme: the adapter's.
        limits: of explanations, tighter than those of readings.
        field: `/text` or `/texts`.
    """
    if len(texts) > limits.texts:
        raise Invalid(
            f"{len(texts):,} texts were sent to be explained, one request explains {limits.texts:,}: send them in parts, "
            "or without `explain`.",
            field=field,
            slug="too-many-to-explain",
            limit_texts=limits.texts,
        )
    _check_options(choice.options, scheme, limits)
    for place, text in enumerate(texts):
        if len(text) > limits.characters:
            raise Invalid(
                f"The text has {len(text):,} characters, {limits.characters:,} can be explained: send the part that matters, "
                "or read it without `explain`.",
                field=field if field == "/text" else f"{field}/{place}",
                slug="too-long-to-explain",
                limit_characters=limits.characters,
            )


def _check_options(options: Sequence[str] | None, scheme: Scheme, limits: ExplainLimits) -> None:
    if options is None:
        return
    if not options:
        raise Invalid(
            "No option is named: leave `options` out for all.", field="/explain/options", slug="no-options"
        )
    for place, key in enumerate(options):
        if key not in scheme.option_keys:
            raise Invalid(
                f"The adapter has no option {key!r}; it has {', '.join(scheme.option_keys)}.",
                field=f"/explain/options/{place}",
                slug="unknown-option",
            )
    if len(set(options)) > limits.options:
        raise Invalid(
            f"{len(set(options)):,} options were named, one request explains {limits.options:,}: ask in parts.",
            field="/explain/options",
            slug="too-many-options-to-explain",
            limit_options=limits.options,
        )


def options_to_explain(
    choice: ExplainChoice, scheme: Scheme, probabilities: Sequence[float], most: int
) -> list[str]:
    """Keys in the adapter's order: those named, else all, or the `most` probable ones where there are more."""
    if choice.options is not None:
        return list(dict.fromkeys(choice.options))
    keys = scheme.option_keys
    chosen = sorted(range(len(keys)), key=lambda place: -probabilities[place])[:most]
    return [keys[place] for place in sorted(chosen)]


def explanation_of(text: str, result: dict[str, Any]) -> Explanation:
    """One text's explanation from a worker's, with the words themselves."""
    if "error" in result:
        return Explanation(error=f"There is no explanation: {result['error']}.")
    return Explanation(
        precision=result["precision"],
        windows=result["windows"],
        explained_windows=[Characters(start=start, end=end) for start, end in result["explained_windows"]],
        sentences_in_text=result["sentences_in_text"],
        options=[_option(text, option) for option in result["options"]],
    )


def _option(text: str, option: dict[str, Any]) -> OptionExplanation:
    words = [
        WordWeight(start=start, end=end, text=text[start:end], weight=weight)
        for start, end, weight in option["words"]
    ]
    sentences = [
        SentenceWeight(start=start, end=end, delta_logit=logit, delta_probability=probability)
        for start, end, logit, probability in option["sentences"]
    ]
    plain = {
        name: option[name] for name in ("key", "logit", "base_logit", "completeness_error", "bound", "steps")
    }
    return OptionExplanation(
        **plain, words=words, other_words=OtherWords(**option["other_words"]), sentences=sentences
    )
