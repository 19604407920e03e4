"""Audit samples: which texts are read blind, drawn with known probabilities and sealed before anyone looks. numpy only.

Simple random, or stratified by bands of a score (Dalenius and Hodges 1959: bands of equal cumulated root). Allocation is
proportional, Neyman's, given, or *guarded*: as close to Neyman's as costs at most `loss` in variance if the score turns
out to say nothing. An audit sample that trusts its score fully can be worse than none: Neyman's allocation to a useless
score more than doubles the variance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.data.folds import seeded_rank
from models.data.sampling import allocate

Allocation = Literal["guarded", "proportional", "neyman", "given"]
FORMAT = 1
BANDS = 8
LOSS = 0.03
LEAST = 2
"""Texts of every stratum at the least: with one, its variance could not be estimated."""


@dataclass(frozen=True, slots=True)
class AuditDesign:
    """How many texts are read, and how they are spread over bands of the score."""

    size: int
    seed: int
    bands: int = BANDS
    """1: a simple random sample."""
    allocation: Allocation = "guarded"
    loss: float = LOSS
    """Share by which `guarded` may at most raise the variance if the score is useless."""
    shares: tuple[float, ...] = ()
    """With `given`: the share of the sample for each stratum, lowest band first."""


@dataclass(frozen=True, slots=True)
class AuditSample:
    """A drawn sample and its design."""

    rows: NDArray[np.int64]
    """int64 (drawn,): rows of the frame in the order in which they are to be read, which mixes the strata."""
    stratum: NDArray[np.int32]
    """int32 (texts,): the stratum of every text of the frame."""
    sizes: NDArray[np.int64]
    """int64 (strata,): texts of each, N_h."""
    taken: NDArray[np.int64]
    """int64 (strata,): texts drawn of each, n_h."""

    @property
    def strata(self) -> NDArray[np.int32]:
        """int32 (drawn,): the stratum of each drawn text."""
        return self.stratum[self.rows]

    @property
    def inclusion(self) -> NDArray[np.float64]:
        """float64 (drawn,): π of each drawn text, n_h / N_h."""
        return np.asarray((self.taken / self.sizes)[self.strata])


def draw_audit(
    design: AuditDesign, keys: Sequence[str], scores: NDArray[np.float32] | None = None
) -> AuditSample:
    """Draw an audit sample.

    Args:
        design: size, seed, bands, allocation.
        keys: the stable id of each text; with the seed it decides what is drawn.
        scores: float32 (texts,), any score of how wrong a text may be, 0 … 1 or an expected number of wrong cells;
            NaN (not audited) is a stratum of its own. None: a simple random sample.

    Raises:
        ValueError: the size is more than there are texts, or too small for the strata; shares do not fit.
    """
    if not 1 <= design.size <= len(keys):
        raise ValueError(f"an audit sample of {design.size} cannot be drawn of {len(keys)} texts")
    stratum, sizes, taken = spread_over_strata(design, len(keys), scores)
    order = sorted(range(len(keys)), key=lambda row: seeded_rank(keys[row], design.seed))
    left = taken.tolist()
    rows = []
    for row in order:
        if left[stratum[row]]:
            left[stratum[row]] -= 1
            rows.append(row)
    return AuditSample(np.array(rows, dtype=np.int64), stratum, sizes, taken)


def spread_over_strata(
    design: AuditDesign, texts: int, scores: NDArray[np.float32] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Stratum of each text, sizes N_h and texts to draw n_h of each stratum.

    Raises:
        ValueError: the size is too small for the strata, or shares do not fit.
    """
    stratum, spread = _strata(design, texts, scores)
    sizes = np.bincount(stratum).astype(np.int64)
    least = min(LEAST, design.size) if len(sizes) == 1 else LEAST
    return stratum, sizes, allocate(sizes, design.size, design.size * _shares(design, sizes, spread), least)


def score_bands(scores: NDArray[np.float32], bands: int) -> NDArray[np.int32]:
    """The band of each text, 0 the least suspicious: int32 (texts,). Equal scores are always in one band; empty bands close up."""
    audited = np.isfinite(scores)
    band = np.full(len(scores), -1, dtype=np.int64)
    values, place, counts = np.unique(scores[audited], return_inverse=True, return_counts=True)
    if len(values):
        roots = np.sqrt(np.maximum(values.astype(np.float64), 0.0)) * counts
        middles = np.cumsum(roots) - roots / 2
        total = roots.sum()
        found = np.minimum((middles / total * bands).astype(np.int64), bands - 1) if total > 0 else 0 * place
        band[audited] = found[place] if total > 0 else 0
    return np.unique(band, return_inverse=True)[1].astype(np.int32)


def guarded_shares(sizes: NDArray[np.int64], spread: NDArray[np.float64], loss: float) -> NDArray[np.float64]:
    """The mixture of proportional and Neyman's allocation nearest to Neyman's with Σ W_h² / w_h ≤ 1 + loss: float64 (strata,).

    Σ W_h² / w_h is the variance beside a simple random sample's where the strata do not differ at all.
    """
    whole = sizes / sizes.sum()
    neyman = _normalised(sizes * spread)
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        mixed = (1 - share) * whole + share * neyman
        low, high = (share, high) if (whole**2 / mixed).sum() <= 1 + loss else (low, share)
    return np.asarray((1 - low) * whole + low * neyman)


def sealed(design: AuditDesign, sample: AuditSample, keys: Sequence[str]) -> dict[str, Any]:
    """The document of a sample, JSON-ready, with a digest over all of it: what is frozen before anyone looks."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "design": {
            "size": design.size, "seed": design.seed, "bands": design.bands, "allocation": design.allocation,
            "loss": design.loss, "shares": list(design.shares),
        },
        "frame": {"texts": len(keys), "digest": frame_digest(keys)},
        "strata": [
            {"texts": int(size), "drawn": int(drawn), "inclusion": float(drawn / size)}
            for size, drawn in zip(sample.sizes, sample.taken, strict=True)
        ],
        "drawn": [
            {"id": keys[row], "stratum": int(stratum)}
            for row, stratum in zip(sample.rows, sample.strata, strict=True)
        ],
    }  # fmt: skip
    return body | {"digest": _digest(body)}


def broken_seal(document: dict[str, Any]) -> bool:
    """Whether a sealed document was changed after it was sealed."""
    body = {name: value for name, value in document.items() if name != "digest"}
    return document.get("digest") != _digest(body)


def frame_digest(keys: Sequence[str]) -> str:
    """sha256 over the sorted ids of a frame."""
    return hashlib.sha256(
        "\x00".join(sorted(keys)).encode("utf-8", "surrogatepass")
    ).hexdigest()  # fmt: skip


def _strata(
    design: AuditDesign, texts: int, scores: NDArray[np.float32] | None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Stratum of each text, and the spread expected within each stratum: the root of its mean score."""
    if scores is None or design.bands <= 1:
        return np.zeros(texts, dtype=np.int32), np.ones(1)
    stratum = score_bands(scores, design.bands)
    mean = np.bincount(stratum, np.nan_to_num(np.maximum(scores, 0.0))) / np.bincount(stratum)
    known = np.bincount(stratum, np.isfinite(scores)) > 0
    unscored = float(np.sqrt(np.nanmean(scores))) if known.any() else 1.0
    return stratum, np.where(known, np.sqrt(mean), unscored)


def _shares(
    design: AuditDesign, sizes: NDArray[np.int64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    if design.allocation == "given":
        shares = np.asarray(design.shares, dtype=np.float64)
        if len(shares) != len(sizes) or (shares <= 0).any():
            raise ValueError(f"{len(design.shares)} shares for {len(sizes)} strata; each needs one above 0")
        return _normalised(shares)
    if design.allocation == "proportional" or not spread.any():
        return _normalised(sizes.astype(np.float64))
    if design.allocation == "neyman":
        return _normalised(sizes * np.maximum(spread, 1e-3 * spread.max()))
    return guarded_shares(sizes, spread, design.loss)


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values / values.sum())


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
