"""Documents wrapped into blocks of equal length, with the places where a document begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Blocks:
    """All documents one after the other, cut every `block_tokens` tokens; the last block may be shorter."""

    ids: Ids
    """int32 (tokens,)."""
    begins: NDArray[np.int64]
    """int64 (documents,): place of each document's first token."""
    block_tokens: int

    def __len__(self) -> int:
        """Blocks."""
        return (len(self.ids) + self.block_tokens - 1) // self.block_tokens

    def lengths(self, block: int) -> list[int]:
        """Tokens of each piece of a block: documents end at a block's end and go on in the next as if they began there."""
        low, high = self._bounds(block)
        inside = self.begins[
            np.searchsorted(self.begins, low, "right") : np.searchsorted(self.begins, high, "left")
        ]
        return np.diff(np.concatenate(([low], inside, [high]))).tolist()  # type: ignore[no-any-return]

    def tokens(self, block: int) -> Ids:
        """The block's token ids: int32 (tokens,)."""
        low, high = self._bounds(block)
        return self.ids[low:high]

    def predicted(self) -> NDArray[np.int64]:
        """int64 (blocks,): tokens that are predicted in each block, all but the first of every piece."""
        counts = [sum(self.lengths(block)) - len(self.lengths(block)) for block in range(len(self))]
        return np.array(counts, dtype=np.int64)

    def _bounds(self, block: int) -> tuple[int, int]:
        low = block * self.block_tokens
        return low, min(low + self.block_tokens, len(self.ids))


def wrap(documents: Sequence[Ids], block_tokens: int) -> Blocks:
    """Wrap documents into blocks.

    Args:
        documents: int32 arrays, none of them empty.
        block_tokens: tokens of a block.
    """
    lengths = [len(document) for document in documents]
    begins = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    return Blocks(np.concatenate(documents).astype(np.int32), begins, block_tokens)


def targets_of(ids: Ids, lengths: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places that predict, and what follows them in the same piece: both int64 (predictions,).

    Args:
        ids: int32 (tokens,), pieces one after the other.
        lengths: tokens of each piece.
    """
    last = np.cumsum(lengths) - 1
    places = np.setdiff1d(np.arange(len(ids)), last, assume_unique=True)
    return places.astype(np.int64), ids[places + 1].astype(np.int64)


def windows(document: Ids, most: int) -> list[Ids]:
    """A document cut every `most` tokens."""
    return [document[start : start + most] for start in range(0, len(document), most)]
