"""Control characters, which models that write are not given: where they stood, and what is said about them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
"""Unicode's control characters (Cc) but tab, line feed, form feed and carriage return."""
_SHOWN = 5


def plain(text: str) -> str:
    """A text without control characters; line ends, tabs and form feeds stay."""
    return CONTROL.sub("", text)


def left_out(text: str, where: str) -> list[str]:
    """What is said of a text from which control characters were left out: one sentence, none where it has none.

    where: what the text is called, such as `/prompt`.
    """
    dropped = CONTROL.findall(text)
    if not dropped:
        return []
    codes = ", ".join(f"U+{ord(code):04X}" for code in list(dict.fromkeys(dropped))[:_SHOWN])
    plural = "characters were" if len(dropped) > 1 else "character was"
    return [f"{len(dropped):,} control {plural} left out of {where}: {codes}."]


@dataclass(frozen=True, slots=True)
class Plain:
    """A text without control characters that knows where its characters stood."""

    text: str
    dropped: tuple[int, ...]
    """How many characters of `text` stand before each one that was left out; rising."""

    @staticmethod
    def of(text: str) -> Plain:
        """From the text as it was sent."""
        found = (match.start() for match in CONTROL.finditer(text))
        return Plain(plain(text), tuple(place - before for before, place in enumerate(found)))

    def span(self, start: int, end: int) -> list[int]:
        """[start, end] of a stretch, not empty, in the text as it was sent."""
        return [
            start + bisect_right(self.dropped, start),
            end + bisect_right(self.dropped, end - 1),
        ]
