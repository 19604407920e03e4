"""The head over texts of several windows: each pooling by hand, alone or in a batch, and restored as it was saved."""

import numpy as np
import pytest
import torch

from models.adapters.head import Head, Pooling, head_from_state, head_logits, window_logits
from models.adapters.member import cpu_state

FEATURES, OPTIONS = 5, 3
TOKENS = np.array([10, 4, 6, 8], dtype=np.float32)
FIRST = np.array([0, 1, 4])
"""Text 0 has one window, text 1 three."""


def made(pooling):
    torch.manual_seed(3)
    head = Head(FEATURES, OPTIONS, 4, pooling=pooling)
    with torch.no_grad():
        for name in ("mean", "wide_scale"):
            getattr(head, name).normal_()
        head.spread.uniform_(0.5, 2)
        head.outer.weight.normal_()
        head.fixed[2] = 0.25
        if pooling is Pooling.ATTENTION:
            head.attention.normal_(std=2)
    return head.eval()


@pytest.fixture
def sums():
    return np.random.default_rng(0).normal(size=(4, FEATURES)).astype(np.float32) * TOKENS[:, None]


@pytest.fixture
def wide():
    return np.random.default_rng(1).normal(size=(2, OPTIONS)).astype(np.float32)


def by_hand(head, sums, wide):
    """The second text's logits, window by window."""
    alone = head_logits(head, (sums / TOKENS[:, None])[1:], None)
    if head.pooling is Pooling.MEAN:
        return head_logits(head, sums[1:].sum(axis=0, keepdims=True) / TOKENS[1:].sum(), wide[1:])[0]
    beside = head.wide_scale.detach().numpy() * wide[1]
    if head.pooling is Pooling.MAX:
        pooled = alone.max(axis=0) + beside
    else:
        z = ((sums / TOKENS[:, None])[1:] - head.mean.numpy()) / head.spread.numpy()
        weights = TOKENS[1:, None] * np.exp(z @ head.attention.detach().numpy().T / FEATURES**0.5)
        pooled = (weights * alone).sum(axis=0) / weights.sum(axis=0) + beside
    return np.where(np.isnan(head.fixed.numpy()), pooled, head.fixed.numpy())


@pytest.mark.parametrize("pooling", Pooling)
def test_each_pooling_is_what_it_says(pooling, sums, wide):
    head = made(pooling)
    found = window_logits(head, sums, TOKENS, FIRST, wide)
    np.testing.assert_allclose(found[0], head_logits(head, sums[:1] / 10, wide[:1])[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], by_hand(head, sums, wide), rtol=1e-4)
    alone = window_logits(head, sums[1:], TOKENS[1:], np.array([0, 3]), wide[1:])
    np.testing.assert_allclose(found[1:], alone, rtol=1e-5)


def test_the_poolings_differ_where_there_are_several_windows(sums, wide):
    found = [window_logits(made(pooling), sums, TOKENS, FIRST, wide) for pooling in Pooling]
    for other in found[1:]:
        np.testing.assert_allclose(other[0], found[0][0], rtol=1e-5)
        assert np.abs(other[1, :2] - found[0][1, :2]).min() > 1e-3


def test_untrained_attention_weighs_windows_by_their_tokens(sums, wide):
    """So that a head starts where logistic regression on means ended: the MLP is still zero then."""
    mean, attention = made(Pooling.MEAN), made(Pooling.ATTENTION)
    with torch.no_grad():
        attention.attention.zero_()
        for head in (mean, attention):
            head.outer.weight.zero_()
    found = [window_logits(head, sums, TOKENS, FIRST, wide) for head in (mean, attention)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize("pooling", Pooling)
def test_a_head_is_restored_with_its_pooling(pooling, sums, wide):
    head = made(pooling)
    restored = head_from_state(cpu_state(head))
    assert restored.pooling is pooling
    np.testing.assert_array_equal(
        window_logits(head, sums, TOKENS, FIRST, wide), window_logits(restored, sums, TOKENS, FIRST, wide)
    )


@pytest.mark.parametrize("pooling", Pooling)
def test_every_window_teaches(pooling, sums, wide):
    head = made(pooling).requires_grad_(True)
    given = torch.from_numpy(sums).requires_grad_()
    logits = head.read(given, torch.from_numpy(TOKENS), torch.from_numpy(FIRST), torch.from_numpy(wide))
    logits[:, :2].sum().backward()
    taught = (given.grad != 0).any(dim=1)
    assert taught.sum() >= (2 if pooling is Pooling.MAX else 4)
    if pooling is Pooling.ATTENTION:
        assert (head.attention.grad[:2] != 0).any()
