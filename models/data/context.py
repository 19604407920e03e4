"""The neighbours of a text as its context: the headings above it and how the texts around it begin.

A paragraph under "(b) The Government" after "49. The Government argued" is read differently from the same words elsewhere.
Neighbours are texts of the same group, so a model that holds a group out has seen none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.data.neighbourhood import Around, neighbourhood

HEADINGS = 3
"""So many of the nearest short texts above."""
HEADING_WORDS = 12
"""A text of so many words at most counts as a heading."""
NEIGHBOUR_WORDS = 16
"""Of the text before and the text after, so many first words are read."""


@dataclass(frozen=True, slots=True)
class Context:
    """What stands around a text; each part is plain words, empty where there is nothing."""

    headings: str = ""
    """The nearest short texts above, in order."""
    before: str = ""
    """How the text before begins."""
    after: str = ""
    """How the text after begins."""

    def to_document(self) -> dict[str, str]:
        """JSON form."""
        return asdict(self)

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Context:
        """Inverse of `to_document`; ValueError names what is wrong."""
        unknown = sorted(set(document) - {"headings", "before", "after"})
        if unknown or not all(isinstance(part, str) for part in document.values()):
            raise ValueError(f"a context has the texts headings, before and after, not {unknown or document}")
        return Context(**document)


EMPTY = Context()
Contexts = Sequence[Context | None] | None
"""Of some texts, None where nothing is known of one, or of all."""


def has_context(context: Context | None) -> bool:
    """Whether anything is known to stand around a text."""
    return context is not None and context != EMPTY


def context_of(before: Sequence[str], after: Sequence[str]) -> Context:
    """The context of one text.

    Args:
        before: texts that stand before it in its group, in order, the nearest last.
        after: texts that stand after it, the nearest first.
    """
    short = [text for text in before if is_heading(text)]
    return Context("\n".join(short[-HEADINGS:]), _beginning(before[-1:]), _beginning(after[:1]))


def contexts(texts: Sequence[str], groups: Sequence[str | None]) -> list[Context]:
    """The context of every text of a corpus.

    Args:
        texts: all texts, those of a group in their order (other groups may stand between them).
        groups: the group of each; a text without one has no neighbours.
    """
    placed = neighbourhood(groups, np.array([is_heading(text) for text in texts], dtype=np.bool_))
    return [context_at(placed.around(row, HEADINGS), texts) for row in range(len(texts))]


def context_at(around: Around, texts: Sequence[str] | Mapping[int, str]) -> Context:
    """The context of a text whose neighbours' places are known.

    texts: contents by row, at least those of `around.rows`.
    """
    headings = [texts[row] for row in around.headings]
    before, after = ([] if row is None else [texts[row]] for row in (around.before, around.after))
    return Context("\n".join(headings), _beginning(before), _beginning(after))


def is_heading(text: str) -> bool:
    """Whether a text is short enough to be one."""
    return 0 < len(text.split(maxsplit=HEADING_WORDS)) <= HEADING_WORDS


def _beginning(texts: Sequence[str]) -> str:
    return " ".join(texts[0].split(maxsplit=NEIGHBOUR_WORDS)[:NEIGHBOUR_WORDS]) if texts else ""
