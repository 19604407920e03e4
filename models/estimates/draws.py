"""The designed sample of expert labels that estimates rest on, drawn once or several times. Numpy only: the api uses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draw:
    """One random draw of texts, and how much of each text's weight it carries beside other draws. All arrays are (texts,)."""

    sampled: NDArray[np.bool_]
    """Drawn by it, and read by experts."""
    inclusion: Vector
    """float64: π of every text of its frame; above 0 where texts are asked about."""
    stratum: NDArray[np.int64]
    """int64: strata of the design, counted from 0 in their order; -1 outside of its frame."""
    share: Vector
    """float64: fixed before anyone looked; adds up to 1 over the draws whose frames have the text, and is 0 outside of this one's."""

    @property
    def weights(self) -> Vector:
        """float64: share · R / π."""
        return np.asarray(
            np.where(self.sampled, self.share / np.where(self.sampled, self.inclusion, 1.0), 0.0)
        )

    @property
    def variance_strata(self) -> NDArray[np.int64]:
        """int64: strata from whose texts the variance is taken; -1 outside of the frame.

        A stratum of which one text alone was read is joined to the next one (the last to the one before): by itself it would seem to
        have no variance (collapsed strata, Cochran 1977, section 5A.12).
        """
        framed = self.stratum >= 0
        sizes = np.bincount(self.stratum[framed])
        read = np.bincount(self.stratum[self.sampled & framed], minlength=len(sizes))
        joined, last, alone = np.arange(len(sizes)), -1, False
        for h in np.flatnonzero(read).tolist():
            lone = read[h] == 1 and sizes[h] > 1
            if last >= 0 and alone:
                joined[h] = joined[last]
                lone = False
            last, alone = h, bool(lone)
        if alone:
            before = np.flatnonzero(read[:last])
            joined[last] = joined[before[-1]] if len(before) else last
        return np.asarray(np.where(framed, joined[self.stratum], -1))


@dataclass(frozen=True, slots=True)
class ExpertSample:
    """Which texts experts read, and with which probability. All arrays are (texts,)."""

    sampled: NDArray[np.bool_]
    inclusion: Vector
    """float64: π of every text, drawn or not; above 0. Of several draws: 1 over the weight, where the text was read."""
    stratum: NDArray[np.int64]
    """int64: strata of the design, counted from 0; drawn without replacement within each. All 0 for a simple random sample."""
    clusters: NDArray[np.int64] | None = None
    """int64: a grouping key (case, defendant) counted from 0 that standard errors are clustered by; None: every text for itself."""
    several: tuple[Draw, ...] = ()
    """Independent draws that are used together (`pooled`); empty: the one that the fields above describe."""

    @property
    def draws(self) -> tuple[Draw, ...]:
        """The draws, one or several."""
        return self.several or (Draw(self.sampled, self.inclusion, self.stratum, np.ones(len(self.sampled))),)

    @property
    def weights(self) -> Vector:
        """float64: R / π, 0 where no expert read the text; of several draws the sum of each one's share."""
        return np.asarray(np.sum([draw.weights for draw in self.draws], axis=0))

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64: the cluster of each text."""
        return np.arange(len(self.sampled)) if self.clusters is None else self.clusters


def pooled(draws: tuple[Draw, ...], clusters: NDArray[np.int64] | None = None) -> ExpertSample:
    """Several independent draws as one sample.

    Each text's moment is estimated by every draw whose frame has it, Σ share · (R/π) · moment, with shares that were fixed before
    anyone looked (a multiple-frame estimator with constant weights, Hartley 1962). Unlike weights by 1 − Π(1 − π), this stays
    right when a later draw's strata were made with what an earlier one had found.
    """
    sampled = np.any([draw.sampled for draw in draws], axis=0)
    weight = np.sum([draw.weights for draw in draws], axis=0)
    left_out = np.prod([1 - np.where(draw.stratum >= 0, draw.inclusion, 0.0) for draw in draws], axis=0)
    inclusion = np.where(sampled, 1 / np.where(sampled, weight, 1.0), 1 - left_out)
    return ExpertSample(sampled, inclusion, draws[-1].stratum, clusters, draws if len(draws) > 1 else ())
