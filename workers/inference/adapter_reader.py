"""A loaded adapter as the engine runs it: several members at once, long texts by windows, embeddings along the way."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import nn

from models.adapters.load import FINAL, LoadedAdapter
from models.adapters.member import Member, given_contexts
from models.adapters.wide import wide_logits
from models.data.context import Contexts
from models.encoder.int8 import int8_bytes, with_int8
from models.encoder.load import Encoder
from models.encoder.pace import Batching
from models.encoder.tuning import own_bytes
from workers.inference.base_reader import embeddings_of, token_windows
from workers.inference.encoder_batch import Branch, begun_sums
from workers.inference.pooling import TextContext, WindowSums, member_text, pooled_probabilities
from workers.inference.reading import Answer, Plan, Prepared, Results
from workers.inference.rescoring import BOUNDS, doubtful, is_exact, precision_of, thresholds_of
from workers.inference.wire import Pool
from workers.inference.work import TextFailure, Window

_PLAIN = ""
"""Name of the branch of the base model's own layers, which no member has."""
_Name = tuple["AdapterReader | None", str]
"""A branch of a batch: a member and whose it is."""
_TERM_BYTES = 120
EXACT = ":fp32"
"""After the digest of an adapter that is wanted in fp32."""


@dataclass(frozen=True, slots=True, eq=False)
class AdapterReader:
    """Reads texts with the members of one adapter."""

    adapter: LoadedAdapter
    blob_digest: str
    size: int
    reads_context: bool
    """Whether the final model does."""
    needs_context: bool
    """Whether the final model reads texts less well without."""
    batching: Batching | None = None
    """How its windows are put into batches."""
    fast: LoadedAdapter | None = None
    """The same with its linears in 8 bits, which then reads; explanations and what hangs on rounding take `adapter`."""

    @property
    def description(self) -> dict[str, Any]:
        """What answers say about the adapter."""
        manifest = self.adapter.manifest
        return {
            "digest": self.adapter.digest,
            "base": {"name": manifest["base"]["name"], "sha256": manifest["base"]["sha256"]},
            "option_keys": list(self.adapter.option_keys),
            "thresholds": self.adapter.thresholds.tolist(),
            "lone_thresholds": self.adapter.lone_thresholds.tolist(),
            "members": list(self.adapter.members),
            "needs_context": self.needs_context,
        }

    @property
    def company(self) -> Hashable:
        """Adapters that leave the same layers of the same base model as they are: those layers read all their windows at once."""
        reading = self.reading
        return (id(reading.encoder), reading.depth) if reading.depth else self

    def prepare(self, texts: Sequence[str], plan: Plan) -> Prepared:
        """Tokens, and the wide branch's logits of each member that reads a text; KeyError for a member that does not exist."""
        for name in plan.members:
            if name not in self.adapter.loaded:
                raise KeyError(
                    f"the adapter has no member {name!r}; it has {', '.join(self.adapter.members)}"
                )
        tokenize = plan.tokenize or token_windows
        windows_of, spans_of = tokenize(self.adapter.encoder, texts, self.adapter.max_tokens)
        members_of = [plan.members_of(text) for text in range(len(texts))]
        beside = given_contexts(plan.contexts, len(texts))
        wide = self._wide(texts, members_of, plan.contexts, beside)
        context = tuple(
            TextContext(
                members, tuple(wide[name].get(text) for name in members), plan.embeddings, bool(beside[text])
            )
            for text, members in enumerate(members_of)
        )
        return Prepared(windows_of, spans_of, context)

    def run(self, windows: Sequence[Window]) -> Sequence[WindowSums]:
        """One pass of the trunk over all windows, then each member of each adapter over those that it reads."""
        return self._begun(windows)()

    def begin(self, windows: Sequence[Window]) -> Callable[[], Sequence[WindowSums]] | None:
        """The same begun on a GPU; None on a CPU."""
        return self._begun(windows) if self.adapter.encoder.device.type == "cuda" else None

    def _begun(self, windows: Sequence[Window]) -> Callable[[], Sequence[WindowSums]]:
        contexts = [window.request.context[window.text] for window in windows]
        branches: dict[_Name, Branch] = {}
        readers: dict[_Name, list[int]] = {}
        for place, (window, context) in enumerate(zip(windows, contexts, strict=True)):
            reader = window.request.runner
            assert isinstance(reader, AdapterReader)
            for name in _names(reader, context):
                if name not in branches:
                    branches[name] = _branch(reader, name)
                    readers[name] = []
                readers[name].append(place)
        flat = None if self.batching is None else self.batching.flat
        reading = self.reading
        fetch = begun_sums(reading.encoder, windows, reading.depth, branches, readers, flat)

        def results() -> Sequence[WindowSums]:
            sums = fetch()
            by_window: list[dict[str, NDArray[np.float32]]] = [{} for _ in windows]
            for name, places in readers.items():
                for place, row in zip(places, sums[name], strict=True):
                    by_window[place][name[1]] = row.reshape(-1)
            return [
                WindowSums(tuple(found[name] for name in context.members), found.get(_PLAIN), window.tokens)
                for window, context, found in zip(windows, contexts, by_window, strict=True)
            ]

        return results

    def finish(self, prepared: Prepared, results: Results, plan: Plan, pool: Pool) -> Answer:
        """Pool, calibrate, average over members. "mean" pools features over all tokens, as in training; "max" takes each option's strongest window."""
        failures = {text: found for text, found in enumerate(results) if isinstance(found, TextFailure)}
        readings = {text: found for text, found in enumerate(results) if not isinstance(found, TextFailure)}
        shape = (len(results), len(self.adapter.option_keys))
        total, used, deciding = np.zeros(shape), np.zeros((len(results), 1)), np.zeros(shape, dtype=np.int32)
        for name, reading, texts in self._readings(plan.members, prepared, list(readings)):
            chosen = [member_text(prepared.context[text], readings[text], name) for text in texts]
            part, deciding[texts] = pooled_probabilities(reading, chosen, pool)
            total[texts] += part
            used[texts] += 1
        probabilities = (total / np.where(used == 0, np.nan, used)).astype(np.float32)
        for text in np.flatnonzero(~np.isfinite(probabilities).all(axis=1)):
            failures.setdefault(int(text), TextFailure("the model's answer is not a number"))
            probabilities[text] = np.nan
        embeddings = self._embeddings(results) if plan.embeddings else None
        beside = np.array([context.beside for context in prepared.context], dtype=np.bool_)
        return Answer(failures, probabilities, deciding, embeddings, beside & self.reads_context)

    def doubtful(self, answer: Answer) -> NDArray[np.int64]:
        """Texts whose decisions hang on the precision that they were read in: int64 (rows)."""
        if answer.probabilities is None or (self.fast is None and is_exact(self.adapter)):
            return np.zeros(0, dtype=np.int64)
        bound = BOUNDS.get(precision_of(self.adapter, self.fast is not None), max(BOUNDS.values()))
        return doubtful(answer.probabilities, thresholds_of(self.adapter), bound)

    @property
    def exact(self) -> AdapterReader | None:
        """The same reading in fp32, where that is at hand; None: it is loaded by `exact_key`."""
        return replace(self, fast=None) if self.fast is not None else None

    @property
    def exact_key(self) -> str:
        """Under which the adapter loads in fp32."""
        return self.blob_digest + EXACT

    def _readings(
        self, names: Sequence[str], prepared: Prepared, texts: Sequence[int]
    ) -> Iterator[tuple[str, Member, list[int]]]:
        """Each member, by each of its readings, with the texts that it answers for."""
        for name in names:
            member = self.adapter.loaded[name]
            own = [text for text in texts if name in prepared.context[text].members]
            for beside in (True, False) if member.alone is not None else (None,):
                found = [text for text in own if beside in (None, prepared.context[text].beside)]
                if found:
                    yield name, member.alone if beside is False and member.alone else member, found

    def _embeddings(self, results: Results) -> NDArray[np.float32]:
        sums = [
            found if isinstance(found, TextFailure) else [w.embedding for w in found] for found in results
        ]
        return embeddings_of(sums, self.adapter.encoder.hidden_size)[0]

    @property
    def reading(self) -> LoadedAdapter:
        """What windows are read with."""
        return self.fast or self.adapter

    def _wide(
        self,
        texts: Sequence[str],
        members_of: Sequence[Sequence[str]],
        contexts: Contexts,
        beside: NDArray[np.bool_],
    ) -> dict[str, dict[int, NDArray[np.float32]]]:
        names = {name for members in members_of for name in members}
        found: dict[str, dict[int, NDArray[np.float32]]] = {name: {} for name in names}
        counts = None if self.adapter.counter is None else self.adapter.counter.count(texts, contexts)
        for name in names:
            rows = [text for text, members in enumerate(members_of) if name in members]
            member = self.adapter.loaded[name]
            if member.wide is not None and counts is not None:
                own = counts if len(rows) == len(texts) else counts[rows]
                logits = member.each(beside[rows], partial(_wide_logits, counts=own))
                found[name] = dict(zip(rows, logits, strict=True))
        return found


def _names(reader: AdapterReader, context: TextContext) -> list[_Name]:
    """What reads a text: members, which are its adapter's own, and the plain base model, which is everybody's."""
    return [*((reader, name) for name in context.members), *([(None, _PLAIN)] if context.embedding else [])]


def _branch(reader: AdapterReader, name: _Name) -> Branch:
    reading, (_, member) = reader.reading, name
    if member == _PLAIN:
        return Branch(reading.encoder.layers[reading.depth :], (reading.encoder.depth,))
    return Branch(reading.loaded[member].upper, reading.pooled)


def _wide_logits(reading: Member, counts: csr_matrix) -> NDArray[np.float32]:
    assert reading.wide is not None
    return wide_logits(reading.wide, counts)


def adapter_reader(
    adapter: LoadedAdapter, blob_digest: str, batching: Batching | None = None, low: Encoder | None = None
) -> AdapterReader:
    """An adapter made ready to serve, in 8 bits where `low`, its base model so, is given."""
    needs = adapter.needs_context()
    reads = needs or adapter.loaded[FINAL].alone is not None
    fast = None if low is None else in_8_bits(adapter, low)
    size = adapter_bytes(adapter) + (0 if fast is None else sum(map(int8_bytes, _uppers(fast))))
    return AdapterReader(adapter, blob_digest, size, reads, needs, batching, fast)


def in_8_bits(adapter: LoadedAdapter, low: Encoder) -> LoadedAdapter:
    """The same adapter on its base model in 8 bits, its members' layers likewise."""
    loaded = {name: replace(member, upper=with_int8(member.upper)) for name, member in adapter.loaded.items()}
    return replace(adapter, encoder=low, loaded=loaded)


def _uppers(adapter: LoadedAdapter) -> list[nn.ModuleList]:
    return [member.upper for member in adapter.loaded.values()]


def adapter_bytes(adapter: LoadedAdapter) -> int:
    """Memory that an adapter takes besides its base model, whose weights its members share."""
    total = len(adapter.vocabulary) * _TERM_BYTES
    for member in adapter.loaded.values():
        total += own_bytes(adapter.encoder, member.upper)
        total += _reading_bytes(member) + (_reading_bytes(member.alone) if member.alone else 0)
    return total


def _reading_bytes(reading: Member) -> int:
    weights = sum(weight.nbytes for weight in (*reading.head.parameters(), *reading.head.buffers()))
    arrays = () if reading.wide is None else reading.wide.to_tensors().values()
    return weights + sum(array.nbytes for array in arrays)
