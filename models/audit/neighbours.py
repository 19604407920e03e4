"""What the surroundings of a text say about its labels: the texts beside it in its group, and similar texts elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.near_duplicates import THRESHOLD, Signatures, duplicate_groups, resemblance
from models.scheme import MISSING, YES, Labels

NEIGHBOURS = 20
CANDIDATES = 40
"""Similar texts that are found, so that NEIGHBOURS remain where a part of the corpus must not speak (a fifth, mostly)."""
REFERENCES = 4096
"""Labelled texts that neighbours are looked for among; more change the rates little and cost in proportion."""
SAME_TEXT = 0.98
"""Cosine (of centred embeddings) from which a neighbour is taken to be the same text and left out."""
_PRIOR = 2.0
_BLOCK = 512


def adjacent(groups: Sequence[str], order: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of the text before and after each text in its group, by `order`: int64 (texts), -1 where there is none."""
    codes = group_codes(groups)
    rows = np.lexsort((np.asarray(order), codes))
    same = codes[rows[1:]] == codes[rows[:-1]]
    before = np.full(len(rows), -1, dtype=np.int64)
    after = np.full(len(rows), -1, dtype=np.int64)
    before[rows[1:][same]] = rows[:-1][same]
    after[rows[:-1][same]] = rows[1:][same]
    return before, after


def group_codes(groups: Sequence[str]) -> NDArray[np.int64]:
    """A number for every group: int64 (texts)."""
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Similar:
    """The most similar texts of other groups: more than are used, so that some can be barred."""

    rows: NDArray[np.int64]
    """int64 (texts, CANDIDATES or fewer), nearest first."""
    weights: NDArray[np.float32]
    """float32 of that shape: squared cosine, 0 for what does not count."""


def similar_texts(
    embeddings: NDArray[np.floating],
    labels: Labels,
    groups: Sequence[str],
    signed: Signatures | None = None,
    seed: int = 0,
) -> Similar:
    """The most similar labelled texts of other groups; which values they were given plays no part.

    Neighbours of the same group and (near) duplicates do not count: they would only repeat the text itself.

    Args:
        embeddings: float (texts, dim).
        labels: int8 (texts, options); texts without any value are not looked at.
        groups: group of each text.
        signed: near-duplicate signatures, uint32 (texts, permutations); without them only embeddings tell duplicates.
        seed: draws the reference texts where there are more than REFERENCES.
    """
    unit = _centred(embeddings)
    codes = group_codes(groups)
    chosen = _references(labels, signed, seed)
    references, reference_codes = unit[chosen].T.copy(), codes[chosen]
    width = min(CANDIDATES, len(chosen))
    rows, weights = np.empty((len(unit), width), np.int64), np.empty((len(unit), width), np.float32)
    for start in range(0, len(unit), _BLOCK):
        block = slice(start, start + _BLOCK)
        similar = unit[block] @ references
        similar[codes[block, None] == reference_codes[None, :]] = -1.0
        similar[similar >= SAME_TEXT] = -1.0
        nearest = _largest(similar, width)
        rows[block] = chosen[nearest]
        weights[block] = np.maximum(np.take_along_axis(similar, nearest, axis=1), 0.0) ** 2
        if signed is not None:
            weights[block][_repeated(signed[block], signed[rows[block]])] = 0.0
    return Similar(rows, weights)


def label_rates(
    similar: Similar, labels: Labels, groups: Sequence[str], barred: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Share of yes among the NEIGHBOURS most similar texts, drawn towards prevalence: float32 (texts, options).

    Args:
        similar: the most similar texts.
        labels: int8 (texts, options), given values; missing ones have no weight.
        groups: group of each text.
        barred: bool (texts), texts whose values must not speak for anyone, whole groups.
    """
    silent = np.zeros(len(labels), dtype=np.bool_) if barred is None else barred
    prevalence = _prevalence_elsewhere(labels, group_codes(groups), silent)
    counts = ~silent[similar.rows]
    counts &= counts.cumsum(axis=1) <= NEIGHBOURS
    weights = np.where(counts, similar.weights, np.float32(0))
    rates = np.empty(labels.shape, dtype=np.float32)
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        rates[block] = _weighted_rates(labels[similar.rows[block]], weights[block], prevalence[block])
    return rates


def _prevalence_elsewhere(
    labels: Labels, codes: NDArray[np.int64], barred: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of yes in what is neither barred nor of the text's own group: float64 (texts, options)."""
    heard = ~barred[:, None]
    yes, known = (
        ((labels == YES) & heard).astype(np.float64),
        ((labels != MISSING) & heard).astype(np.float64),
    )
    own_yes, own_known = np.zeros((2, int(codes.max(initial=0)) + 1, labels.shape[1]))
    np.add.at(own_yes, codes, yes)
    np.add.at(own_known, codes, known)
    return np.asarray((yes.sum(axis=0) - own_yes[codes] + 0.5) / (known.sum(axis=0) - own_known[codes] + 1.0))


def _centred(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Embeddings around their mean, of unit length."""
    values = embeddings.astype(np.float32)
    values = values - values.mean(axis=0, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float32] = values / np.where(length > 0, length, 1.0)
    return unit


def _references(labels: Labels, signed: Signatures | None, seed: int) -> NDArray[np.int64]:
    """Labelled texts, one of each group of duplicates, at most REFERENCES."""
    known = (labels != MISSING).any(axis=1)
    if signed is not None:
        known &= duplicate_groups(signed) == np.arange(len(labels))
    chosen = np.flatnonzero(known)
    if len(chosen) > REFERENCES:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, REFERENCES, replace=False))
    return chosen


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Columns of the `count` largest values of each row, largest first."""
    found = np.argpartition(values, values.shape[1] - count, axis=1)[:, values.shape[1] - count :]
    order = np.argsort(-np.take_along_axis(values, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def _repeated(queries: Signatures, neighbours: Signatures) -> NDArray[np.bool_]:
    """Near duplicates among (queries, neighbours): bool."""
    wide = np.broadcast_to(queries[:, None, :], neighbours.shape)
    flat = resemblance(wide.reshape(-1, wide.shape[-1]), neighbours.reshape(-1, wide.shape[-1]))
    return flat.reshape(neighbours.shape[:2]) >= THRESHOLD


def _weighted_rates(
    labels: Labels, weight: NDArray[np.float32], prevalence: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Weighted share of yes: labels int8 (texts, neighbours, options), weight float32 (texts, neighbours)."""
    known = np.einsum("tn,tno->to", weight, (labels != MISSING).astype(np.float32))
    yes = np.einsum("tn,tno->to", weight, (labels == YES).astype(np.float32))
    rates: NDArray[np.float32] = ((yes + _PRIOR * prevalence) / (known + _PRIOR)).astype(np.float32)
    return rates
