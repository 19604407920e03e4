"""The trained head: pooled layers (and the wide branch's logits) to one logit per option, over one or several windows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class Pooling(Enum):
    """How the windows of a long text become one answer."""

    MEAN = "mean"
    """Features averaged over all tokens, then one reading."""
    MAX = "max"
    """Every window read alone; an option's answer is that of the window that speaks most for it."""
    ATTENTION = "attention"
    """Every window read alone; an option's answer is their mean under learned weights of its own, token counts beside
    them: label-wise attention (Mullenbach et al. 2018), which starts as a mean over tokens."""


_CODES = tuple(Pooling)


class Head(nn.Module):
    """logits = W·z + b + MLP(z) + scale · wide, with z the standardised mean of each pooled layer.

    The MLP ends in zeros, so a new head is the linear one it was warm-started with. Options that could not be trained
    (no positive or no negative) answer a fixed logit.
    """

    def __init__(
        self, features: int, options: int, hidden: int, dropout: float = 0.0, pooling: Pooling = Pooling.MEAN
    ) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(features))
        self.spread = nn.Buffer(torch.ones(features))
        self.fixed = nn.Buffer(torch.full((options,), torch.nan))
        self.linear = nn.Linear(features, options)
        self.inner = nn.Linear(features, hidden)
        self.outer = nn.Linear(hidden, options, bias=False)
        self.wide_scale = nn.Parameter(torch.zeros(options))
        self.dropout = dropout
        self.pooling = pooling
        if pooling is not Pooling.MEAN:
            # Kept with the weights, so that a head is restored with the pooling it was trained with.
            self.pooled_by = nn.Buffer(torch.tensor(float(_CODES.index(pooling))))
        if pooling is Pooling.ATTENTION:
            self.attention = nn.Parameter(torch.zeros(options, features))
        nn.init.zeros_(self.outer.weight)

    def forward(self, pooled: Tensor, wide: Tensor) -> Tensor:
        """Logits of texts of one window each: float32 (texts, options).

        Args:
            pooled: float32 (texts, features), the pooled layers side by side.
            wide: float32 (texts, options), logits of the wide branch, zeros where there is none.
        """
        logits = self._spoken(self._standardised(pooled)) + self.wide_scale * wide
        return torch.where(torch.isnan(self.fixed), logits, self.fixed)

    def read(self, sums: Tensor, tokens: Tensor, first: Tensor, wide: Tensor) -> Tensor:
        """Logits of texts of any number of windows, by the head's pooling: float32 (texts, options).

        Args:
            sums: float32 (windows, features), the pooled layers summed over each window's tokens.
            tokens: float32 (windows), how many there are.
            first: int64 (texts + 1), windows of text t are first[t]:first[t + 1], one at least.
            wide: float32 (texts, options).
        """
        counts = first.diff()
        if len(sums) == len(counts):
            return self(sums / tokens[:, None], wide)  # type: ignore[no-any-return]
        owner = torch.repeat_interleave(torch.arange(len(counts), device=sums.device), counts)
        if self.pooling is Pooling.MEAN:
            return self(_added(sums, owner, len(counts)) / _added(tokens, owner, len(counts))[:, None], wide)  # type: ignore[no-any-return]
        z = self._standardised(sums / tokens[:, None])
        spoken = self._spoken(z)
        if self.pooling is Pooling.MAX:
            lowest = spoken.new_full((len(counts), spoken.shape[1]), -torch.inf)
            pooled = lowest.scatter_reduce(0, owner[:, None].expand_as(spoken), spoken, "amax")
        else:
            pooled = self._attended(z, spoken, tokens, owner, len(counts))
        return torch.where(torch.isnan(self.fixed), pooled + self.wide_scale * wide, self.fixed)

    def _standardised(self, pooled: Tensor) -> Tensor:
        return functional.dropout((pooled - self.mean) / self.spread, self.dropout, self.training)

    def _spoken(self, z: Tensor) -> Tensor:
        inner = functional.dropout(functional.gelu(self.inner(z)), self.dropout, self.training)
        logits: Tensor = self.linear(z) + self.outer(inner)
        return logits

    def _attended(self, z: Tensor, spoken: Tensor, tokens: Tensor, owner: Tensor, texts: int) -> Tensor:
        """Mean of window logits, weights ∝ tokens · e^(q·z / √features): float32 (texts, options)."""
        scores = functional.linear(z, self.attention) * z.shape[1] ** -0.5 + tokens.log()[:, None]
        lowest = scores.new_full((texts, scores.shape[1]), -torch.inf)
        highest = lowest.scatter_reduce(0, owner[:, None].expand_as(scores), scores.detach(), "amax")
        weights = torch.exp(scores - highest[owner])
        return _added(weights * spoken, owner, texts) / _added(weights, owner, texts)


def _added(parts: Tensor, owner: Tensor, texts: int) -> Tensor:
    """Sums of windows by the text that owns them."""
    return parts.new_zeros((texts, *parts.shape[1:])).index_add(0, owner, parts)


def head_from_state(state: Mapping[str, Tensor]) -> Head:
    """A head in evaluation mode from its saved tensors."""
    hidden, features = state["inner.weight"].shape
    pooling = _CODES[int(state["pooled_by"])] if "pooled_by" in state else Pooling.MEAN
    head = Head(features, len(state["fixed"]), hidden, pooling=pooling)
    head.load_state_dict(dict(state))
    return head.eval().requires_grad_(False)


def head_logits(
    head: Head, pooled: NDArray[np.float32], wide: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Logits of a head in evaluation mode: float32 (texts, options), from arrays as `Head.forward` takes them."""
    options = len(head.fixed)
    beside = np.zeros((len(pooled), options), dtype=np.float32) if wide is None else wide
    device = head.fixed.device
    with torch.inference_mode():
        logits = head(torch.from_numpy(pooled).to(device), torch.from_numpy(beside).to(device))
    result: NDArray[np.float32] = logits.cpu().numpy()
    return result


def window_logits(
    head: Head,
    sums: NDArray[np.float32],
    tokens: NDArray[np.generic],
    first: NDArray[np.int64],
    wide: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Logits of texts of any number of windows, by the head's own pooling: float32 (texts, options).

    Args:
        head: in evaluation mode.
        sums: float32 (windows, …), pooled layers summed over each window's tokens; further axes are laid side by side.
        tokens: (windows), tokens of each.
        first: int64 (texts + 1), windows of text t are first[t]:first[t + 1].
        wide: float32 (texts, options), None without a wide branch.
    """
    texts, options = len(first) - 1, len(head.fixed)
    if texts == 0:
        return np.zeros((0, options), dtype=np.float32)
    beside = np.zeros((texts, options), dtype=np.float32) if wide is None else wide
    given = (sums.reshape(len(sums), -1), tokens.astype(np.float32), first, beside)
    with torch.inference_mode():
        logits = head.read(*(torch.from_numpy(part).to(head.fixed.device) for part in given))
    result: NDArray[np.float32] = logits.cpu().numpy()
    return result
