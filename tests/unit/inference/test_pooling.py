"""A served adapter pools the windows of a long text as it was trained to, unless its strongest window is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.adapters.head import Head, Pooling, head_logits, window_logits
from models.adapters.member import Member
from models.training.calibration import Calibration
from workers.inference.pooling import MemberText, pooled_probabilities

TOKENS = np.array([[10.0], [4.0], [6.0]], dtype=np.float32)


def member(pooling: Pooling) -> Member:
    torch.manual_seed(1)
    head = Head(5, 3, 4, pooling=pooling)
    with torch.no_grad():
        head.outer.weight.normal_()
        if pooling is Pooling.ATTENTION:
            head.attention.normal_(std=2)
    plain = Calibration(np.ones(3), np.zeros(3), np.full(3, 0.5, np.float32))
    return Member("final", nn.ModuleList(), head.eval(), None, plain)


@pytest.mark.parametrize("pooling", Pooling)
def test_windows_are_pooled_as_in_training(pooling: Pooling) -> None:
    chosen = member(pooling)
    sums = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32) * TOKENS
    long, short = MemberText(sums, TOKENS, None), MemberText(sums[:1], TOKENS[:1], None)
    found, deciding = pooled_probabilities(chosen, (short, long), "mean")
    expected = window_logits(chosen.head, sums, TOKENS[:, 0], np.array([0, 3]), None)
    np.testing.assert_allclose(found[1], chosen.calibration.apply(expected)[0], rtol=1e-5)
    alone = head_logits(chosen.head, sums / TOKENS, None)
    np.testing.assert_allclose(found[0], chosen.calibration.apply(alone)[0], rtol=1e-5)
    assert deciding[1].tolist() == alone.argmax(axis=0).tolist()
    strongest, _ = pooled_probabilities(chosen, (long,), "max")
    np.testing.assert_allclose(strongest[0], chosen.calibration.apply(alone.max(axis=0)[None])[0], rtol=1e-5)
