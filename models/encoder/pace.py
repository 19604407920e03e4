"""How windows are best put into batches on this machine: measured on the lowest layer of a base model when it is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.encoder.forward import budget_of, reads_flat, trunk_batches
from models.encoder.load import Encoder
from models.encoder.tokens import Windows
from models.families import FAMILIES

Forward = Literal["auto", "padded", "flat"]
CPU_BUDGETS = (512, 1024, 2048)
GPU_BUDGETS = (8192, 16_384, 32_768, 65_536)
SECONDS = 1.0
"""That measuring may take, about; the first round is always finished."""
NEAR = 0.04
"""Arms within this share of the fastest count as equal: then flat comes before padded, and small batches before large."""
_TYPICAL = (256, 200, 150, 120, 96, 75, 60, 48, 40, 30, 25, 20, 15, 10, 6, 3)
"""Lengths as paragraphs and letters have them, in tokens."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How windows are put into batches."""

    flat: bool
    """As one stream without padding, or padded to the longest."""
    tokens: int
    """Most tokens of a batch, padding included."""
    speeds: tuple[tuple[str, int, int], ...] = ()
    """What was measured: layout, budget, tokens per second through one layer. Empty where nothing was."""

    @property
    def name(self) -> str:
        """The layout in a word."""
        return "flat" if self.flat else "padded"


def usual_batching(encoder: Encoder) -> Batching:
    """What suits the kind of device, without measuring."""
    return Batching(reads_flat(encoder), budget_of(encoder))


def chosen_batching(
    encoder: Encoder,
    layout: Forward = "auto",
    tokens: int = 0,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Batching:
    """The fastest way to read with a base model, as far as the operator leaves it open.

    Args:
        encoder: the base model; its threads are those of this thread.
        layout: `flat` or `padded` where the operator has chosen. A family that cannot be read flat is read padded.
        tokens: the budget, where the operator has chosen; 0: open.
        seconds: that measuring may take, about.
        clock: seconds.
    """
    can = FAMILIES[encoder.family].flat
    layouts = [False] if not can or layout == "padded" else [True] if layout == "flat" else [True, False]
    budgets = (tokens,) if tokens else CPU_BUDGETS if encoder.device.type == "cpu" else GPU_BUDGETS
    arms = [(flat, budget) for flat in layouts for budget in budgets]
    if len(arms) == 1:
        return Batching(*arms[0])
    speeds = measured_speeds(encoder, arms, seconds, clock)
    if not speeds:
        return Batching(False, tokens or budget_of(encoder))
    fastest = max(speeds.values())
    good = [arm for arm, speed in speeds.items() if speed >= (1 - NEAR) * fastest]
    flat, budget = min(good, key=lambda arm: (not arm[0], arm[1]))
    found = tuple(
        ("flat" if arm[0] else "padded", arm[1], round(speed)) for arm, speed in sorted(speeds.items())
    )
    return Batching(flat, budget, found)


def measured_speeds(
    encoder: Encoder, arms: Sequence[tuple[bool, int]], seconds: float, clock: Callable[[], float]
) -> dict[tuple[bool, int], float]:
    """Tokens per second through the embeddings and the lowest layer, by layout and budget; the best of as many rounds as fit.

    An arm that cannot be computed here (no such kernel, too little memory) is left out.
    """
    windows = typical_windows(encoder, max(budget for _, budget in arms))
    possible = [arm for arm in arms if _possible(encoder, windows, arm)]  # which warms up, too
    best = dict.fromkeys(possible, float("inf"))
    started = clock()
    while possible:
        for arm in possible:
            best[arm] = min(best[arm], _seconds(encoder, windows, arm, clock))
        if clock() - started >= seconds:
            break
    return {arm: windows.tokens / max(took, 1e-9) for arm, took in best.items()}


def typical_windows(encoder: Encoder, tokens: int) -> Windows:
    """Windows of random ids, of lengths as texts have them, `tokens` tokens or a little more in all."""
    draw = np.random.default_rng(0)
    lengths: list[int] = []
    while sum(lengths) < tokens:
        lengths += [min(length, encoder.max_tokens) for length in _TYPICAL]
    table = encoder.model.get_input_embeddings()  # type: ignore[operator]
    ids: NDArray[np.int32] = draw.integers(0, len(table.weight), sum(lengths)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.arange(len(lengths), dtype=np.int32)
    return Windows(ids, starts, rows, np.zeros((len(lengths), 2), np.int32), len(lengths))


def _possible(encoder: Encoder, windows: Windows, arm: tuple[bool, int]) -> bool:
    try:
        _seconds(encoder, windows, arm, time.perf_counter)
    except RuntimeError:  # no kernel for this device or head size, or too little memory
        return False
    return True


def _seconds(encoder: Encoder, windows: Windows, arm: tuple[bool, int], clock: Callable[[], float]) -> float:
    started = clock()
    for batch in trunk_batches(encoder, windows, 1, (1,), arm[1], arm[0]):
        batch.sums[1].cpu()  # waits for a GPU
    return clock() - started
