"""An explanation of POST /classify in a terminal: the text with its words coloured, and a list where there is no colour."""

from __future__ import annotations

from typing import Any

import typer

LISTED = 8
COLOURED = 1_000
"""Words asked for: what is not among them stays uncoloured."""
_STRONG = 0.5
"""Share of the strongest weight from which a word is bold."""
_WEAK = 0.08
"""Share below which it is left as it is."""


def register(_app: typer.Typer) -> None:
    """No verb of its own: `remand classify --explain` prints it."""


def explained(text: str, explanation: dict[str, Any], names: dict[str, str], *, colour: bool) -> list[str]:
    """Lines for each option: how its logit comes about, the text or its weightiest words, the sentence that matters most.

    Args:
        text: as sent.
        explanation: as answered.
        names: of options by key.
        colour: whether the terminal shows it: green speaks for the option, red against it.
    """
    if explanation["error"]:
        return [explanation["error"]]
    lines: list[str] = []
    for option in explanation["options"]:
        lines += ["", *_option(text, option, names.get(option["key"]) or option["key"], colour=colour)]
    read = len(explanation["explained_windows"])
    if read < explanation["windows"]:
        lines += [
            "",
            f"(words explained in {read} of {explanation['windows']} windows; the others stand still)",
        ]
    return [*lines, "", "This is what the model goes by, not what is true."]


def _option(text: str, option: dict[str, Any], name: str, *, colour: bool) -> list[str]:
    words = sum(word["weight"] for word in option["words"]) + option["other_words"]["weight"]
    head = f"{name}: logit {option['logit']:+.2f} = {option['base_logit']:+.2f} without words {words:+.2f} by words"
    if option["completeness_error"] > option["bound"]:
        head += f" (inexact: {option['completeness_error']:.2f} unaccounted for)"
    if not option["steps"]:
        head += " (never trained: a fixed answer)"
    listed = [f"{word['text']} {word['weight']:+.2f}" for word in option["words"][:LISTED]]
    body = coloured(text, option["words"]) if colour else "  words: " + ", ".join(listed)
    return [head, body, *_sentence(text, option["sentences"])]


def _sentence(text: str, sentences: list[dict[str, Any]]) -> list[str]:
    if len(sentences) < 2:
        return []
    first = max(sentences, key=lambda sentence: abs(sentence["delta_logit"]))
    shown = " ".join(text[first["start"] : first["end"]].split())
    shown = shown if len(shown) <= 100 else f"{shown[:99]}…"
    return [f"  without “{shown}”: {-first['delta_logit']:+.2f} ({-first['delta_probability']:+.1%})"]


def coloured(text: str, words: list[dict[str, Any]]) -> str:
    """The text with the words that matter in green (for) or red (against), the strongest in bold."""
    strongest = max((abs(word["weight"]) for word in words), default=0.0)
    parts: list[str] = []
    place = 0
    for word in sorted(words, key=lambda word: word["start"]):
        share = abs(word["weight"]) / strongest if strongest else 0.0
        if share < _WEAK:
            continue
        parts.append(text[place : word["start"]])
        shade = typer.colors.GREEN if word["weight"] > 0 else typer.colors.RED
        parts.append(typer.style(text[word["start"] : word["end"]], fg=shade, bold=share >= _STRONG or None))
        place = word["end"]
    return "".join([*parts, text[place:]])
