"""Beam search of one sequence, step by step, with transformers' rules (length penalty 1, stopping where no running beam can win)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.generative.decode.choice import Chooser

_NEVER = -1e9


@dataclass(slots=True, eq=False)
class Beams:
    """The beams of a sequence: as many as slots, best first."""

    choosers: list[Chooser]
    most: int
    """Tokens that may be written."""
    written: list[list[int]] = field(init=False)
    scores: list[float] = field(init=False)
    """Summed log-probability of each."""
    finished: list[tuple[float, list[int]]] = field(default_factory=list)
    """Mean log-probability and tokens of the best that have ended, at most as many as there are beams."""
    done: bool = False

    def __post_init__(self) -> None:
        """All beams begin alike: only the first may branch at first."""
        count = len(self.choosers)
        self.written = [[] for _ in range(count)]
        self.scores = [0.0] + [_NEVER] * (count - 1)

    @property
    def best(self) -> list[int]:
        """Tokens of the best that has ended."""
        return max(self.finished, key=lambda entry: entry[0])[1]

    def advance(self, logits: Tensor) -> list[int] | None:
        """Take the beams one token further.

        Args:
            logits: fp32 (beams, vocabulary), in the order of the beams.

        Returns:
            For each beam that goes on the place of the one it came from; None when the logits are not numbers.
        """
        count, size = logits.shape
        scores = torch.log_softmax(logits, dim=-1)
        length = len(self.written[0])
        scores = torch.stack(
            [chooser.constrained(row, length) for chooser, row in zip(self.choosers, scores, strict=True)]
        )
        summed = (scores + torch.tensor(self.scores, device=scores.device)[:, None]).flatten()
        ends = self.choosers[0].ends
        values, places = summed.topk(min(max(2, 1 + len(ends)) * count, len(summed)))
        if not bool(torch.isfinite(values[0])):
            return None
        running: list[tuple[float, int, int]] = []
        last = length + 1 >= self.most
        for rank, (score, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True)):
            source, token = divmod(place, size)
            if token in ends or last:
                if rank < count:
                    self.finished.append((score / (length + 1), [*self.written[source], token]))
            elif len(running) < count:
                running.append((score, source, token))
        self.finished = sorted(self.finished, key=lambda entry: -entry[0])[:count]
        self._settle(running, length + 1, last=last)
        return [] if self.done else self._follow(running)

    def _settle(self, running: list[tuple[float, int, int]], length: int, *, last: bool) -> None:
        count = len(self.choosers)
        full = len(self.finished) == count
        beaten = full and (not running or running[0][0] / length <= self.finished[-1][0])
        self.done = last or beaten or len(running) < count

    def _follow(self, running: list[tuple[float, int, int]]) -> list[int]:
        written = [[*self.written[source], token] for _, source, token in running]
        seen = [[*self.choosers[source].seen, token] for _, source, token in running]
        for chooser, tokens in zip(self.choosers, seen, strict=True):
            chooser.seen = tokens
        self.written, self.scores = written, [score for score, _, _ in running]
        return [source for _, source, _ in running]
