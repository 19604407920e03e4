"""Pure rules of classify and summarize: which texts are taken, what is decided, which languages the model was made for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.http.problems import Invalid, TooLarge
from models.scheme import QuestionKind, Scheme

NON_LATIN_SHARE = 0.3
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,9})(?![\d.])", re.IGNORECASE)
_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold."""

    texts: int
    characters: int


def check_texts(texts: Sequence[str], limits: Limits, field: str = "/texts") -> None:
    """Raise a problem that names the first text at fault: none at all, too many, empty, or too long."""
    if not texts:
        raise Invalid(
            "There is no text to read: give `text` or at least one of `texts`.", field=field, slug="no-texts"
        )
    if len(texts) > limits.texts:
        raise TooLarge(
            f"{len(texts):,} texts were sent, one request takes {limits.texts:,}: send them in parts.",
            field=field,
            slug="too-many-texts",
            limit_texts=limits.texts,
        )
    for place, text in enumerate(texts):
        check_text(text, limits.characters, f"{field}/{place}" if field == "/texts" else field)


def check_text(text: str, characters: int, field: str) -> None:
    """Raise a problem for an empty text or one that is too long."""
    if not text.strip():
        raise Invalid("The text is empty: there is nothing to read.", field=field, slug="empty-text")
    if len(text) > characters:
        raise TooLarge(
            f"The text has {len(text):,} characters, {characters:,} are allowed: send it in parts.",
            field=field,
            slug="text-too-long",
            limit_characters=characters,
        )


def wait_seconds(prefer: str | None) -> float | None:
    """Seconds that a caller says to wait, by its header `Prefer: wait=10` (RFC 7240); None where it does not say."""
    found = _WAIT.search(prefer or "")
    return None if found is None else float(found.group(1))


def decisions(probabilities: Sequence[float], thresholds: Sequence[float], scheme: Scheme) -> list[bool]:
    """What is decided, per option: in a yes_no_set at or above the threshold, in a choose_one the most probable option.

    Args:
        probabilities: calibrated, in option order.
        thresholds: of the adapter, in option order.
        scheme: the adapter's; its options stand in the same order.
    """
    column = {option.key: place for place, option in enumerate(scheme.options)}
    decided = [
        probability >= threshold for probability, threshold in zip(probabilities, thresholds, strict=True)
    ]
    for question in scheme.questions:
        if question.kind is QuestionKind.CHOOSE_ONE:
            columns = [column[option.key] for option in question.options]
            best = max(columns, key=lambda place: probabilities[place])
            for place in columns:
                decided[place] = place == best
    return decided


def language_warning(text: str, base_model: str) -> str | None:
    """A warning for a text mostly in another script than the Latin one, where the base model is English only."""
    letters = [character for character in text[:_LOOKED_AT] if character.isalpha()]
    if base_model != "minilm" or not letters:
        return None
    foreign = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    if foreign / len(letters) < NON_LATIN_SHARE:
        return None
    return (
        "The text is mostly not in Latin script, and the base model minilm is English: sentences are compared poorly. "
        "A multilingual model (multilingual-minilm, xlm-roberta-base) reads it better."
    )
