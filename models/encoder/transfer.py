"""Between the processor's memory and a GPU's, without either waiting for the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fetch = Callable[[], list[NDArray[Any]]]
"""Waits for what is on its way, and gives it."""


def to_device(array: NDArray[np.generic], device: torch.device | str) -> Tensor:
    """An array as a tensor on a device. To a GPU it goes through pinned memory, so that nothing waits for what the GPU has to do before."""
    found = torch.from_numpy(array)
    if torch.device(device).type != "cuda":
        return found.to(device)
    return found.pin_memory().to(device, non_blocking=True)


def to_host(tensors: Sequence[Tensor]) -> Fetch:
    """Have tensors copied from a GPU as soon as they are computed; the caller may do other things until it needs them."""
    device = next((tensor.device for tensor in tensors if tensor.is_cuda), None)
    if device is None:
        return lambda: [tensor.numpy() for tensor in tensors]
    held = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    for place, tensor in zip(held, tensors, strict=True):
        place.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(device))

    def fetch() -> list[NDArray[Any]]:
        copied.synchronize()
        return [place.numpy() for place in held]

    return fetch
