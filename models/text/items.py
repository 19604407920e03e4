"""What of a text can be checked against another word for word: its numbers, dates, citations and names, with their offsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["number", "date", "citation", "name"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Item:
    """A number, date, citation or name of a text: `text[start:end]`."""

    kind: Kind
    start: int
    end: int
    keys: tuple[object, ...]
    """What it may stand for, normalised: "1.234" is 1.234 or 1,234, "3/5/2019" is in March or in May."""


class Taken:
    """Stretches of a text that are something already: the 6 of "Article 6" is no number of its own."""

    def __init__(self, text: str) -> None:
        self._taken = bytearray(len(text))

    def take(self, items: Iterable[Item]) -> list[Item]:
        """Those of some items that lie in free stretches, the first named before later ones; their stretches are taken from now on."""
        found = []
        for item in items:
            if not any(self._taken[item.start : item.end]):
                self._taken[item.start : item.end] = b"\1" * (item.end - item.start)
                found.append(item)
        return found
