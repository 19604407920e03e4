"""What a single cell costs under each loss. Logits and truths in, costs out; all float32 of one shape, nothing averaged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-8
"""Keeps powers and logarithms away from zero, where their slopes are infinite."""


def weighted_cross_entropy(scores: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy with positives weighted.

    Args:
        scores: logits, float32 (texts, options).
        truth: 1 for yes and 0 for no, float32 (texts, options).
        weights: of positives, float32 (options).
    """
    return functional.binary_cross_entropy_with_logits(scores, truth, pos_weight=weights, reduction="none")


def focal(scores: Tensor, truth: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """α_t · (1 - p_t)^γ · -log p_t (Lin et al. 2017, equation 5), as `weighted_cross_entropy` takes its arguments."""
    signed = torch.where(truth > 0, scores, -scores)
    cost = (1 - torch.sigmoid(signed)).clamp(min=_LEAST) ** gamma * functional.softplus(-signed)
    if alpha is None:
        return cost
    return cost * torch.where(truth > 0, alpha, 1 - alpha)


def asymmetric(
    scores: Tensor, truth: Tensor, gamma_positive: float, gamma_negative: float, margin: float
) -> Tensor:
    """(1 - p)^γ₊ · -log p for positives, p_m^γ₋ · -log(1 - p_m) with p_m = max(p - m, 0) for negatives (Ridnik et al. 2021)."""
    likely = torch.sigmoid(scores)
    positive = (1 - likely).clamp(min=_LEAST) ** gamma_positive * functional.softplus(-scores)
    shifted = (likely - margin).clamp(min=_LEAST, max=1 - _LEAST)
    # Without a margin the softplus form stays exact where 1 - p has no digits left.
    doubt = functional.softplus(scores) if margin == 0 else -torch.log1p(-shifted)
    negative = shifted**gamma_negative * doubt
    negative = torch.where(likely > margin, negative, torch.zeros_like(negative))
    return torch.where(truth > 0, positive, negative)


def rebalanced(
    truth: Tensor, known: Tensor, positives: Tensor, alpha: float, beta: float, mu: float
) -> Tensor:
    """Smoothed re-balancing weights r̂ = α + σ(β (r - μ)), float32 (texts, options) (Wu et al. 2020, equations 4 and 5).

    r is an option's share of the rate at which class-balanced sampling would draw the text: 1/n_k over the sum of 1/n_i
    of the text's positives. A text without a known positive is drawn by no option: r is taken as infinite, as the
    authors' code does.

    Args:
        truth: 1 for yes, float32 (texts, options).
        known: 1 where a cell is decided, float32 (texts, options).
        positives: n, positives of each option in the training part, float32 (options).
        alpha: least weight.
        beta: steepness.
        mu: middle.
    """
    rates = 1 / positives.clamp(min=1)
    drawn = (truth * known * rates).sum(dim=1, keepdim=True)
    share = torch.where(drawn > 0, rates / drawn.clamp(min=1e-12), torch.inf)
    return alpha + torch.sigmoid(beta * (share - mu))


def negative_tolerant(
    scores: Tensor, truth: Tensor, prior: Tensor, tolerance: float, bias: float, gamma: float
) -> Tensor:
    """log(1 + e^-(z-ν)) for positives, 1/λ · log(1 + e^(λ (z-ν))) for negatives, ν = -κ · logit(prior) (Wu et al. 2020, eq. 7).

    Args:
        scores: z, logits, float32 (texts, options).
        truth: 1 for yes, float32 (texts, options).
        prior: share of positives of each option, float32 (options), strictly between 0 and 1.
        tolerance: λ.
        bias: κ.
        gamma: focal exponent, 0 for none; p is that of the moved and, for negatives, scaled logit.
    """
    moved = scores + bias * torch.logit(prior)
    signed = torch.where(truth > 0, moved, -tolerance * moved)
    cost = functional.softplus(-signed)
    if gamma > 0:
        cost = cost * (1 - torch.sigmoid(signed)).clamp(min=_LEAST) ** gamma
    return torch.where(truth > 0, cost, cost / tolerance)
