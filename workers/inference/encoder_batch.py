"""One batch through a frozen encoder: the shared trunk once, then each member's upper layers over the windows it reads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.forward import trunk_batches
from models.encoder.load import Encoder
from models.encoder.tokens import Windows
from models.encoder.transfer import to_host
from models.encoder.trunk import upper_sums
from workers.inference.work import TokenIds, Window

Sums = NDArray[np.float32]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Branch:
    """Some layers above the trunk and what is wanted of them."""

    upper: nn.ModuleList
    pooled: tuple[int, ...]


def begun_sums(
    encoder: Encoder,
    windows: Sequence[Window],
    depth: int,
    branches: Mapping[Name, Branch],
    readers: Mapping[Name, Sequence[int]],
    flat: bool | None = None,
) -> Callable[[], dict[Name, Sums]]:
    """Begin sums over tokens under each branch. A GPU computes them while this thread goes on; a CPU has done so on return.

    Args:
        encoder: the base model.
        windows: the batch.
        depth: layers of the trunk.
        branches: by name.
        readers: per branch the places in `windows` that go through it.
        flat: whether windows are read as a stream without padding; None for what suits the device.

    Returns:
        What waits for them and gives per branch float32 (its places, pooled layers, hidden), in the order of `readers`.
    """
    levels = sorted({layer for branch in branches.values() for layer in branch.pooled})
    packed = packed_windows([window.ids for window in windows])
    whole = len(windows) * int(packed.lengths.max())  # one batch, however it is laid out
    (batch,) = trunk_batches(encoder, packed, depth, levels, whole, flat)
    row_of = np.empty(len(windows), dtype=np.int64)
    row_of[batch.rows] = np.arange(len(windows))
    found: dict[Name, Tensor] = {}
    orders: dict[Name, NDArray[np.int64]] = {}
    with torch.inference_mode():
        for name, places in readers.items():
            rows = row_of[np.asarray(places)]
            # Longest first, as the batch is: windows of one length stay side by side.
            orders[name] = np.argsort(rows)
            part = batch.part(rows[orders[name]])
            found[name] = upper_sums(part, branches[name].upper, depth, branches[name].pooled)
        # Fetched when all is under way, so that a GPU never waits for the next member to be started.
        fetch = to_host(list(found.values()))
    return lambda: {name: sums[np.argsort(orders[name])] for name, sums in zip(found, fetch(), strict=True)}


def packed_windows(ids: Sequence[TokenIds]) -> Windows:
    """Token windows that stand for themselves, one text each."""
    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    return Windows(
        np.concatenate(ids),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.arange(len(ids), dtype=np.int32),
        np.zeros((len(ids), 2), dtype=np.int32),
        len(ids),
    )
