"""Exact and near duplicates: MinHash signatures on word shingles, compared through LSH bands. numpy only.

Broder (1997), "On the resemblance and containment of documents". Signatures depend on the text alone, so they can be
stored with an adapter and compared years later with those of new texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b, sha256

import numpy as np
from numpy.typing import NDArray

Signatures = NDArray[np.uint32]
"""MinHash signatures: uint32 (texts, PERMUTATIONS)."""

PERMUTATIONS = 64
BANDS = 16
"""Two texts are compared when one of the 16 bands of 4 values is equal: 99.9 % of pairs with resemblance 0.75."""
SHINGLE = 3
"""Words per shingle."""
SHORT = 8
"""Texts with fewer words (headings, formulas) are duplicates only when their normalised content is equal."""
THRESHOLD = 0.7
"""Share of equal signature values (an estimate of the Jaccard resemblance, standard error 0.05) from which two texts are
near duplicates: low enough that a sentence of 30 words with one word changed (resemblance 0.8) is reliably caught."""

_WORD = re.compile(r"\w+")
_CHUNK = 4096
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_GENERATOR = np.random.Generator(np.random.PCG64(20260101))
_MULTIPLIERS = _GENERATOR.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _GENERATOR.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)


def normalised(text: str) -> str:
    """The text as duplicates see it: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_digest(text: str) -> str:
    """sha256 (hex) of the normalised content; equal for exact duplicates."""
    return sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def content_digests(texts: Sequence[str]) -> list[str]:
    """`content_digest` of each text."""
    return [content_digest(text) for text in texts]


def signatures(texts: Sequence[str]) -> Signatures:
    """MinHash signatures of word shingles: uint32 (texts, PERMUTATIONS).

    A text of fewer than SHORT words gets values drawn from its normalised content, so that it equals nothing else.
    """
    result = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    words: dict[str, int] = {}
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        result[start : start + len(part)] = _chunk_signatures(part, words)
    return result


def _chunk_signatures(texts: Sequence[str], words: dict[str, int]) -> Signatures:
    hashes: list[int] = []
    starts: list[int] = []
    for text in texts:
        starts.append(len(hashes))
        plain = normalised(text)
        tokens = _WORD.findall(plain)
        if len(tokens) < SHORT:
            # One pseudo-shingle of the whole content: equal only for equal content.
            hashes.extend([_stable_hash("\x00" + plain)] * SHINGLE)
            continue
        for token in tokens:
            known = words.get(token)
            if known is None:
                known = words[token] = _stable_hash(token)
            hashes.append(known)
    flat = np.array(hashes, dtype=np.uint64)
    begin = np.array(starts, dtype=np.int64)
    return _minhash(*_shingles(flat, begin))


def _stable_hash(token: str) -> int:
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _shingles(
    words: NDArray[np.uint64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of SHINGLE consecutive words that do not cross a text's end, and where each text's begin."""
    count = len(words) - SHINGLE + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(SHINGLE):
        mixed += words[place : place + count] * _PRIMES[place]
        mixed ^= mixed >> np.uint64(29)
    ends = np.append(starts[1:], len(words))
    inside = np.ones(count, dtype=np.bool_)
    for place in range(1, SHINGLE):
        crossing = ends[:-1] - place
        inside[crossing] = False
    offsets = np.arange(len(starts), dtype=np.int64) * (SHINGLE - 1)
    return mixed[inside], starts - offsets


def _minhash(shingles: NDArray[np.uint64], starts: NDArray[np.int64]) -> Signatures:
    result = np.empty((len(starts), PERMUTATIONS), dtype=np.uint32)
    hashed = np.empty_like(shingles)
    for place in range(PERMUTATIONS):
        np.multiply(shingles, _MULTIPLIERS[place], out=hashed)
        np.add(hashed, _OFFSETS[place], out=hashed)
        result[:, place] = np.minimum.reduceat((hashed >> np.uint64(32)).astype(np.uint32), starts)
    return result


def resemblance(first: Signatures, second: Signatures) -> NDArray[np.float32]:
    """Estimated Jaccard resemblance of paired signatures: float32 (rows)."""
    equal: NDArray[np.float32] = np.mean(first == second, axis=1, dtype=np.float32)
    return equal


def seen_by(query: Signatures, seen: Signatures, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Whether each query text is a duplicate or near duplicate of any seen text: bool (queries).

    Args:
        query: uint32 (queries, PERMUTATIONS).
        seen: uint32 (texts, PERMUTATIONS); may be empty.
        threshold: estimated resemblance from which texts count as near duplicates.
    """
    found = np.zeros(len(query), dtype=np.bool_)
    if not len(query) or not len(seen):
        return found
    distinct = _distinct(seen)[0]
    seen = seen[distinct]
    for band in range(BANDS):
        waiting = np.flatnonzero(~found)
        if not len(waiting):
            break
        keys = _band_keys(seen, band)
        order = np.argsort(keys, kind="stable")
        asked = _band_keys(query[waiting], band)
        low = np.searchsorted(keys[order], asked, side="left")
        high = np.searchsorted(keys[order], asked, side="right")
        while len(waiting):
            open_ = low < high
            waiting, low, high = waiting[open_], low[open_], high[open_]
            match = resemblance(query[waiting], seen[order[low]]) >= threshold
            found[waiting[match]] = True
            waiting, low, high = waiting[~match], low[~match] + 1, high[~match]
    return found


def near_duplicate_pairs(signed: Signatures, threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Pairs of rows that are near duplicates: int64 (pairs, 2), first < second, sorted.

    Of several rows with one and the same signature only the first is compared with the rest; the others are paired with
    that first row. Thousands of copies of one heading therefore cost thousands of pairs, not millions.
    """
    first, inverse = _distinct(signed)
    copies = np.flatnonzero(first[inverse] != np.arange(len(signed)))
    found = [np.column_stack([first[inverse[copies]], copies])]
    distinct = signed[first]
    for band in range(BANDS):
        for left, right in _bucket_pairs(_band_keys(distinct, band)):
            match = resemblance(distinct[left], distinct[right]) >= threshold
            found.append(np.sort(np.column_stack([first[left[match]], first[right[match]]]), axis=1))
    return np.unique(np.concatenate(found).astype(np.int64), axis=0)


def duplicate_groups(signed: Signatures, threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Rows joined through near duplicates: int64 (texts), each the smallest row number of its group."""
    pairs = near_duplicate_pairs(signed, threshold)
    root = np.arange(len(signed), dtype=np.int64)
    while True:
        lowest = np.minimum(root[pairs[:, 0]], root[pairs[:, 1]])
        joined = root.copy()
        np.minimum.at(joined, pairs[:, 0], lowest)
        np.minimum.at(joined, pairs[:, 1], lowest)
        joined = joined[joined]
        if np.array_equal(joined, root):
            return root
        root = joined


def _distinct(signed: Signatures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row of each distinct signature, and for every row the place of its signature among these."""
    rows = np.ascontiguousarray(signed).view([("", np.uint32)] * PERMUTATIONS).ravel()
    keys = _band_keys(signed, None)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first[inverse]], rows):  # two signatures share a 64-bit key: compare in full
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64)


def _band_keys(signed: Signatures, band: int | None) -> NDArray[np.uint64]:
    """One 64-bit key per row for a band of the signature (None: for all of it)."""
    width = PERMUTATIONS // BANDS
    columns = range(PERMUTATIONS) if band is None else range(band * width, (band + 1) * width)
    keys = np.zeros(len(signed), dtype=np.uint64)
    for column in columns:
        keys = (keys ^ (keys >> np.uint64(31))) * _PRIMES[0] + signed[:, column]
    return keys


def _bucket_pairs(keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs of rows with equal keys, by distance in the sorted order (1, 2, … apart), as arrays of rows."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    alive = np.arange(len(keys) - 1)
    apart = 1
    while len(alive):
        alive = alive[alive + apart < len(keys)]
        alive = alive[ordered[alive] == ordered[alive + apart]]
        if len(alive):
            yield order[alive], order[alive + apart]
        apart += 1
