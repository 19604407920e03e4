"""A base model as it gives sentence embeddings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoder.load import Encoder
from models.encoder.pace import Batching
from models.encoder.tokens import tokenize
from workers.inference.encoder_batch import Branch, begun_sums
from workers.inference.reading import Answer, Plan, Prepared, Results
from workers.inference.wire import Pool
from workers.inference.work import TextFailure, TokenIds, Window

EMBEDDING_TOKENS = 256
"""Window of sentence embeddings: what sentence-transformers trained MiniLM with."""


@dataclass(frozen=True, slots=True, eq=False)
class BaseReader:
    """Reads texts with the plain base model."""

    name: str
    encoder: Encoder
    size: int = 0
    """Base models stay loaded: they are not counted against the adapters' memory."""
    description: dict[str, Any] = field(default_factory=dict)
    batching: Batching | None = None
    """How its windows are put into batches."""
    low: Encoder | None = None
    """The same model in 8 bits, which then reads."""

    @property
    def company(self) -> Hashable:
        """None but itself."""
        return self

    def prepare(self, texts: Sequence[str], plan: Plan) -> Prepared:  # noqa: ARG002  # as adapters take it
        """Windows of EMBEDDING_TOKENS."""
        windows_of, spans_of = token_windows(self.encoder, texts, EMBEDDING_TOKENS)
        return Prepared(windows_of, spans_of, ())

    def run(self, windows: Sequence[Window]) -> Sequence[Any]:
        """Per window the sum of the last layer: float32 (hidden)."""
        return self._begun(windows)()

    def begin(self, windows: Sequence[Window]) -> Callable[[], Sequence[Any]] | None:
        """The same begun on a GPU; None on a CPU."""
        return self._begun(windows) if self.encoder.device.type == "cuda" else None

    def _begun(self, windows: Sequence[Window]) -> Callable[[], Sequence[Any]]:
        encoder = self.low or self.encoder
        branch = Branch(encoder.layers, (encoder.depth,))
        flat = None if self.batching is None else self.batching.flat
        fetch = begun_sums(encoder, windows, 0, {"base": branch}, {"base": range(len(windows))}, flat)
        return lambda: list(fetch()["base"][:, 0])

    def finish(self, prepared: Prepared, results: Results, plan: Plan, pool: Pool) -> Answer:  # noqa: ARG002
        """Embeddings of length 1, mean over all windows of a text."""
        embeddings, failures = embeddings_of(results, self.encoder.hidden_size)
        return Answer(failures, embeddings=embeddings)


def embeddings_of(results: Results, size: int) -> tuple[NDArray[np.float32], dict[int, TextFailure]]:
    """Mean of each text's window sums, scaled to length 1: float32 (texts, size), NaN for failed texts, which come too."""
    embeddings = np.full((len(results), size), np.nan, dtype=np.float32)
    failures: dict[int, TextFailure] = {}
    for text, sums in enumerate(results):
        if isinstance(sums, TextFailure):
            failures[text] = sums
            continue
        total = np.sum(sums, axis=0)
        embeddings[text] = total / max(float(np.linalg.norm(total)), 1e-12)
    return embeddings, failures


def token_windows(
    encoder: Encoder, texts: Sequence[str], max_tokens: int
) -> tuple[tuple[Sequence[TokenIds] | TextFailure, ...], tuple[Sequence[tuple[int, int]], ...]]:
    """Per text its windows' token ids (or why there are none) and their character ranges."""
    try:
        windows = tokenize(encoder, texts, max_tokens)
    except Exception as error:  # noqa: BLE001  # one text that the tokenizer cannot take must not fail the others
        if len(texts) == 1:
            return (TextFailure(f"the tokenizer could not read it ({type(error).__name__})"),), ((),)
        single = [token_windows(encoder, [text], max_tokens) for text in texts]
        return tuple(ids[0] for ids, _ in single), tuple(spans[0] for _, spans in single)
    pieces = np.split(windows.ids, windows.starts[1:-1])
    first = windows.first_window
    ranges = [(int(low), int(high)) for low, high in windows.spans]
    bounds = list(pairwise(first))
    return tuple(pieces[low:high] for low, high in bounds), tuple(ranges[low:high] for low, high in bounds)
