"""8-bit linears: near the fp32 ones, and nobody's numbers depend on who else is read."""

import numpy as np
import pytest
import torch
from torch import nn

from models.encoder.forward import trunk_batches
from models.encoder.int8 import Int8Linear, PrecisionUnavailableError, int8_encoder
from models.encoder.load import load_encoder
from models.encoder.tokens import tokenize
from models.encoder.trunk import window_sums
from tests.tiny_encoder import make_encoder, synthetic_letters


@pytest.fixture(scope="module", params=["bert", "distilbert", "modernbert"])
def encoder(request, tmp_path_factory):
    folder = make_encoder(tmp_path_factory.mktemp("int8") / request.param, request.param)
    return load_encoder(folder, "cpu", torch.float32)


def means(encoder, texts):
    windows = tokenize(encoder, texts)
    batches = trunk_batches(encoder, windows, encoder.depth, (encoder.depth,), 10_000)
    (sums,) = window_sums(batches, [encoder.layers[:0]], encoder.depth, (encoder.depth,), (len(texts), 32))
    return sums[:, 0] / windows.lengths[:, None]


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_is_near_the_exact_one_for_small_and_large_tokens_alike(bias):
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias)
    x = torch.randn(2, 7, 96) * torch.logspace(-3, 2, 7)[None, :, None]
    with torch.inference_mode():
        exact, found = linear(x), Int8Linear(linear)(x)
    assert found.shape == exact.shape
    size = (exact - (linear.bias if bias else 0)).abs().amax(dim=-1)
    assert ((found - exact).abs().amax(dim=-1) < 0.03 * size).all()


def test_extremes_do_not_saturate():
    linear = nn.Linear(64, 4, bias=False)
    with torch.no_grad():
        linear.weight.fill_(1.0)
    x = torch.ones(1, 64)
    with torch.inference_mode():
        torch.testing.assert_close(Int8Linear(linear)(x), linear(x), rtol=1e-3, atol=0)
        assert (Int8Linear(linear)(torch.zeros(3, 64)) == 0).all()


def test_an_encoder_in_8_bits_is_near_and_the_exact_one_is_unharmed(encoder):
    texts, _ = synthetic_letters(12)
    before = means(encoder, texts)
    low = int8_encoder(encoder)
    found = means(low, texts)
    cosine = (found * before).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(before, axis=1)
    assert cosine.min() > 0.995
    assert not np.allclose(found, before, atol=1e-6)
    np.testing.assert_array_equal(means(encoder, texts), before)
    assert not [part for part in low.layers.modules() if isinstance(part, nn.Linear)]


def test_batch_mates_change_nothing_beyond_rounding(encoder):
    low = int8_encoder(encoder)
    texts, _ = synthetic_letters(12, seed=2)
    alone = np.concatenate([means(low, [text]) for text in texts])
    close = np.isclose(means(low, texts), alone, atol=1e-5, rtol=0)
    assert close.mean() > 0.99  # rounding may tip an activation over to its neighbouring step
    np.testing.assert_allclose(means(low, texts), alone, atol=2e-2)


def test_elsewhere_it_is_refused(encoder):
    low = load_encoder(encoder.path, "cpu", torch.bfloat16)
    with pytest.raises(PrecisionUnavailableError, match="REMAND_INFERENCE_PRECISION"):
        int8_encoder(low)
