"""Texts whose answer hangs on rounding are read again in fp32: what relabelling stores must not depend on who was read beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.adapters.load import FINAL, LoadedAdapter
from workers.inference.reading import Answer, Plan

BOUNDS = {"int8": 0.25, "bfloat16": 0.08}
"""To which a probability of this precision is off fp32's at most, nearly always (docs/benchmarks.md); in fp32 batch mates
change it by 1e-5."""


def precision_of(adapter: LoadedAdapter, low: bool) -> str:
    """In which numbers an adapter is read: `int8`, or the name of its encoder's dtype."""
    return "int8" if low else str(adapter.encoder.dtype).removeprefix("torch.")


def doubtful(
    probabilities: NDArray[np.float32], thresholds: Sequence[NDArray[np.float32]], bound: float
) -> NDArray[np.int64]:
    """Texts with a probability within `bound` of a threshold: int64 (rows).

    Args:
        probabilities: float32 (texts, options); NaN for texts that failed.
        thresholds: float32 (options) each, of every reading that may have answered.
        bound: to each side.
    """
    near = np.zeros(probabilities.shape, dtype=np.bool_)
    for threshold in thresholds:
        near |= np.abs(probabilities - threshold) <= bound
    return np.flatnonzero(near.any(axis=1))


def thresholds_of(adapter: LoadedAdapter) -> list[NDArray[np.float32]]:
    """The thresholds of the final model's readings."""
    alone = adapter.loaded[FINAL].alone
    return [adapter.thresholds] + ([] if alone is None else [adapter.lone_thresholds])


def plan_of(plan: Plan, rows: Sequence[int]) -> Plan:
    """What is asked of some texts of a request; embeddings stay those that were read."""
    return replace(
        plan,
        uses=None if plan.uses is None else tuple(plan.uses[row] for row in rows),
        contexts=None if plan.contexts is None else tuple(plan.contexts[row] for row in rows),
        embeddings=False,
    )


def merged(answer: Answer, exact: Answer, rows: NDArray[np.int64]) -> Answer:
    """An answer with the probabilities of some texts taken from their exact reading, so far as that succeeded."""
    if answer.probabilities is None or exact.probabilities is None:
        return answer
    probabilities = answer.probabilities.copy()
    found = np.isfinite(exact.probabilities).all(axis=1)
    probabilities[rows[found]] = exact.probabilities[found]
    return replace(answer, probabilities=probabilities)


def is_exact(adapter: LoadedAdapter) -> bool:
    """Whether an adapter computes in fp32, or is one that has no fp32 form (a 4-bit base)."""
    return adapter.encoder.dtype == torch.float32 or adapter.encoder.quantization is not None
