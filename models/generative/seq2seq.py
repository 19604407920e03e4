"""The summarize task: pairs of text and summary through an encoder-decoder of the T5 family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.generative.blocks import Ids
from models.generative.causal import Likelihood
from models.generative.fit import Task
from models.generative.load import Base

_PER_BATCH = 8
"""Pairs read or generated at once when nothing is learned."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Token ids of texts and their summaries, each ended by the end mark."""

    sources: list[Ids]
    targets: list[Ids]
    cut_sources: int
    """Texts longer than what the model is given of them."""
    cut_targets: int

    def __len__(self) -> int:
        """Pairs."""
        return len(self.sources)

    def part(self, rows: NDArray[np.int64]) -> Pairs:
        """Some of the pairs, in the order of `rows`."""
        return Pairs(
            [self.sources[row] for row in rows],
            [self.targets[row] for row in rows],
            self.cut_sources,
            self.cut_targets,
        )


def token_pairs(
    base: Base, texts: Sequence[str], summaries: Sequence[str], prefix: str, most: tuple[int, int]
) -> Pairs:
    """Token ids of prefixed texts and of summaries, cut to `most` (input, target) tokens."""
    sources, cut_sources = _encoded(base, [prefix + text for text in texts], most[0])
    targets, cut_targets = _encoded(base, summaries, most[1])
    return Pairs(sources, targets, cut_sources, cut_targets)


def seq2seq_task(base: Base, pairs: Pairs, stopping: Callable[[Callable[[], None]], float] | None) -> Task:
    """Pairs as units to fit."""
    read = np.array(
        [len(source) + len(target) for source, target in zip(pairs.sources, pairs.targets, strict=True)],
        dtype=np.int64,
    )
    predicted = np.array([len(target) for target in pairs.targets], dtype=np.int64)
    return Task(read, predicted, lambda units: _losses(base, pairs, units).sum(), stopping)


@torch.no_grad()
def pair_likelihood(
    base: Base, pairs: Pairs, check: Callable[[], None], progress: Callable[[int], None]
) -> Likelihood:
    """Summed loss and tokens of each summary, given its text."""
    losses = np.zeros(len(pairs))
    tokens = np.array([len(target) for target in pairs.targets], dtype=np.int64)
    order = np.argsort([-len(source) for source in pairs.sources], kind="stable")
    for start in range(0, len(order), _PER_BATCH):
        check()
        rows = order[start : start + _PER_BATCH].tolist()
        losses[rows] = _losses(base, pairs, rows).double().cpu().numpy()
        progress(int(sum(len(pairs.sources[row]) + len(pairs.targets[row]) for row in rows)))
    return Likelihood(losses, tokens)


@torch.no_grad()
def generate(
    base: Base, pairs: Pairs, most: int, check: Callable[[], None], progress: Callable[[int], None]
) -> list[str]:
    """Summaries written greedily, at most `most` tokens each, in the order of the pairs."""
    order = np.argsort([-len(source) for source in pairs.sources], kind="stable")
    written = [""] * len(pairs)
    for start in range(0, len(order), _PER_BATCH):
        check()
        rows = order[start : start + _PER_BATCH].tolist()
        ids, mask = _padded(base, [pairs.sources[row] for row in rows])
        found = base.model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False, num_beams=1
        )
        for row, text in zip(rows, base.tokenizer.batch_decode(found, skip_special_tokens=True), strict=True):
            written[row] = text
        progress(int(mask.sum()) + found.numel())
    return written


def _losses(base: Base, pairs: Pairs, units: Sequence[int]) -> Tensor:
    """Summed loss of each unit's summary: fp32 (units,)."""
    ids, mask = _padded(base, [pairs.sources[unit] for unit in units])
    labels, inside = _padded(base, [pairs.targets[unit] for unit in units])
    begin = base.model.config.decoder_start_token_id  # type: ignore[union-attr]
    shifted = torch.cat((torch.full_like(labels[:, :1], begin), labels[:, :-1]), dim=1)  # type: ignore[arg-type]
    logits = base.model(input_ids=ids, attention_mask=mask, decoder_input_ids=shifted, use_cache=False).logits
    each = functional.cross_entropy(logits.float().transpose(1, 2), labels, reduction="none")
    return (each * inside).sum(dim=1)


def _padded(base: Base, rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """int64 (rows, longest) filled up with the pad id, and int64 of the same shape: 1 where there is a token."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), base.tokenizer.pad_token_id or 0, dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return torch.from_numpy(ids).to(base.device), torch.from_numpy(mask).to(base.device)


def _encoded(base: Base, texts: Sequence[str], most: int) -> tuple[list[Ids], int]:
    tokenizer = base.tokenizer
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    found = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    room = most - len(end)
    ids = [np.array([*row[:room], *end], dtype=np.int32) for row in found]
    return ids, sum(len(row) > room for row in found)
