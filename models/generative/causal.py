"""The causal task: next tokens of packed documents, and perplexity by document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.generative.blocks import Blocks, Ids, targets_of, windows
from models.generative.fit import Task
from models.generative.load import Base, output_layer
from models.generative.loss import summed_loss, token_losses


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Summed negative log-likelihood (nats, float64) and predicted tokens (int64) of each document."""

    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Nats per token."""
        return float(self.losses.sum() / max(1, self.tokens.sum()))


def token_ids(base: Base, texts: Sequence[str]) -> list[Ids]:
    """Token ids of documents: int32 arrays that end with the end mark, and begin with the begin mark where Llama has one."""
    tokenizer = base.tokenizer
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    begin = [tokenizer.bos_token_id] if base.family == "llama" and tokenizer.bos_token_id is not None else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return [np.array([*begin, *ids, *end], dtype=np.int32) for ids in encoded]


def hidden_states(base: Base, ids: Ids, lengths: Sequence[int]) -> Tensor:
    """States after the last layer, (tokens, width): each piece is read by itself, from position 0."""
    body, _ = output_layer(base.model)
    base.packing.set(lengths, base.device)
    positions = np.concatenate([np.arange(length) for length in lengths])
    found = body(
        input_ids=torch.from_numpy(ids.astype(np.int64)).to(base.device).unsqueeze(0),
        position_ids=torch.from_numpy(positions).to(base.device).unsqueeze(0),
        use_cache=False,
    )
    states: Tensor = found.last_hidden_state[0]
    return states


def causal_task(base: Base, blocks: Blocks, stopping: Callable[[Callable[[], None]], float] | None) -> Task:
    """Blocks as units to fit; `stopping` gives the loss that early stopping looks at."""
    _, head = output_layer(base.model)

    def loss(units: Sequence[int]) -> Tensor:
        ids = np.concatenate([blocks.tokens(unit) for unit in units])
        lengths = [length for unit in units for length in blocks.lengths(unit)]
        places, targets = targets_of(ids, lengths)
        states = hidden_states(base, ids, lengths)
        chosen = states[torch.from_numpy(places).to(base.device)]
        return summed_loss(chosen, head.weight, head.bias, torch.from_numpy(targets).to(base.device))

    read = np.array([len(blocks.tokens(block)) for block in range(len(blocks))], dtype=np.int64)
    return Task(read, blocks.predicted(), loss, stopping)


@torch.no_grad()
def likelihood(
    base: Base,
    documents: Sequence[Ids],
    window: int,
    check: Callable[[], None],
    progress: Callable[[int], None],
) -> Likelihood:
    """Read documents in windows of `window` tokens, each from its own beginning.

    Args:
        base: the model as it is now.
        documents: int32 arrays.
        window: most tokens read at once.
        check: called between batches; raises to stop.
        progress: called with the tokens of each batch.
    """
    _, head = output_layer(base.model)
    losses, tokens = np.zeros(len(documents)), np.zeros(len(documents), dtype=np.int64)
    for owners, pieces in _batches(documents, window):
        check()
        ids, lengths = np.concatenate(pieces), [len(piece) for piece in pieces]
        places, targets = targets_of(ids, lengths)
        if len(places):
            states = hidden_states(base, ids, lengths)[torch.from_numpy(places).to(base.device)]
            found = token_losses(states, head.weight, head.bias, torch.from_numpy(targets).to(base.device))
            owner = np.repeat(owners, lengths)[places]
            np.add.at(losses, owner, found.double().cpu().numpy())
            np.add.at(tokens, owner, 1)
        progress(len(ids))
    return Likelihood(losses, tokens)


def _batches(documents: Sequence[Ids], window: int) -> Iterator[tuple[list[int], list[Ids]]]:
    """Windows of documents, in order, as many together as fit into one window's tokens."""
    owners: list[int] = []
    pieces: list[Ids] = []
    for owner, document in enumerate(documents):
        for piece in windows(document, window):
            if pieces and sum(map(len, pieces)) + len(piece) > window:
                yield owners, pieces
                owners, pieces = [], []
            owners.append(owner)
            pieces.append(piece)
    if pieces:
        yield owners, pieces
