"""Contents of frozen text versions, a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from app.db.session import reading

_BATCH = 2048


def contents_of(version_ids: NDArray[np.int64] | Sequence[int]) -> list[str]:
    """Contents of some text versions, in their order; LookupError when one is gone (its corpus was deleted)."""
    ids = [int(number) for number in version_ids]
    query = text("SELECT id, content FROM text_versions WHERE id = ANY(:ids)")
    with reading() as session:
        found = {row.id: row.content for row in session.execute(query, {"ids": ids})}
    missing = [number for number in ids if number not in found]
    if missing:
        raise LookupError(f"{len(missing)} text versions of the frozen list are gone")
    return [found[number] for number in ids]


def batches(version_ids: NDArray[np.int64], size: int = _BATCH) -> Iterator[list[str]]:
    """Contents of many text versions, a batch at a time."""
    for start in range(0, len(version_ids), size):
        yield contents_of(version_ids[start : start + size])
