"""How the next token is chosen from logits: greedily, or drawn after temperature, top-k and top-p, each sequence with a stream of its own.

The order is that of transformers' `generate`: repetition penalty, least length, temperature, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

COLDEST = 1e-4
"""Temperature below which the most probable token is taken: the others' share is nothing, and logits divided by less overflow."""
_CANDIDATES = 1024
"""Most probable tokens among which top-p is looked for first: sorting a whole vocabulary costs more than all the rest."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request says about choosing tokens."""

    temperature: float = 0.0
    """0: always the most probable token."""
    top_k: int = 0
    """Only the k most probable ones; 0: all."""
    top_p: float = 1.0
    """Only the fewest most probable ones that together have this probability."""
    repetition_penalty: float = 1.0
    """Divides the logits of tokens that stood before (multiplies negative ones); 1: off."""
    min_tokens: int = 0
    """Tokens before which the end mark is not chosen."""
    beams: int = 1

    @property
    def greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature < COLDEST


@dataclass(slots=True, eq=False)
class Chooser:
    """The choosing of one sequence (or of one beam of it)."""

    choice: Choice
    ends: tuple[int, ...]
    """End marks."""
    stream: Random
    """Python's Mersenne Twister: the same numbers on every machine and device."""
    seen: list[int] = field(default_factory=list)
    """Tokens that the penalty looks at: what was written, and before it a decoder's prompt or an encoder-decoder's first token."""

    def constrained(self, scores: Tensor, written: int) -> Tensor:
        """Scores (vocabulary,) of the next token after penalty and least length; the same tensor where neither applies."""
        penalty = self.choice.repetition_penalty
        if penalty != 1.0 and self.seen:
            scores = scores.clone()
            seen = torch.tensor(list(dict.fromkeys(self.seen)), device=scores.device)
            found = scores[seen]
            scores[seen] = torch.where(found < 0, found * penalty, found / penalty)
        if written < self.choice.min_tokens and self.ends:
            scores = scores.clone()
            scores[list(self.ends)] = float("-inf")
        return scores


def choose(logits: Tensor, choosers: Sequence[Chooser], written: Sequence[int]) -> list[int | None]:
    """The next token of each sequence; None where the logits are not numbers.

    Args:
        logits: fp32 (sequences, vocabulary); constrained rows are changed in place.
        choosers: of the sequences.
        written: tokens that each has written.
    """
    for row, (chooser, count) in enumerate(zip(choosers, written, strict=True)):
        if chooser.choice.repetition_penalty != 1.0 or count < chooser.choice.min_tokens:
            logits[row] = chooser.constrained(logits[row], count)
    highest, best = logits.max(dim=-1)
    found: list[int | None] = list(best.tolist())
    alike: dict[tuple[float, int, float], list[int]] = {}
    for row, chooser in enumerate(choosers):
        choice = chooser.choice
        if not choice.greedy:
            alike.setdefault((choice.temperature, choice.top_k, choice.top_p), []).append(row)
    for (temperature, top_k, top_p), rows in alike.items():
        points = [choosers[row].stream.random() for row in rows]
        part = logits if len(rows) == len(logits) else logits[rows]
        for row, token in zip(rows, _drawn(part / temperature, top_k, top_p, points), strict=True):
            found[row] = token
    for row in torch.nonzero(~torch.isfinite(highest)).flatten().tolist():
        found[row] = None
    return found


def _drawn(scores: Tensor, top_k: int, top_p: float, points: Sequence[float]) -> list[int]:
    """Tokens whose share of the cumulative probability holds each point: scores (rows, vocabulary), points in [0, 1)."""
    tokens, weights = candidates(scores, top_k, top_p)
    total = weights.cumsum(dim=-1)
    target = torch.tensor(points, dtype=torch.float64, device=scores.device)[:, None] * total[:, -1:]
    place = torch.searchsorted(total, target, right=True).clamp(max=weights.shape[1] - 1)
    if tokens is not None:
        place = tokens.gather(1, place)
    return place.flatten().tolist()


def candidates(scores: Tensor, top_k: int, top_p: float) -> tuple[Tensor | None, Tensor]:
    """What may be drawn.

    Args:
        scores: fp32 (rows, vocabulary), divided by the temperature.
        top_k: 0 for all.
        top_p: 1 for all.

    Returns:
        int64 tokens (rows, candidates), None for the vocabulary in its order, and their weights, float64 of the same
        shape: probabilities up to a factor, 0 for those that top-p leaves out.
    """
    size = scores.shape[-1]
    top_k = min(top_k, size)
    if not top_k and top_p >= 1:
        return None, scores.double().softmax(dim=-1)
    if top_k:
        values, tokens = scores.topk(top_k)
        weights = values.double().softmax(dim=-1)
    else:
        values, tokens = scores.topk(min(size, _CANDIDATES))
        weights = (values.double() - scores.double().logsumexp(dim=-1, keepdim=True)).exp()
        if bool((weights.sum(dim=-1) < top_p).any()):
            values, tokens = scores.sort(dim=-1, descending=True)
            weights = values.double().softmax(dim=-1)
    if top_p < 1:
        before = weights.cumsum(dim=-1) - weights
        weights = weights.masked_fill(before >= top_p, 0.0)
    return tokens, weights
