"""From tokens to text as they come: whole characters, text cut at stop strings, pieces that end between words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_BROKEN = "�"
_WITHOUT_SPACES = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip
"""Scripts whose words no space divides: Thai, Lao, Burmese, Khmer, kana, Chinese characters."""
_LONGEST_WORD = 48
TAIL = 8
"""Tokens of a prompt that are decoded again before what follows it, so that spaces between come out right."""


def text_of(tokenizer: Any, ids: Sequence[int], before: Sequence[int] = ()) -> str:
    """The text of tokens that follow others."""
    whole = _decoded(tokenizer, [*before, *ids])
    return whole[len(_decoded(tokenizer, before)) :] if before else whole


def first_stop(text: str, stops: Sequence[str], start: int = 0) -> int | None:
    """Where the first stop string in a text begins, looking from `start`."""
    found = [place for stop in stops if (place := text.find(stop, start)) >= 0]
    return min(found) if found else None


@dataclass(slots=True, eq=False)
class Writing:
    """The text of one sequence while it is written."""

    tokenizer: Any
    stops: tuple[str, ...]
    before: tuple[int, ...] = ()
    """The prompt's last tokens, for decoders."""
    text: str = ""
    """What is sure to stand: whole characters."""
    stopped: bool = False
    """Whether a stop string was met; `text` ends before it."""
    _ids: list[int] = field(init=False)
    _from: int = 0
    _read: int = field(init=False)
    _given: int = 0

    def __post_init__(self) -> None:
        """What stood before is decoded with the rest, and is no text of ours."""
        self._ids, self._read = list(self.before), len(self.before)

    def add(self, token: int) -> None:
        """One more token."""
        self._ids.append(token)
        self._take(final=False)

    def end(self) -> None:
        """No more tokens: what was held back is text, too."""
        self._take(final=True)

    def piece(self, *, final: bool = False) -> str:
        """What may be shown since the last piece: it ends between words, and before what may become a stop string."""
        end = len(self.text) if final or self.stopped else self._sure()
        found, self._given = self.text[self._given : end], max(self._given, end)
        return found

    def _take(self, *, final: bool) -> None:
        if self.stopped:
            return
        old = _decoded(self.tokenizer, self._ids[self._from : self._read])
        new = _decoded(self.tokenizer, self._ids[self._from :])
        if len(new) <= len(old) or (new.endswith(_BROKEN) and not final):
            return
        longest = max((len(stop) for stop in self.stops), default=1)
        start = max(0, len(self.text) - longest + 1)
        self.text += new[len(old) :]
        self._from, self._read = self._read, len(self._ids)
        place = first_stop(self.text, self.stops, start)
        if place is not None:
            self.text, self.stopped = self.text[:place], True

    def _sure(self) -> int:
        end = len(self.text)
        for stop in self.stops:
            for length in range(min(len(stop) - 1, len(self.text)), 0, -1):
                if self.text.endswith(stop[:length]):
                    end = min(end, len(self.text) - length)
                    break
        floor = max(self._given, end - _LONGEST_WORD)
        place = end
        while place > floor and _within_word(self.text[place - 1]):
            place -= 1
        return end if place == floor and end - self._given >= _LONGEST_WORD else place


def _within_word(character: str) -> bool:
    code = ord(character)
    return (character.isalnum() or character in "'’-_") and not any(
        low <= code <= high for low, high in _WITHOUT_SPACES
    )


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
