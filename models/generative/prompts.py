"""What a summarizing model reads of a text: training and serving make it by the same function. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PREFIXES: Mapping[str, str] = MappingProxyType(
    {"document": "summarize: ", "dialogue": "Summarize the following dialogue: "}
)
"""What the model reads before a text, by style."""


def summary_input(text: str, style: str) -> str:
    """The input of a model trained in a style (`document` or `dialogue`) for one text; KeyError for another style."""
    return PREFIXES[style] + text
