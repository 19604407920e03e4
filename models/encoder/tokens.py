"""Texts to token ids: packed int32 windows with overlap, so that no text is too long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder.load import Encoder

_CHUNK = 512
_OVERLAP_SHARE = 8
# A tokenizer reads UTF-8, in which half a surrogate pair has no place; one character stays one, so offsets hold.
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Windows:
    """The token windows of a list of texts, packed end to end. Every text has at least one window."""

    ids: NDArray[np.int32]
    """int32 (tokens), special tokens included."""
    starts: NDArray[np.int64]
    """int64 (windows + 1): window w is ids[starts[w]:starts[w + 1]]."""
    text_of: NDArray[np.int32]
    """int32 (windows): the text each window belongs to, ascending."""
    spans: NDArray[np.int32]
    """int32 (windows, 2): first and last+1 character of each window in its text."""
    texts: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (windows): tokens of each window."""
        return np.diff(self.starts)

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return len(self.ids)

    @property
    def first_window(self) -> NDArray[np.int64]:
        """int64 (texts + 1): windows of text t are first_window[t]:first_window[t + 1]."""
        return np.searchsorted(self.text_of, np.arange(self.texts + 1)).astype(np.int64)

    @property
    def text_lengths(self) -> NDArray[np.int64]:
        """int64 (texts): tokens of each text over all its windows."""
        return np.bincount(self.text_of, weights=self.lengths, minlength=self.texts).astype(np.int64)


def tokenize(
    encoder: Encoder, texts: Sequence[str], max_tokens: int = 0, max_windows: int | None = None
) -> Windows:
    """Token windows of texts.

    A text that fits is one window. A longer one is read in windows of `max_tokens` that overlap by an eighth, the last
    one flush with the text's end.

    Args:
        encoder: whose tokenizer and special tokens to use.
        texts: any strings, empty ones included.
        max_tokens: tokens of a window with its special ones; 0 or more than the model's: the model's.
        max_windows: windows kept per text, evenly spaced from first to last; None keeps all.
    """
    before, after = encoder.special_ids
    limit = min(max_tokens or encoder.max_tokens, encoder.max_tokens) - len(before) - len(after)
    if limit < 1:
        raise ValueError(f"max_tokens={max_tokens} leaves no room for a token of content")
    pieces: list[NDArray[np.int32]] = []
    owners: list[int] = []
    spans: list[tuple[int, int]] = []
    for start in range(0, len(texts), _CHUNK):
        part = [_SURROGATE.sub("\ufffd", text) for text in texts[start : start + _CHUNK]]
        encoded = encoder.tokenizer.encode_batch_fast(part, add_special_tokens=False)
        # Offsets of the fast variant are not kept, and only texts of several windows need them.
        for row, (text, encoding) in enumerate(zip(part, encoded, strict=True), start):
            ids = encoding.ids
            places = window_places(len(ids), limit, max_windows)
            offsets = token_offsets(encoder, text) if len(places) > 1 else None
            for low in places:
                piece = ids[low : low + limit]
                pieces.append(np.array([*before, *piece, *after], dtype=np.int32))
                owners.append(row)
                whole = offsets is None
                spans.append((0, len(text)) if whole else _span(offsets, low, low + len(piece)))
    lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
    return Windows(
        np.concatenate(pieces) if pieces else np.zeros(0, np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array(owners, dtype=np.int32),
        np.array(spans, dtype=np.int32).reshape(-1, 2),
        len(texts),
    )


def window_places(tokens: int, limit: int, max_windows: int | None = None) -> list[int]:
    """Where the windows of a text of `tokens` content tokens begin."""
    if tokens <= limit:
        return [0]
    step = max(1, limit - limit // _OVERLAP_SHARE)
    places = [*range(0, tokens - limit, step), tokens - limit]
    if max_windows is not None and len(places) > max_windows:
        keep = np.linspace(0, len(places) - 1, max_windows).round().astype(int)
        places = [places[index] for index in keep]
    return places


def token_offsets(encoder: Encoder, text: str) -> list[tuple[int, int]]:
    """First and last+1 character of every content token of a text, over all of it."""
    plain = _SURROGATE.sub("\ufffd", text)
    offsets: list[tuple[int, int]] = encoder.tokenizer.encode(plain, add_special_tokens=False).offsets
    return offsets


def _span(offsets: list[tuple[int, int]] | None, low: int, high: int) -> tuple[int, int]:
    if not offsets:
        return (0, 0)
    return (offsets[low][0], offsets[high - 1][1])
