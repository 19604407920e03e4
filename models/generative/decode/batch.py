"""The running batch: sequences that are done make room at once, and waiting ones take it, between any two steps.

Iteration-level scheduling (Yu et al. 2022, "Orca"). Every sequence has one slot, or one per beam; slots are kept without
gaps, so that a step reads the first rows of the cache as they lie.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from models.generative.blocks import Ids
from models.generative.decode.beams import Beams
from models.generative.decode.choice import choose
from models.generative.decode.load import Model
from models.generative.decode.sequence import Sequence

_LEAST = 64
"""Tokens that room is made for at least."""
RESERVED = 0.25
"""Share of the slots that bulk sequences leave to people who wait."""


class Slots(Protocol):
    """The cache of a model's running sequences (`CausalSlots`, `PairSlots`)."""

    @property
    def bytes(self) -> int:
        """Memory taken."""
        ...

    def bytes_with(self, slots: int, prompt: int, most: int) -> int:
        """Memory that would be taken."""
        ...

    def reserve(self, slots: int, prompt: int, most: int) -> None:
        """Have room."""
        ...

    def first(self, prompt: Ids) -> tuple[int, int]:
        """The first step's token and position."""
        ...

    def admit(self, prompts: list[tuple[int, Ids]]) -> None:
        """Read prompts into slots."""
        ...

    def step(self, ids: list[int], positions: list[int]) -> Tensor:
        """Logits of the next tokens."""
        ...

    def copy(self, sources: list[int], targets: list[int], tokens: int, prompt: int) -> None:
        """Copy slots."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much runs at once."""

    slots: int = 64
    prompt_tokens: int = 512
    """Tokens of prompts that are read between two steps: what a running sequence waits for a new one at most."""


@dataclass(slots=True)
class _Row:
    """What a slot is running."""

    sequence: Sequence
    token: int
    """That the next step reads."""
    position: int


@dataclass(slots=True)
class Counted:
    """What a batch has done, for metrics."""

    steps: int = 0
    rows: int = 0
    """Rows of all steps."""
    prompt_tokens: int = 0
    written: int = 0


@dataclass(eq=False)
class RunningBatch:
    """Sequences of one model on their way. Not thread-safe: `add` and `advance` belong to one thread."""

    model: Model
    limits: Limits = field(default_factory=Limits)
    room: Callable[[], float] = lambda: float("inf")
    """Bytes that the cache may take now; one sequence is always taken."""
    counted: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        """Begin empty."""
        self._slots: Slots = self.model.begin()
        self._rows: list[_Row] = []
        self._waiting: tuple[deque[Sequence], deque[Sequence]] = (deque(), deque())

    @property
    def bytes(self) -> int:
        """Memory of the cache."""
        return self._slots.bytes

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self._rows and not any(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence: people who wait go first."""
        self._waiting[sequence.bulk].append(sequence)

    @torch.inference_mode()
    def advance(self, seconds: float = 0.0) -> list[Sequence]:
        """Take in what waits and there is room for, then step until a sequence is done or `seconds` have passed.

        Returns:
            Sequences that are done, failed or no longer wanted.
        """
        until = time.perf_counter() + seconds
        ended = self._forgotten()
        while not ended:
            ended += self._take_in()
            if not self._rows:
                break
            ended += self._step()
            if time.perf_counter() >= until:
                break
        return ended

    def abandon(self) -> list[Sequence]:
        """Give up everything: whatever runs or waits."""
        found = {id(row.sequence): row.sequence for row in self._rows}
        left = [*found.values(), *self._waiting[0], *self._waiting[1]]
        self._rows.clear()
        for waiting in self._waiting:
            waiting.clear()
        return left

    def _forgotten(self) -> list[Sequence]:
        """Take out sequences that nobody wants any more."""
        gone = {id(row.sequence): row.sequence for row in self._rows if row.sequence.dropped}
        self._remove(set(gone))
        found = list(gone.values())
        for waiting in self._waiting:
            for _ in range(len(waiting)):
                sequence = waiting.popleft()
                (found if sequence.dropped else waiting).append(sequence)
        return found

    def _take_in(self) -> list[Sequence]:
        """Read the prompts of waiting sequences into free slots; those whose prompts cannot be read are given back."""
        chosen: list[tuple[Sequence, int]] = []
        tokens, slot = 0, len(self._rows)
        if not self._rows and any(self._waiting):
            self._slots = (
                self.model.begin()
            )  # what one long text made room for must not narrow the batch for good
        while tokens < self.limits.prompt_tokens:
            sequence = self._next(slot)
            if sequence is None:
                break
            chosen.append((sequence, slot))
            slot += sequence.slots
            tokens += len(sequence.prompt)
        if not chosen:
            return []
        self.counted.prompt_tokens += tokens
        return self._read(chosen)

    def _next(self, taken: int) -> Sequence | None:
        for bulk, waiting in enumerate(self._waiting):
            if not waiting:
                continue
            sequence = waiting[0]
            limit = self.limits.slots * (1 - RESERVED if bulk and self.limits.slots > 1 else 1)
            prompt, slots = len(sequence.prompt), taken + sequence.slots
            fits = slots <= limit and self._slots.bytes_with(slots, prompt, sequence.most) <= self.room()
            if not fits and taken:
                return None
            self._reserve(slots, prompt, sequence.most)
            return waiting.popleft()
        return None

    def _reserve(self, slots: int, prompt: int, most: int) -> None:
        """Have room for so much, and where memory allows for what is likely to follow: growing copies all that is held."""
        ample = min(self.limits.slots, 1 << (slots - 1).bit_length()), _rounded(prompt), _rounded(most)
        if slots <= ample[0] and self._slots.bytes_with(*ample) <= self.room():
            slots, prompt, most = ample
        self._slots.reserve(slots, prompt, most)

    def _read(self, chosen: list[tuple[Sequence, int]]) -> list[Sequence]:
        try:
            self._slots.admit([(slot, sequence.prompt) for sequence, slot in chosen])
        except Exception as error:  # noqa: BLE001  # whatever a prompt does to the model, the others go on
            if len(chosen) == 1:
                chosen[0][0].fail("unreadable", f"the model could not read it ({type(error).__name__})")
                return [chosen[0][0]]
            return self._read_one_by_one([sequence for sequence, _ in chosen])
        for sequence, slot in chosen:
            token, position = self._slots.first(sequence.prompt)
            others = list(range(slot + 1, slot + sequence.slots))
            if others:
                self._slots.copy([slot] * len(others), others, position, len(sequence.prompt))
            self._rows += [_Row(sequence, token, position) for _ in range(sequence.slots)]
        return []

    def _read_one_by_one(self, sequences: list[Sequence]) -> list[Sequence]:
        failed: list[Sequence] = []
        for sequence in sequences:
            failed += self._read([(sequence, len(self._rows))])
        return failed

    def _step(self) -> list[Sequence]:
        rows = self._rows
        logits = self._slots.step([row.token for row in rows], [row.position for row in rows])
        self.counted.steps += 1
        self.counted.rows += len(rows)
        plain = [place for place, row in enumerate(rows) if row.sequence.beams is None]
        part = logits if len(plain) == len(rows) else logits[plain]
        sequences = [rows[place].sequence for place in plain]
        tokens = choose(part, [found.chooser for found in sequences], [found.count for found in sequences])
        ended: list[Sequence] = []
        for place, sequence, token in zip(plain, sequences, tokens, strict=True):
            row = rows[place]
            row.position += 1
            if sequence.take(token):
                ended.append(sequence)
            else:
                assert token is not None
                row.token = token
        ended += self._step_beams(logits)
        self.counted.written += len(rows)
        self._remove({id(sequence) for sequence in ended})
        return ended

    def _step_beams(self, logits: Tensor) -> list[Sequence]:
        ended, place = [], 0
        while place < len(self._rows):
            row = self._rows[place]
            beams, slots = row.sequence.beams, row.sequence.slots
            if beams is not None:
                sources = beams.advance(logits[place : place + slots])
                if row.sequence.take_beams(known=sources is not None):
                    ended.append(row.sequence)
                else:
                    assert sources is not None
                    self._follow(place, beams, sources)
            place += slots
        return ended

    def _follow(self, place: int, beams: Beams, sources: list[int]) -> None:
        """Let the slots of a sequence's beams hold what the beams that go on came from."""
        position = self._rows[place].position + 1
        moved = [(source, target) for target, source in enumerate(sources) if source != target]
        if moved:
            read, targets = [place + source for source, _ in moved], [place + target for _, target in moved]
            self._slots.copy(read, targets, position, 0)
        for number, written in enumerate(beams.written):
            row = self._rows[place + number]
            row.token, row.position = written[-1], position

    def _remove(self, gone: set[int]) -> None:
        """Take sequences out and close the gaps: what runs keeps its order, moved by as little as can be."""
        if not gone:
            return
        kept = [place for place, row in enumerate(self._rows) if id(row.sequence) not in gone]
        order = _closed(kept, self._rows)
        moved = [(source, target) for target, source in enumerate(order) if source != target]
        if moved:
            tokens = max(self._rows[source].position for source, _ in moved)
            prompt = max(len(self._rows[source].sequence.prompt) for source, _ in moved)
            self._slots.copy([source for source, _ in moved], [target for _, target in moved], tokens, prompt)
        self._rows = [self._rows[source] for source in order]


def _rounded(tokens: int) -> int:
    """The next of 64, 96, 128, 192, 256 …"""
    power = 1 << max(6, (tokens - 1).bit_length())
    return power * 3 // 4 if tokens <= power * 3 // 4 and power > _LEAST else power


def _closed(kept: list[int], rows: list[_Row]) -> list[int]:
    """Which old row stands at each new place: rows of the end fill the gaps where every sequence has one row, else all move up."""
    count = len(kept)
    if any(rows[place].sequence.slots > 1 for place in kept):
        return kept
    staying = [place for place in kept if place < count]
    moving = iter([place for place in kept if place >= count])
    taken = set(staying)
    return [place if place in taken else next(moving) for place in range(count)]
