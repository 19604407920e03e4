"""What an evaluation says in words, on pages and on the terminal alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNKNOWN_SHARE = 0.05
_RAN = {
    "whole": "read whole",
    "cut": "cut",
    "extract_then_abstract": "extracted first",
    "chunk_and_merge": "in parts that were merged",
    "none": "failed",
}


def ran_words(writing: Mapping[str, Any]) -> str:
    """On how many texts which strategy ran, such as `Texts: 40 read whole, 10 cut.`; why others failed."""
    ran, failures = writing["ran"], writing.get("failures") or {}
    parts = [f"{ran[name]:,} {words}" for name, words in _RAN.items() if ran.get(name)]
    reasons = ", ".join(f"{count:,} {code}" for code, count in sorted(failures.items()))
    told = f"Texts: {', '.join(parts)}." + (f" Failed: {reasons}." if reasons else "")
    unknown = writing.get("unknown_share") or 0
    if unknown > _UNKNOWN_SHARE:
        told += f" The model has no token for {unknown:.0%} of the texts (another script?): it cannot read that part, and its scores say so."
    return told


def scope_words(report: Mapping[str, Any]) -> str:
    """How many items were evaluated, of how many, and why not the others."""
    scope, held = report["scope"], report["held_out"]
    what = "pairs of text and summary" if report["task"] == "summarize" else "documents"
    rows, asked = scope["rows"], scope["asked"]
    drawn = ""
    if asked != "all":
        enough = rows >= asked
        drawn = (
            f", drawn by the seed {scope['seed']}"
            if enough
            else f", all that there are; {asked:,} were asked for"
        )
    parts = [
        f"{rows:,} of {held['of']:,} {what}, of {scope['groups']:,} {_plural('group', scope['groups'])}{drawn}."
    ]
    adapters = [name for name in ("adapter", "compare_with") if report.get(name)]
    if adapters and (held["known"] or held["seen"]):
        who = "the adapter" if len(adapters) == 1 else "one or the other adapter"
        parts.append(
            f"{held['seen']:,} {'was' if held['seen'] == 1 else 'were'} left out, because {who} had seen them, their groups or near duplicates."
        )
    if held["repeated"]:
        parts.append(f"{held['repeated']:,} {'repeats' if held['repeated'] == 1 else 'repeat'} another.")
    if held["vouched"]:
        who = "The adapter does" if len(adapters) == 1 else "An adapter does"
        parts.append(
            f"{who} not say what it was trained on. That it has seen none of these texts is the word of whoever asked for this."
        )
    return " ".join(parts)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
