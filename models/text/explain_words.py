"""Words of a text by character offsets, in any script, and what falls to each: token weights, and the wide branch's terms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.wide import NGRAMS, Wide, tfidf, vectorizer

Spans = NDArray[np.int32]
Weights = NDArray[np.float64]

_JOINERS = frozenset("\u200d\u200c\ufe0e\ufe0f\u20e3")
"""Characters that belong to the one before them: joiners of letters and emoji, variation selectors, keycaps."""
_ZERO_WIDTH_JOINER = "\u200d"
_APOSTROPHES = frozenset("'’׳״\"")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Letters of scripts written without spaces (Thai, Lao, Burmese, Khmer, kana, Han): each is a word of its own."""


def word_spans(text: str) -> Spans:
    """Offsets of the words of a text: int32 (words, 2). Every character that is not white space lies in exactly one.

    A word is a run of letters and digits with their marks, and with an apostrophe (in Hebrew also a double one) between
    two letters; a letter of a script written without spaces; an emoji with all that is joined to it; or a run of one
    other sign, such as "...".
    """
    starts: list[int] = []
    ends: list[int] = []
    kind = ""
    for place in range(len(text)):
        now = _kind(text, place, kind)
        if now == "+" or (now == kind and now not in ("", "one")):
            ends[-1] = place + 1
        elif now:
            starts.append(place)
            ends.append(place + 1)
        kind = kind if now == "+" else now
    return np.array([starts, ends], dtype=np.int32).T.reshape(-1, 2)


def _kind(text: str, place: int, before: str) -> str:
    """What a character is: "" for space, "+" belongs to the word before, "letters" run on, "one" stands alone, else its own sign."""
    sign = text[place]
    if sign.isspace():
        return ""
    if before and _continues(text, place, before):
        return "+"
    if _UNSPACED.match(sign):
        return "one"
    return "letters" if sign.isalnum() or sign == "_" or unicodedata.category(sign)[0] == "M" else sign


def _continues(text: str, place: int, before: str) -> bool:
    sign, previous = text[place], text[place - 1]
    if sign in _JOINERS or unicodedata.category(sign)[0] == "M" or "\U0001f3fb" <= sign <= "\U0001f3ff":
        return True
    if previous == _ZERO_WIDTH_JOINER and before != "letters":
        return True
    if _flag(sign) and _flag(previous):
        return _flags_before(text, place) % 2 == 1
    following = text[place + 1 : place + 2]
    double = sign in '"״'
    return (
        before == "letters"
        and sign in _APOSTROPHES
        and following.isalpha()
        and (not double or ("\u05d0" <= previous <= "\u05ea" and "\u05d0" <= following <= "\u05ea"))
    )


def _flag(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _flags_before(text: str, place: int) -> int:
    count = 0
    while count < place and _flag(text[place - 1 - count]):
        count += 1
    return count


def word_of_characters(text: str, words: Spans) -> Spans:
    """The word that each character lies in: int32 (characters), -1 for white space."""
    owner = np.full(len(text), -1, dtype=np.int32)
    for word, (start, end) in enumerate(words):
        owner[start:end] = word
    return owner


def spread(
    spans: Sequence[tuple[int, int]], weights: Weights, owner: Spans, words: int
) -> tuple[Weights, Weights]:
    """Weights of tokens or terms as weights of the words under them, and what lay over no word.

    A token over several words is split evenly; one over none (white space alone) goes to the word before it, or else to
    the first one after it.

    Args:
        spans: characters of each token.
        weights: float64 (tokens, options).
        owner: of `word_of_characters`.
        words: how many there are.

    Returns:
        float64 (words, options), and float64 (options): what a text without any word leaves over.
    """
    found = np.zeros((words, weights.shape[1]))
    left = np.zeros(weights.shape[1])
    for (start, end), weight in zip(spans, weights, strict=True):
        under = np.unique(owner[start:end])
        under = under[under >= 0]
        if not len(under):
            under = _nearest(owner, start)
        if len(under):
            found[under] += weight / len(under)
        else:
            left += weight
    return found, left


def _nearest(owner: Spans, place: int) -> Spans:
    before = owner[:place][owner[:place] >= 0]
    if len(before):
        return before[-1:]
    after = owner[place:]
    return after[after >= 0][:1]


@dataclass(frozen=True, slots=True)
class WideTerms:
    """What the wide branch says about one text, exactly: its logit is `bias` plus all `weights`."""

    spans: list[tuple[int, int]]
    """Characters of each word of each term's occurrences in the text."""
    weights: Weights
    """float64 (spans, options): the share of the logit that falls to each."""
    bias: Weights
    """float64 (options): with the terms that stand around the text, not in it."""


def wide_terms(text: str, wide: Wide, vocabulary: Sequence[str], counts: csr_matrix) -> WideTerms:
    """The logits of a wide branch, term by term.

    The features are TF-IDF values (sublinear counts, length 1) and the model is linear in them: a term's share is its
    value times its weight. It is split evenly over the term's occurrences, and that of a pair of words over both.

    Args:
        text: the text.
        wide: the branch.
        vocabulary: of the adapter.
        counts: float32 sparse (1, vocabulary), of the text and what stands around it.
    """
    values = tfidf(counts, wide.columns, wide.idf)
    places = {vocabulary[int(wide.columns[column])]: place for place, column in enumerate(values.indices)}
    parts = values.data[:, None].astype(np.float64) * wide.weights[values.indices]
    occurrences: list[list[list[tuple[int, int]]]] = [[] for _ in places]
    for term, spans in _terms(text):
        if term in places:
            occurrences[places[term]].append(spans)
    spans = [span for found in occurrences for words in found for span in words]
    shares = [
        parts[place] / (len(found) * len(words))
        for place, found in enumerate(occurrences)
        for words in found
        for _ in words
    ]
    # A term that stands nowhere in the text itself (it was found around it) belongs to what is there before any word.
    elsewhere = [parts[place] for place, found in enumerate(occurrences) if not found]
    bias = (
        wide.bias.astype(np.float64) + np.sum(elsewhere, axis=0)
        if elsewhere
        else wide.bias.astype(np.float64)
    )
    return WideTerms(spans, np.array(shares).reshape(-1, wide.weights.shape[1]), bias)


def _terms(text: str) -> list[tuple[str, list[tuple[int, int]]]]:
    """Every word and run of words of a text as the wide branch counts them, with the characters of each word."""
    lowered = text.lower()
    back = _source_places(text, lowered)
    pattern = re.compile(vectorizer().token_pattern)
    found = [(match.group(), match.span()) for match in pattern.finditer(lowered)]
    words = [(word, (back[start], back[end - 1] + 1)) for word, (start, end) in found]
    return [
        (" ".join(word for word, _ in words[start : start + length]), [span for _, span in words[start : start + length]])
        for length in range(NGRAMS[0], NGRAMS[1] + 1)
        for start in range(len(words) - length + 1)
    ]  # fmt: skip


def _source_places(text: str, lowered: str) -> Sequence[int]:
    """Where each character of the lower-cased text came from; lower-casing makes two characters of İ."""
    if len(text) == len(lowered):
        return range(len(text))
    return [place for place, sign in enumerate(text) for _ in sign.lower()]
