"""A member of an adapter as explanations need it: differentiable in fp32 from embeddings to logits, and read piece by piece."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from models.adapters.head import Head, Pooling, window_logits
from models.adapters.load import LoadedAdapter
from models.adapters.member import Member, wide_part
from models.data.context import Context
from models.encoder.attention import use_products
from models.encoder.forward import (
    budget_of,
    embedded,
    masked_sum,
    padded_rows,
    run_layers,
    trunk_batches,
)
from models.encoder.frames import widened
from models.encoder.load import Encoder
from models.encoder.tokens import Windows
from models.encoder.trunk import upper_sums

T = TypeVar("T")
Matrix = NDArray[np.float32]

LARGEST_COPY = 400_000_000
"""Parameters of layers that are copied into fp32; larger models are explained as they are served."""
_BLANKS = ("[MASK]", "<mask>", "[UNK]", "<unk>")


class Carry(Protocol):
    """Carries out a piece of arithmetic of about so many tokens, here and now or when a device is free."""

    def __call__(self, tokens: int, piece: Callable[[], T], /) -> T:
        """The piece's result; whatever it raises."""
        ...


def at_once(_tokens: int, piece: Callable[[], T], /) -> T:
    """The plain `Carry`: now, in this thread."""
    return piece()


@dataclass(frozen=True, slots=True)
class Explained:
    """Who is explained."""

    adapter: LoadedAdapter
    member: Member
    head: Head
    """The member's, with the pooling asked for."""
    carry: Carry
    context: Context | None
    """What stands around the text, for an adapter that reads it."""

    def counts(self, texts: Sequence[str]) -> csr_matrix | None:
        """Term counts, float32 sparse (texts, vocabulary), each text in the same context; None without a wide branch."""
        if self.member.wide is None:
            return None
        counter = self.adapter.counter
        if counter is None:
            return csr_matrix((len(texts), 0), dtype=np.float32)
        return counter.count(texts, None if self.context is None else [self.context] * len(texts))


def explained(
    adapter: LoadedAdapter,
    member: str,
    carry: Carry,
    context: Context | None = None,
    *,
    strongest: bool = False,
) -> Explained:
    """The reading of a member, by name, that answers in this context; `strongest`: read as if each option's strongest window decided. KeyError without such a member."""
    found = adapter.loaded[member].reading(context)
    head = found.head
    if strongest and head.pooling is not Pooling.MAX:
        head = copy.deepcopy(head)
        head.pooling = Pooling.MAX
    return Explained(adapter, found, head, carry, context)


def window_sums(who: Explained, windows: Windows) -> Matrix:
    """Sums over tokens as they are served, float32 (windows, pooled layers, hidden), batch by batch through `carry`."""
    adapter, encoder = who.adapter, who.adapter.encoder
    sums = np.zeros((len(windows.lengths), len(adapter.pooled), encoder.hidden_size), dtype=np.float32)
    batches = trunk_batches(encoder, windows, adapter.depth, adapter.pooled)

    def piece() -> bool:
        with torch.inference_mode():
            batch = next(batches, None)
            if batch is None:
                return False
            sums[batch.rows] = (
                upper_sums(batch, who.member.upper, adapter.depth, adapter.pooled).cpu().numpy()
            )
        return True

    left = windows.tokens
    while left > 0 and who.carry(min(left, budget_of(encoder)), piece):
        left -= 1  # a batch holds a token at least; what ends the loop is that no batch is left
    return sums


def read_logits(who: Explained, texts: Sequence[str], windows: Windows, sums: Matrix) -> Matrix:
    """Logits of texts from their windows' sums: float32 (texts, options), as the adapter serves them."""
    wide = wide_part(who.member, who.counts(texts))
    return window_logits(who.head, sums, windows.lengths, windows.first_window, wide)


@dataclass(frozen=True, slots=True)
class Differentiable:
    """Some windows of one text from their embeddings to the logits of all options; its other windows stand still. fp32."""

    layers: nn.ModuleList
    pooled: tuple[int, ...]
    head: Head
    mask: Tensor
    """bool (windows, length)."""
    tokens: Tensor
    """float32 (all windows): tokens of each, the explained ones first."""
    rest: Tensor
    """float32 (other windows, features): their sums."""
    full: Tensor
    """(windows, length, hidden): the embeddings of the text."""
    blank: Tensor
    """The same with every token of content blanked; special tokens are as in `full`."""

    @property
    def precision(self) -> str:
        """`float32`, or the dtype of a model too large to be copied."""
        return str(self.full.dtype).removeprefix("torch.")

    def logits(self, hidden: Tensor) -> Tensor:
        """(rows, windows, length, hidden) -> float32 (rows, options), without the wide branch."""
        rows, windows, length, size = hidden.shape
        mask = self.mask.repeat(rows, 1)
        found = dict(enumerate(run_layers(self.layers, hidden.reshape(-1, length, size), mask), 1))
        own = torch.cat([masked_sum(found[layer], mask) for layer in self.pooled], dim=1)
        others = self.rest.expand(rows, *self.rest.shape)
        sums = torch.cat([own.view(rows, windows, -1), others], dim=1)
        first = torch.arange(rows + 1, device=sums.device) * sums.shape[1]
        nothing = sums.new_zeros((rows, len(self.head.fixed)))
        logits: Tensor = self.head.read(sums.flatten(0, 1), self.tokens.repeat(rows), first, nothing)
        return logits


def differentiable(who: Explained, windows: Windows, sums: Matrix, chosen: Sequence[int]) -> Differentiable:
    """What is needed of a member for `chosen` windows of one text, in fp32 where it is not too large to be copied.

    The weights are those that are served: bf16 ones are widened, so that only the rounding of activations differs.
    """
    encoder, device = who.adapter.encoder, who.adapter.encoder.device
    rows = np.asarray(chosen, dtype=np.int64)
    others = np.setdiff1d(np.arange(len(windows.lengths)), rows)
    places, mask_array = padded_rows(windows.starts, rows)
    mask = torch.from_numpy(mask_array).to(device)
    ids = torch.from_numpy(windows.ids[places].astype(np.int64)).to(device).masked_fill(~mask, encoder.pad_id)
    lengths = windows.lengths[np.concatenate([rows, others])].astype(np.float32)
    with torch.inference_mode(mode=False), torch.no_grad():
        layers = _layers(who)
        dtype = next(layers.parameters()).dtype
        return Differentiable(
            layers=layers,
            pooled=who.adapter.pooled,
            head=who.head,
            mask=mask,
            tokens=torch.from_numpy(lengths).to(device),
            rest=torch.from_numpy(sums.reshape(len(sums), -1)[others]).to(device),
            full=embedded(encoder, ids).to(dtype),
            blank=embedded(encoder, _blanked(encoder, ids, mask)).to(dtype),
        )


def _layers(who: Explained) -> nn.ModuleList:
    """All layers of a member, lowest first: a copy in fp32, or the served ones where they are quantized or too large."""
    encoder = who.adapter.encoder
    served = nn.ModuleList([*encoder.layers[: who.adapter.depth], *who.member.upper])
    parameters = sum(weight.numel() for weight in served.parameters())
    if encoder.quantization is not None or parameters > LARGEST_COPY:
        return served
    layers = widened(copy.deepcopy(served))
    return use_products(layers) if encoder.device.type == "cpu" else layers


def _blanked(encoder: Encoder, ids: Tensor, mask: Tensor) -> Tensor:
    """Ids with the mask token (or, without one, the unknown token) in place of all content."""
    known = (encoder.tokenizer.token_to_id(name) for name in _BLANKS)
    blank = next((number for number in known if number is not None), encoder.pad_id)
    before, after = map(len, encoder.special_ids)
    place = torch.arange(ids.shape[1], device=ids.device)[None, :]
    content = (place >= before) & (place < mask.sum(dim=1, keepdim=True) - after)
    return ids.masked_fill(content, blank)
