"""Flat streams: every family that can be read without padding gives what it gives padded, whatever the mixture of lengths."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from models.catalog import locate
from models.encoder import forward
from models.encoder import segments as segments_module
from models.encoder.batches import flat_batches
from models.encoder.forward import reads_flat, run_layers, token_sums, trunk_batches
from models.encoder.load import load_encoder
from models.encoder.segments import segments_of
from models.encoder.tokens import Windows, tokenize
from models.encoder.trunk import upper_sums, window_sums
from models.families import FAMILIES
from tests.quick_adapter import quick_adapter
from tests.tiny_encoder import TINY_FAMILIES, arguments_scheme, make_encoder, synthetic_letters

FLAT = [name for name in TINY_FAMILIES if FAMILIES[name].flat]
PADDING_INSIDE = "the judge [PAD] was in [PAD] court"
TEXTS = [
    "the judge",
    "",
    PADDING_INSIDE,
    "my child is ill and the doctor was in court",
    " ".join(["never always mercy"] * 19),
    *synthetic_letters(20, seed=3)[0],
]


@pytest.fixture(scope="module", params=FLAT)
def exact(request, tmp_path_factory):
    """A tiny model of each family that reads flat, computed with in fp32."""
    folder = make_encoder(tmp_path_factory.mktemp("flat") / request.param, request.param)
    return load_encoder(folder, "cpu", torch.float32)


def sums_of(encoder, windows, depth, flat, budget=128):
    batches = trunk_batches(encoder, windows, depth, (0, 1, 2), budget, flat)
    shape = (len(windows.lengths), encoder.hidden_size)
    return window_sums(batches, [encoder.layers[depth:]], depth, (1, 2), shape)[0]


def test_the_families_that_read_flat():
    assert FLAT == ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "llama"]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_flat_is_padded(exact, depth):
    windows = tokenize(exact, TEXTS, max_tokens=48)
    assert reads_flat(exact)
    padded = sums_of(exact, windows, depth, flat=False) / windows.lengths[:, None, None]
    flat = sums_of(exact, windows, depth, flat=True) / windows.lengths[:, None, None]
    np.testing.assert_allclose(flat, padded, atol=2e-6, rtol=0)


def test_a_text_alone_reads_as_in_company(exact):
    windows = tokenize(exact, TEXTS, max_tokens=48)
    together = sums_of(exact, windows, 2, flat=True, budget=10_000) / windows.lengths[:, None, None]
    alone = sums_of(exact, windows, 2, flat=True, budget=1) / windows.lengths[:, None, None]
    np.testing.assert_allclose(together, alone, atol=2e-6, rtol=0)


def test_bf16_stays_near_fp32(exact):
    low = load_encoder(exact.path, "cpu", torch.bfloat16)
    windows = tokenize(exact, TEXTS[:6])
    flat = sums_of(low, windows, 2, flat=True) / windows.lengths[:, None, None]
    padded = sums_of(low, windows, 2, flat=False) / windows.lengths[:, None, None]
    np.testing.assert_allclose(flat, padded, atol=3e-2)


def test_some_windows_of_a_batch_go_on_alone(exact):
    windows = tokenize(exact, TEXTS, max_tokens=48)
    for flat in (True, False):
        (batch,) = trunk_batches(exact, windows, 1, (1,), 100_000, flat)
        whole = upper_sums(batch, exact.layers[1:], 1, (1, 2))
        rows = np.array([0, 3, 4, 11])
        part = upper_sums(batch.part(rows), exact.layers[1:], 1, (1, 2))
        torch.testing.assert_close(part, whole[rows], atol=2e-5, rtol=1e-5)
        assert batch.part(np.arange(len(batch.rows))) is batch
        assert batch.tokens.shape == (windows.tokens, exact.hidden_size)


def test_families_with_a_bias_of_their_own_stay_padded(tmp_path):
    encoder = load_encoder(make_encoder(tmp_path / "t5", "t5"), "cpu")
    assert not reads_flat(encoder)
    (batch,) = trunk_batches(encoder, tokenize(encoder, TEXTS[:3]), 1, (1,), 10_000)
    assert batch.mask.shape[0] == 3


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(lengths, st.integers(1, 90))
def test_flat_batches_hold_every_row_once_within_the_budget(found, budget):
    rows = np.array(found)
    batches = flat_batches(rows, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(found)))
    assert all(len(batch) == 1 or rows[batch].sum() <= budget for batch in batches)
    ordered = rows[np.concatenate(batches)]
    assert (np.diff(ordered) <= 0).all()
    # No batch could have taken the next one's first row.
    for batch, following in pairwise(batches):
        assert rows[batch].sum() + rows[following[0]] > budget


@settings(deadline=None)
@given(lengths)
def test_segments_say_where_windows_lie(found):
    rows = np.array(found)
    segments = segments_of(rows, "cpu")
    bounds = segments.bounds.tolist()
    assert bounds == [0, *np.cumsum(rows).tolist()]
    places = [place for length in found for place in range(length)]
    assert segments.positions[0].tolist() == places
    assert segments.owner.tolist() == [row for row, length in enumerate(found) for _ in range(length)]
    assert sum(group.windows * group.length for group in segments.groups) == rows.sum()
    taken = [group.length for group in segments.groups for _ in range(group.windows)]
    assert taken == found
    hidden = torch.randn(1, int(rows.sum()), 3)
    expected = torch.stack([part.sum(0) for part in hidden[0].split(found)])
    torch.testing.assert_close(token_sums(hidden, segments), expected)


def test_no_window_sees_another(exact):
    """Changing one window's tokens changes no other's states."""
    first, second = np.array([2, 9, 11, 3]), np.array([2, 30, 3])
    other = np.array([2, 12, 3])
    read = []
    for ids in (np.concatenate([first, second]), np.concatenate([first, other])):
        windows = Windows(
            ids.astype(np.int32),
            np.array([0, 4, 7]),
            np.arange(2, dtype=np.int32),
            np.zeros((2, 2), np.int32),
            2,
        )
        (batch,) = trunk_batches(exact, windows, 0, (), 100, flat=True)
        *_, states = run_layers(exact.layers, batch.hidden, batch.place)
        read.append(states[0])
    torch.testing.assert_close(read[0][:4], read[1][:4], atol=1e-6, rtol=0)
    assert not torch.allclose(read[0][4:], read[1][4:], atol=1e-3)


def test_minilm_answers_flat_as_it_does_padded(monkeypatch):
    """Probabilities within 1e-5 and the same decisions, for texts of 1 to 500 words and for one of many windows."""
    encoder = load_encoder(locate("minilm"), "cpu", torch.float32)
    texts, labels = synthetic_letters(60, seed=1)
    adapter = quick_adapter(encoder, texts, labels, arguments_scheme(), depth=3)
    asked = ["", *(" ".join(texts[:row]) for row in (1, 1, 3, 12)), *texts[:20], PADDING_INSIDE]
    flat = adapter.predict(asked)
    with monkeypatch.context() as patch:
        patch.setattr(forward, "reads_flat", lambda _: False)
        padded = adapter.predict(asked)
    np.testing.assert_allclose(flat, padded, atol=1e-5, rtol=0)
    assert (adapter.decide(flat) == adapter.decide(padded)).all()


def test_the_gpus_kernel_is_asked_for_what_the_cpus_product_gives(monkeypatch):
    """Full, causal and sliding attention, with shared key heads too; the kernel by its documented meaning."""

    def kernel(q, k, v, bounds, _bounds, longest, _longest, *, scale, window_size, enable_gqa):
        assert longest == 9
        left, right = window_size
        mixed = []
        for start, end in pairwise(bounds.tolist()):
            step = torch.arange(end - start)
            distance = step[None, :] - step[:, None]
            seen = (distance <= right if right >= 0 else distance <= 99) & (
                distance >= -left if left >= 0 else distance >= -99
            )
            parts = (part[start:end].transpose(0, 1)[None] for part in (q, k, v))
            mixed.append(
                functional.scaled_dot_product_attention(
                    *parts, attn_mask=seen, scale=scale, enable_gqa=enable_gqa
                )[0]
            )
        return torch.cat(mixed, dim=1).transpose(0, 1)

    monkeypatch.setattr(segments_module, "varlen_attn", kernel)
    segments = segments_of(np.array([9, 4, 4, 1]), "cpu")
    query = torch.randn(1, 4, 18, 8)
    for heads in (4, 2):
        key, value = torch.randn(1, heads, 18, 8), torch.randn(1, heads, 18, 8)
        for causal, reach in ((False, None), (True, None), (False, 2)):
            given_ = (query, key, value, segments, 0.3, causal, reach)
            torch.testing.assert_close(segments_module.by_kernel(*given_), segments_module.by_length(*given_))
