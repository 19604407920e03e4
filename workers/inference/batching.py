"""Which waiting windows make the next batch, within a token budget, and always the one that waits longest. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def choose_flat(lengths: Sequence[int], budget: int) -> int:
    """How many of the windows go together, in order of arrival, where none is padded; one at least.

    Args:
        lengths: tokens of each waiting window, in order of arrival; not empty.
        budget: tokens of a batch; a single longer window goes alone.
    """
    total = lengths[0]
    for place, length in enumerate(lengths[1:], 1):
        total += length
        if total > budget:
            return place
    return len(lengths)


def choose_batch(lengths: Sequence[int], budget: int) -> list[int]:
    """Places of the windows of like length that go together; the first window, which has waited longest, is always among them.

    Shorter neighbours in order of length cost nothing but their room and come first; longer ones raise everyone's
    padding and fill what is left.

    Args:
        lengths: tokens of each waiting window, in order of arrival; not empty.
        budget: padded tokens of a batch (rows times the longest row); a single longer window goes alone.
    """
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    first = low = high = order.index(0)
    longest = max(1, lengths[0])
    while low > 0 and (high - low + 2) * longest <= budget:
        low -= 1
    while high + 1 < len(order) and (high - low + 2) * lengths[order[high + 1]] <= budget:
        high += 1
    chosen = order[low : high + 1]
    assert order[first] == 0
    return chosen
