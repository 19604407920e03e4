"""The trained head: pooled layers (and the wide branch's logits) to one logit per option."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class Head(nn.Module):
    """logits = W·z + b + MLP(z) + scale · wide, with z the standardised mean of each pooled layer.

    The MLP ends in zeros, so a new head is the linear one it was warm-started with. Options that could not be trained
    (no positive or no negative) answer a fixed logit.
    """

    def __init__(self, features: int, options: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(features))
        self.spread = nn.Buffer(torch.ones(features))
        self.fixed = nn.Buffer(torch.full((options,), torch.nan))
        self.linear = nn.Linear(features, options)
        self.inner = nn.Linear(features, hidden)
        self.outer = nn.Linear(hidden, options, bias=False)
        self.wide_scale = nn.Parameter(torch.zeros(options))
        self.dropout = dropout
        nn.init.zeros_(self.outer.weight)

    def forward(self, pooled: Tensor, wide: Tensor) -> Tensor:
        """Logits: float32 (texts, options).

        Args:
            pooled: float32 (texts, features), the pooled layers side by side.
            wide: float32 (texts, options), logits of the wide branch, zeros where there is none.
        """
        z = functional.dropout((pooled - self.mean) / self.spread, self.dropout, self.training)
        inner = functional.dropout(functional.gelu(self.inner(z)), self.dropout, self.training)
        logits: Tensor = self.linear(z) + self.outer(inner) + self.wide_scale * wide
        return torch.where(torch.isnan(self.fixed), logits, self.fixed)


def head_from_state(state: Mapping[str, Tensor]) -> Head:
    """A head in evaluation mode from its saved tensors."""
    hidden, features = state["inner.weight"].shape
    head = Head(features, len(state["fixed"]), hidden)
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
