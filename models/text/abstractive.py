"""An abstractive summary of a text of any length by a model that reads and writes so many tokens: the steps, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.generative.prompts import summary_input
from models.text.abstracts import (
    WINDOW,
    Abstract,
    SummaryRefusedError,
    Wishes,
    finish,
    most_tokens,
    reading_warnings,
)
from models.text.asking import Counted, CountTokens, Embed, Steps, Write, Written
from models.text.long_documents import (
    AIMED_PART,
    LEAST_WINDOW,
    SHORTEST_PART,
    Piece,
    chunks_of,
    cut_spans,
    extracted,
    part_budgets,
    salience,
    strategy_of,
)
from models.text.sentences import split_sentences
from models.text.words import count_words

MOST_ROUNDS = 8
"""Times that summaries of parts are merged at most: each pass leaves a fraction."""
_COUNTED_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class _Room:
    """What the model reads of a text at once, and what writing costs."""

    tokens: int
    """Without prefix and special tokens."""
    special: int
    """Tokens that a text of its own has beyond its words."""


def abstract(text: str, wishes: Wishes) -> Steps[Abstract]:
    """The steps of one summary. All tokens are counted before anything is written.

    Raises:
        SummaryRefusedError: the text has no sentence, does not fit and shall be read whole, or the model reads too little.
    """
    spans = split_sentences(text)
    if not spans:
        raise SummaryRefusedError("empty-text", "text", "The text is empty: there is nothing to summarize.")
    counted = yield from _count([text[start:end] for start, end in spans])
    room = yield from _room(wishes, counted)
    pieces, counted = yield from _pieces(text, spans, counted, room)
    total = sum(piece.tokens for piece in pieces)
    if total <= room.tokens:
        whole: Counted = yield CountTokens((text,))
        total = max(total, whole.counts[0] - room.special)
    strategy = strategy_of(total, room.tokens) if wishes.strategy == "auto" else wishes.strategy
    if total <= room.tokens:
        strategy = "whole"
    elif strategy == "whole":
        raise _too_long(total, room.tokens)
    most = most_tokens(text, total, wishes)
    made = Abstract(
        "", strategy, 1, 0, 0, total, room.tokens, 0, count_words(text), len(spans), len(spans),
        reading_warnings(counted),
    )  # fmt: skip
    if strategy == "chunk_and_merge":
        written = yield from _merged(text, pieces, room, most, wishes, made)
    else:
        given = text
        if strategy == "extract_then_abstract":
            given = yield from _extract(text, pieces, room, wishes, made)
        (written,) = yield from _write([given], [most], wishes, "writing", made, last=True)
    finish(made, written, wishes)
    return made


def _count(texts: Sequence[str]) -> Steps[Counted]:
    """Tokens of many texts, in several questions."""
    counts: list[int] = []
    unknown: list[int] = []
    longest = None
    for start in range(0, len(texts), _COUNTED_AT_ONCE):
        found: Counted = yield CountTokens(tuple(texts[start : start + _COUNTED_AT_ONCE]))
        counts += found.counts
        unknown += found.unknown
        longest = found.longest_input
    return Counted(tuple(counts), longest, tuple(unknown))


def _room(wishes: Wishes, counted: Counted) -> Steps[_Room]:
    """One token is left for what joining sentences may add."""
    prefix: Counted = yield CountTokens((summary_input("", wishes.style).strip(), ""))
    longest = counted.longest_input or WINDOW
    if wishes.window is not None:
        longest = min(longest, wishes.window)
    room = _Room(longest - prefix.counts[0] - 1, prefix.counts[1])
    if room.tokens < LEAST_WINDOW:
        raise SummaryRefusedError(
            "window-too-small", "window",
            f"The model is to read {longest:,} tokens at once, which leaves {max(0, room.tokens):,} for text: at least {LEAST_WINDOW} are needed.",
        )  # fmt: skip
    return room


def _pieces(
    text: str, spans: Sequence[tuple[int, int]], counted: Counted, room: _Room
) -> Steps[tuple[list[Piece], Counted]]:
    """Sentences with their tokens; those longer than the model reads in parts."""
    own = [max(1, count - room.special) for count in counted.counts]
    while any(
        count > room.tokens and end - start > 1 for count, (start, end) in zip(own, spans, strict=True)
    ):
        spans = cut_spans(text, spans, own, room.tokens)
        counted = yield from _count([text[start:end] for start, end in spans])
        own = [max(1, count - room.special) for count in counted.counts]
    return [Piece(start, end, tokens) for (start, end), tokens in zip(spans, own, strict=True)], counted


def _extract(text: str, pieces: Sequence[Piece], room: _Room, wishes: Wishes, made: Abstract) -> Steps[str]:
    """The sentences that stand for the text, within what the model reads, in their order."""
    sentences = [text[piece.start : piece.end] for piece in pieces]
    embeddings: NDArray[np.floating] | None = None
    if wishes.salience == "mmr" and len(sentences) > 1:
        embeddings = yield Embed(tuple(sentences))
        if embeddings is None:
            made.warnings.append("No embedder could be had: the sentences to read were chosen by lexrank.")
    # A sentence that begins after a space may have a token more in its place.
    room_left = room.tokens - 1
    tokens = [piece.tokens for piece in pieces]
    while True:
        chosen = extracted(sentences, tokens, room_left, wishes.salience, embeddings)
        chosen = chosen or [int(np.argmin(tokens))]
        given = " ".join(sentences[place] for place in chosen)
        counted: Counted = yield CountTokens((given,))
        over = counted.counts[0] - room.special - room.tokens
        if over <= 0 or len(chosen) <= 1:
            made.kept_sentences = len(chosen)
            return given
        room_left -= max(over, 1)


def _merged(
    text: str, pieces: Sequence[Piece], room: _Room, most: int, wishes: Wishes, made: Abstract
) -> Steps[Written]:
    """Parts summarized on their own, their summaries again, until all that is left is read at once."""
    parts = [text[piece.start : piece.end] for piece in pieces]
    tokens = [piece.tokens for piece in pieces]
    while True:
        runs, inputs = yield from _chunks(parts, tokens, room)
        if len(runs) == 1:
            stage = "merging" if made.rounds else "writing"
            (written,) = yield from _write(inputs, [most], wishes, stage, made, last=True)
            return written
        if made.rounds == 0:
            made.chunks = len(runs)
        made.rounds += 1
        weights = salience(parts)
        shared = [float(weights[first:end].sum()) for first, end in runs]
        longest = max(SHORTEST_PART, min(wishes.most_tokens, room.tokens // 2))
        limits = part_budgets(shared, max(room.tokens, len(runs) * AIMED_PART), longest)
        stage = "summarizing parts" if made.rounds == 1 else "merging"
        found = yield from _write(inputs, limits, wishes, stage, made)
        kept = [written.text for written in found if written.text.strip()]
        if not kept or made.rounds >= MOST_ROUNDS:
            return Written(" ".join(kept), 0, cut=False)
        counted = yield from _count(kept)
        parts = kept
        tokens = [min(room.tokens, max(1, count - room.special)) for count in counted.counts]


def _chunks(
    parts: Sequence[str], tokens: Sequence[int], room: _Room
) -> Steps[tuple[list[tuple[int, int]], list[str]]]:
    """Runs of parts, and their texts: none longer than the model reads, as counted in one piece."""
    most = room.tokens
    while True:
        runs = chunks_of([Piece(0, 0, count) for count in tokens], most)
        inputs = [" ".join(part.strip() for part in parts[first:end]) for first, end in runs]
        counted = yield from _count(inputs)
        over = max(counted.counts) - room.special - room.tokens
        if over <= 0 or len(runs) == len(parts):
            return runs, inputs
        most = max(1, most - over)


def _write(
    texts: Sequence[str],
    limits: Sequence[int],
    wishes: Wishes,
    stage: str,
    made: Abstract,
    *,
    last: bool = False,
) -> Steps[list[Written]]:
    prompts = tuple(summary_input(text, wishes.style) for text in texts)
    found: list[Written] = yield Write(prompts, tuple(limits), stage, last)
    made.calls += len(prompts)
    return found


def _too_long(tokens: int, window: int) -> SummaryRefusedError:
    return SummaryRefusedError(
        "text-too-long", "strategy",
        f"The text has {tokens:,} tokens, the model reads {window:,} at once: leave `strategy` out, or take extract_then_abstract or "
        "chunk_and_merge.",
    )  # fmt: skip
