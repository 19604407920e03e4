"""What the windows of long texts say, read one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.head import head_logits, window_logits
from models.adapters.member import Member, wide_part
from models.encoder.tokens import Windows
from models.scheme import Labels


@dataclass(frozen=True, slots=True)
class WindowReading:
    """One member's reading of some texts, with what its windows say."""

    probabilities: NDArray[np.float32]
    """float32 (texts, options), calibrated."""
    decisions: Labels
    """int8 (texts, options) at the adapter's thresholds."""
    windows: NDArray[np.int32]
    """int32 (texts): windows each text was read in."""
    deciding: NDArray[np.int32]
    """int32 (texts, options): the window, counted from 0, that speaks most for the option."""
    spans: tuple[tuple[tuple[int, int], ...], ...]
    """Per text, first and last+1 character of each window."""


def read_windows(
    reading: Member,
    windows: Windows,
    sums: NDArray[np.float32] | None,
    counts: csr_matrix | None,
    decide: Callable[[NDArray[np.float32]], Labels],
) -> WindowReading:
    """One reading of some texts, and of each of their windows.

    Args:
        reading: of a member.
        windows: of the texts.
        sums: float32 (windows, pooled layers, hidden) over tokens, None without any text.
        counts: float32 sparse (texts, vocabulary), None where no wide branch reads.
        decide: from probabilities to decisions.
    """
    if sums is None:
        empty = np.zeros((0, len(reading.head.fixed)), dtype=np.float32)
        return WindowReading(empty, decide(empty), np.zeros(0, np.int32), empty.astype(np.int32), ())
    first = windows.first_window
    logits = window_logits(reading.head, sums, windows.lengths, first, wide_part(reading, counts))
    probabilities = reading.calibration.apply(logits)
    per_window = (sums / windows.lengths[:, None, None]).astype(np.float32).reshape(len(sums), -1)
    alone = head_logits(reading.head, per_window, None)
    places = [slice(low, high) for low, high in pairwise(first)]
    return WindowReading(
        probabilities,
        decide(probabilities),
        np.diff(first).astype(np.int32),
        np.stack([alone[place].argmax(axis=0) for place in places]).astype(np.int32),
        tuple(tuple((int(low), int(high)) for low, high in windows.spans[place]) for place in places),
    )
