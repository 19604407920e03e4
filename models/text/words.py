"""Words of any script: what a summary's length is counted in, and the terms by which its sentences are compared."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kana and Chinese characters: written without spaces, so each counts as a word of its own."""
_WORDS = re.compile(rf"[{_SPACELESS}]|[^\s{_SPACELESS}]+")
_TERMS = re.compile(rf"[{_SPACELESS}]+|[^\W\d_{_SPACELESS}]+")
_TOKENS = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
_LEAST_LETTERS = 2


def count_words(text: str) -> int:
    """Words between white space; every Chinese character and every kana is one."""
    return sum(1 for _ in _WORDS.finditer(text))


def tokens(text: str) -> list[str]:
    """Words in small letters and numbers, in order, without marks; every Chinese character and every kana by itself."""
    return _TOKENS.findall(text.casefold())


def terms(sentence: str) -> list[str]:
    """What a sentence speaks of, in order: English stems without stop words (Snowball), words of other languages as they are.

    Chinese and Japanese give pairs of neighbouring characters. Numbers and single letters are left out.
    """
    found: list[str] = []
    for run in _TERMS.findall(sentence.casefold()):
        if re.match(f"[{_SPACELESS}]", run):
            found.extend(run[place : place + 2] for place in range(max(1, len(run) - 1)))
        elif len(run) >= _LEAST_LETTERS and run not in _stop_words():
            found.append(_stem(run))
    return found


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word)) if word.isascii() else word


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.snowball import SnowballStemmer  # here, because nltk takes seconds to import

    return SnowballStemmer("english")
