"""The running batch: sequences that are done make room at once, and waiting ones take it, between any two steps.

Iteration-level scheduling (Yu et al. 2022, "Orca"). Every sequence has one slot, or one per beam; slots are kept without
gaps, so that a step reads the first rows of the cache as they lie.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.generative.decode.beams import Beams
from models.generative.decode.choice import choose
from models.generative.decode.load import Model
from models.generative.decode.sequence import Sequence
from models.generative.decode.slots import Slots

_LEAST = 64
"""Tokens that room is made for at least."""
RESERVED = 0.25
"""Share of the slots that bulk sequences leave to people who wait."""


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
    fresh: bool = True
    """Whether its prompt is still to be read: its slot holds nothing of it."""


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
        self._rows: list[_Row | None] = []
        """By slot; None where a sequence has ended, until the next step."""
        self._waiting: tuple[deque[Sequence], deque[Sequence]] = (deque(), deque())
        self._ours: dict[int, Sequence] = {}  # by identity, all that were added and not given back

    @property
    def bytes(self) -> int:
        """Memory of the cache."""
        return self._slots.bytes

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self._live and not any(self._waiting)

    @property
    def _live(self) -> list[_Row]:
        return [row for row in self._rows if row is not None]

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence: people who wait go first."""
        self._waiting[sequence.bulk].append(sequence)
        self._ours[id(sequence)] = sequence

    @torch.inference_mode()
    def advance(self, seconds: float = 0.0) -> list[Sequence]:
        """Take in what waits and there is room for, then step until a sequence is done or `seconds` have passed.

        Returns:
            Sequences that are done, failed or no longer wanted.
        """
        ended = self._advanced(time.perf_counter() + seconds)
        for sequence in ended:
            del self._ours[id(sequence)]
        return ended

    def abandon(self) -> list[Sequence]:
        """Give up everything: whatever runs or waits, or was on its way when `advance` failed."""
        left = list(self._ours.values())
        self._rows, self._waiting, self._ours = [], (deque(), deque()), {}
        return left

    def _advanced(self, until: float) -> list[Sequence]:
        ended = self._forgotten()
        while not ended:
            ended += self._take_in()
            if not self._rows:
                break
            ended += self._step(self._live)
            if time.perf_counter() >= until:
                break
        return ended

    def _forgotten(self) -> list[Sequence]:
        """Take out sequences that nobody wants any more."""
        gone = {id(row.sequence): row.sequence for row in self._live if row.sequence.dropped}
        self._remove(set(gone))
        found = list(gone.values())
        for waiting in self._waiting:
            for _ in range(len(waiting)):
                sequence = waiting.popleft()
                (found if sequence.dropped else waiting).append(sequence)
        return found

    def _take_in(self) -> list[Sequence]:
        """Read the prompts of waiting sequences into free slots; those whose prompts cannot be read are given back."""
        chosen: list[Sequence] = []
        tokens, taken = 0, len(self._live)
        if not taken and any(self._waiting):
            # What one long text made room for must not narrow the batch for good.
            self._slots, self._rows = self.model.begin(), []
        while tokens < self.limits.prompt_tokens:
            sequence = self._next(taken)
            if sequence is None:
                break
            chosen.append(sequence)
            taken += sequence.slots
            tokens += len(sequence.prompt)
        self.counted.prompt_tokens += tokens
        failed = self._read(chosen)
        self._close()
        return failed

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

    def _read(self, chosen: list[Sequence]) -> list[Sequence]:
        """Give sequences slots, those that have become free first, and read their prompts."""
        if not chosen:
            return []
        holes = deque(place for place, row in enumerate(self._rows) if row is None)
        for sequence in chosen:
            token, position = self._slots.first(sequence.prompt)
            rows = [_Row(sequence, token, position) for _ in range(sequence.slots)]
            if len(rows) == 1 and holes:
                self._rows[holes.popleft()] = rows[0]
            else:
                self._rows += rows
        self._close()
        places = {id(row.sequence): place for place, row in reversed(list(enumerate(self._live)))}
        try:
            self._slots.admit([(places[id(sequence)], sequence.prompt) for sequence in chosen])
        except Exception as error:  # noqa: BLE001  # whatever a prompt does to the model, the others go on
            return self._read_one_by_one(chosen, error)
        for sequence in chosen:
            self._begin(sequence, places[id(sequence)])
        return []

    def _begin(self, sequence: Sequence, place: int) -> None:
        """Its prompt is read: its beams begin alike."""
        rows = [row for row in self._rows[place : place + sequence.slots] if row is not None]
        others = list(range(place + 1, place + sequence.slots))
        if others:
            self._slots.copy([place] * len(others), others, rows[0].position, len(sequence.prompt))
        for row in rows:
            row.fresh = False

    def _read_one_by_one(self, sequences: list[Sequence], error: Exception) -> list[Sequence]:
        """After a failure: each by itself, and what fails alone has failed."""
        self._remove({id(sequence) for sequence in sequences})
        if len(sequences) > 1:
            return [failed for sequence in sequences for failed in self._read([sequence])]
        sequences[0].fail("unreadable", f"the model could not read it ({type(error).__name__})")
        return sequences

    def _step(self, rows: list[_Row]) -> list[Sequence]:
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
        ended += self._step_beams(rows, logits)
        self.counted.written += len(rows)
        self._remove({id(sequence) for sequence in ended})
        return ended

    def _step_beams(self, rows: list[_Row], logits: Tensor) -> list[Sequence]:
        ended, place = [], 0
        while place < len(rows):
            row = rows[place]
            beams, slots = row.sequence.beams, row.sequence.slots
            if beams is not None:
                sources = beams.advance(logits[place : place + slots])
                if row.sequence.take_beams(known=sources is not None):
                    ended.append(row.sequence)
                else:
                    assert sources is not None
                    self._follow(rows[place : place + slots], place, beams, sources)
            place += slots
        return ended

    def _follow(self, rows: list[_Row], place: int, beams: Beams, sources: list[int]) -> None:
        """Let the slots of a sequence's beams hold what the beams that go on came from."""
        position = rows[0].position + 1
        moved = [(source, target) for target, source in enumerate(sources) if source != target]
        if moved:
            read, targets = [place + source for source, _ in moved], [place + target for _, target in moved]
            self._slots.copy(read, targets, position, 0)
        for row, written in zip(rows, beams.written, strict=True):
            row.token, row.position = written[-1], position

    def _remove(self, gone: set[int]) -> None:
        """Let sequences leave their slots."""
        self._rows = [None if row is None or id(row.sequence) in gone else row for row in self._rows]

    def _close(self) -> None:
        """Close the gaps that nobody has taken; what is held moves by as little as can be."""
        if None not in self._rows:
            return
        order = _closed(self._rows)
        rows = [self._rows[source] for source in order]
        moved = [
            (source, target, row)
            for target, (source, row) in enumerate(zip(order, rows, strict=True))
            if source != target and row is not None and not row.fresh
        ]
        if moved:
            sources, targets, held = (list(part) for part in zip(*moved, strict=True))
            tokens = max(row.position for row in held)
            self._slots.copy(sources, targets, tokens, max(len(row.sequence.prompt) for row in held))
        self._rows = rows


def _rounded(tokens: int) -> int:
    """The next of 64, 96, 128, 192, 256 …"""
    power = 1 << max(6, (tokens - 1).bit_length())
    return power * 3 // 4 if tokens <= power * 3 // 4 and power > _LEAST else power


def _closed(rows: Iterable[_Row | None]) -> list[int]:
    """Which old row stands at each new place: rows of the end fill the gaps where every sequence has one row, else all move up."""
    kept = [(place, row) for place, row in enumerate(rows) if row is not None]
    count = len(kept)
    if any(row.sequence.slots > 1 for _, row in kept):
        return [place for place, _ in kept]
    taken = {place for place, _ in kept if place < count}
    moving = iter([place for place, _ in kept if place >= count])
    return [place if place in taken else next(moving) for place in range(count)]
