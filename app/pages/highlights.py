"""A text cut at the words of an explanation, for marking them on a page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.inference.explain_schemas import WordWeight

_LEVELS = ((0.75, "w4"), (0.45, "w3"), (0.2, "w2"), (0.08, "w1"))
"""From which share of the strongest weight a word has which shade; below all of them it stays unmarked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text; `shade` is a class of the style sheet, empty where it is not marked."""

    text: str
    shade: str = ""
    weight: float = 0.0


def pieces(text: str, words: Sequence[WordWeight]) -> list[Piece]:
    """The whole text in order, with the words that matter as pieces of their own."""
    strongest = max((abs(word.weight) for word in words), default=0.0)
    found: list[Piece] = []
    place = 0
    for word in sorted(words, key=lambda word: word.start):
        shade = _shade(abs(word.weight) / strongest) if strongest else ""
        if not shade:
            continue
        found.append(Piece(text[place : word.start]))
        side = "for" if word.weight > 0 else "against"
        found.append(Piece(text[word.start : word.end], f"{side} {shade}", word.weight))
        place = word.end
    return [piece for piece in (*found, Piece(text[place:])) if piece.text]


def _shade(share: float) -> str:
    return next((shade for least, shade in _LEVELS if share >= least), "")
