"""Which script texts are written in: small English models do not read Hebrew. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter

_FIRST_NON_LATIN = 0x0370
_TEXTS_LOOKED_AT = 2000
_CHARACTERS_LOOKED_AT = 400
SHARE = 0.2
"""Share of letters in another script from which it is worth a warning."""
MULTILINGUAL = ("multilingual-minilm", "xlm-roberta-base")
"""Base models of the catalog that read other scripts."""


class Scripts:
    """Counts letters by script over the first texts of a file."""

    def __init__(self) -> None:
        self._texts = 0
        self._latin = 0
        self._other: Counter[str] = Counter()

    def see(self, content: str) -> None:
        """Count the beginning of a text."""
        if self._texts >= _TEXTS_LOOKED_AT:
            return
        self._texts += 1
        for letter in content[:_CHARACTERS_LOOKED_AT]:
            if letter.isalpha():
                if ord(letter) < _FIRST_NON_LATIN or unicodedata.name(letter, "").startswith("LATIN"):
                    self._latin += 1
                else:
                    self._other[unicodedata.name(letter, "unknown").split(" ", 1)[0].capitalize()] += 1

    def foreign(self) -> tuple[str, float] | None:
        """The commonest script that is not Latin with its share of letters, when that is large enough to warn of."""
        total = self._latin + self._other.total()
        if not total or self._other.total() / total < SHARE:
            return None
        name, number = self._other.most_common(1)[0]
        return name, number / total
