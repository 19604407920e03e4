"""The chunks that a job over a whole corpus is cut into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def chunk_ends(lengths: Sequence[int], start: int, texts: int, characters: int) -> Iterator[int]:
    """Ends of the chunks; the same when they are taken up at one of their ends.

    Args:
        lengths: characters of each text, in reading order.
        start: texts already done.
        texts: most of a chunk.
        characters: most of a chunk of more than one text.
    """
    held, first = 0, start
    for place in range(start, len(lengths)):
        full = place - first >= texts or held + lengths[place] > characters
        if full and place > first:
            yield place
            held, first = 0, place
        held += lengths[place]
    if first < len(lengths):
        yield len(lengths)
