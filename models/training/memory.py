"""Running out of memory: a GPU's is met with smaller micro-batches, the host's with words about what would fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from models.training.errors import TrainingRefusedError
from models.training.request import AUTO_TOKENS, TrainRequest

T = TypeVar("T")
_HOST_WORDS = ("can't allocate memory", "not enough memory")
"""How PyTorch's CPU allocator says it, on Linux and on Windows, in a plain RuntimeError."""

_FEW_TOKENS = 64


@dataclass(slots=True)
class MicroBatches:
    """How many parts an optimizer step is read in; grows when a GPU's memory does not hold one."""

    parts: int


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's or the host's memory was full."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _HOST_WORDS)


def halving(micro: MicroBatches, most: int, attempt: Callable[[int], T], tell: Callable[[int], None]) -> T:
    """`attempt(parts)`, repeated with twice the parts and the same random state as long as a GPU's memory is full.

    Args:
        micro: the parts to begin with; keeps what worked.
        most: parts beyond which nothing gets smaller.
        attempt: must leave nothing behind that a repetition does not undo.
        tell: told the new number of parts.

    Raises:
        torch.OutOfMemoryError: not even the smallest parts fit.
    """
    before = _random_state()
    while True:
        try:
            return attempt(micro.parts)
        except torch.OutOfMemoryError:
            if micro.parts >= most:
                raise
        # Outside of `except`: the error's traceback would keep the activations alive.
        micro.parts *= 2
        _set_random_state(before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        tell(micro.parts)


def refusal(error: BaseException, request: TrainRequest) -> TrainingRefusedError:
    """Full memory as a refusal, code `out-of-memory`, that says what would fit."""
    where = "the GPU's memory" if isinstance(error, torch.OutOfMemoryError) else "this machine's memory"
    return TrainingRefusedError("out-of-memory", "max_tokens", f"{where} is full. {what_would_fit(request)}")


def what_would_fit(request: TrainRequest) -> str:
    """What to ask for instead, as a sentence."""
    tokens = AUTO_TOKENS if request.max_tokens == "auto" else request.max_tokens
    smaller = []
    if tokens > _FEW_TOKENS:
        smaller.append(f"max_tokens {tokens // 2} (now {tokens})")
    if request.trained_layers == "auto":
        smaller.append("trained_layers 1 (now chosen by Remand)")
    elif request.trained_layers > 1:
        smaller.append(f"trained_layers {request.trained_layers // 2} (now {request.trained_layers})")
    if not request.activation_checkpointing:
        smaller.append("activation_checkpointing true")
    smaller.append(f"accumulation {request.accumulation * 2} (now {request.accumulation})")
    smaller.append("fewer texts (limit), or a smaller base_model")
    return f"Less is needed with {'; '.join(smaller)}."


def _random_state() -> tuple[torch.Tensor, list[torch.Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _set_random_state(state: tuple[torch.Tensor, list[torch.Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
