"""What a loaded model does for a request: texts to windows, windows to numbers, numbers to one answer per text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.data.context import Context
from models.encoder.load import Encoder
from workers.inference.wire import Pool
from workers.inference.work import Runner, TextFailure, TokenIds

TokenWindows = tuple[tuple[Sequence[TokenIds] | TextFailure, ...], tuple[Sequence[tuple[int, int]], ...]]
"""Per text its windows' token ids (or why there are none) and their character ranges."""
Tokenize = Callable[[Encoder, Sequence[str], int], TokenWindows]
"""From an encoder, texts and the tokens of a window."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which models of an adapter read which text."""

    members: tuple[str, ...] = ("final",)
    uses: tuple[tuple[int, ...], ...] | None = None
    """Per text the places in `members` whose mean is the answer; None: the first, for every text."""
    embeddings: bool = False
    """Whether the base model's sentence embedding is wanted too."""
    contexts: tuple[Context | None, ...] | None = None
    """What stands around each text, for an adapter that reads it; None where nothing is known."""
    tokenize: Tokenize | None = None
    """What makes windows of the texts; None: the reader's own tokenizer, each time."""

    def members_of(self, text: int) -> tuple[str, ...]:
        """Names of the models that read a text."""
        places = (0,) if self.uses is None else self.uses[text]
        return tuple(self.members[place] for place in places)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Texts ready for the queue."""

    windows_of: tuple[Sequence[TokenIds] | TextFailure, ...]
    """Per text its windows' token ids, or why there are none."""
    spans_of: tuple[Sequence[tuple[int, int]], ...]
    """Per text and window the first and last + 1 character."""
    context: tuple[Any, ...]
    """Per text what the model needs besides tokens."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The numbers of one request. Rows of failed texts are NaN."""

    failures: dict[int, TextFailure]
    probabilities: NDArray[np.float32] | None = None
    """float32 (texts, options), calibrated."""
    deciding: NDArray[np.int32] | None = None
    """int32 (texts, options): the window that speaks most for the option."""
    embeddings: NDArray[np.float32] | None = None
    """float32 (texts, dimensions), length 1."""
    beside: NDArray[np.bool_] | None = None
    """bool (texts): read with what stands around them; None where no model read any context."""


Results = Sequence[Sequence[Any] | TextFailure]
"""Per text its windows' results as `run` gave them, or why there are none."""


class Reader(Runner, Protocol):
    """A loaded adapter or base model. `prepare` and `finish` run in any thread, `run` on the engine's."""

    @property
    def size(self) -> int:
        """Bytes that it takes besides a shared base model."""
        ...

    @property
    def description(self) -> dict[str, Any]:
        """What an answer says about it: option keys, thresholds, digest, base model …"""
        ...

    def prepare(self, texts: Sequence[str], plan: Plan) -> Prepared:
        """Tokenize. A text that cannot be tokenized becomes a TextFailure. LookupError for a member that does not exist."""
        ...

    def finish(self, prepared: Prepared, results: Results, plan: Plan, pool: Pool) -> Answer:
        """Pool the windows of each text and calibrate."""
        ...
