"""What simulations of claims share: one sample of a design, and shares of draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.claims_totals import draw_many
from models.audit.sample.design import AuditDesign, AuditSample, spread_over_strata


def drawn(design: AuditDesign, score: NDArray[np.float64], rng: np.random.Generator) -> AuditSample:
    """A sample of texts with these scores, drawn at random within the strata of the design."""
    stratum, sizes, taken = spread_over_strata(design, len(score), score.astype(np.float32))
    rows, _ = draw_many(stratum, sizes, taken, 1, rng)
    return AuditSample(rows[0], stratum, sizes, taken)


def share(each: Sequence[bool] | Sequence[float]) -> float:
    """Their mean; NaN where there are none."""
    return float(np.mean(each)) if len(each) else float("nan")


def ends(shares: Sequence[float], digits: int = 3) -> str:
    """The least and the greatest in words."""
    return f"{min(shares):.{digits}f} to {max(shares):.{digits}f}" if len(shares) else "none"
