import numpy as np
import pytest
import torch

from models.encoder.attention import use_products
from models.encoder.forward import embed, run_layers, trunk_batches
from models.encoder.load import UnsupportedEncoderError, load_encoder
from models.encoder.lora import copy_layers, lora_state, merged_layers, with_lora
from models.encoder.tokens import tokenize
from models.encoder.trunk import build_trunk, text_means, window_sums
from models.families import FLAT_ATTENTION
from tests.tiny_encoder import make_encoder, synthetic_letters

LONG = " ".join(["the judge"] * 80 + ["remorse"])


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_hidden_states_are_those_of_the_plain_model(family, tmp_path):
    encoder = load_encoder(make_encoder(tmp_path / family, family), "cpu")
    texts = ["the judge", "", "my child is ill and the doctor was in court", "remorse"]
    windows = tokenize(encoder, texts)
    for batch in trunk_batches(encoder, windows, encoder.depth, (encoder.depth,), 24, flat=False):
        for place, row in enumerate(batch.rows):
            ids = torch.from_numpy(
                windows.ids[windows.starts[row] : windows.starts[row + 1]].astype(np.int64)
            )[None]
            with torch.no_grad():
                expected = encoder.model(input_ids=ids).last_hidden_state[0]
            found = batch.hidden[place, batch.mask[place]]
            torch.testing.assert_close(found.float(), expected.float(), atol=6e-2, rtol=6e-2)
            torch.testing.assert_close(
                batch.sums[encoder.depth][place], found.float().sum(0), atol=0.1, rtol=1e-2
            )


def test_padding_changes_nothing(encoder):
    texts, _ = synthetic_letters(12)
    together = embed(encoder, texts)
    alone = np.concatenate([embed(encoder, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-2)


def test_embeddings_have_length_one_even_of_nothing(encoder):
    found = embed(encoder, ["", "the judge", LONG])
    assert found.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert embed(encoder, []).shape == (0, 32)


def test_a_long_text_is_read_to_its_end_in_windows(encoder):
    windows = tokenize(encoder, ["the judge", LONG, "mercy"], max_tokens=32)
    assert windows.text_of.tolist() == [0, *[1] * (len(windows.text_of) - 2), 2]
    assert windows.lengths.max() == 32
    low, high = windows.spans[windows.text_of == 1][-1]
    assert LONG[low:high].endswith("remorse")
    assert windows.spans[0].tolist() == [0, len("the judge")]


def test_the_tokenizer_takes_what_is_not_valid_unicode(encoder):
    windows = tokenize(encoder, ["court \ud800 judge\x00", "x" * 5000])
    assert windows.texts == 2
    assert windows.tokens > 4


def test_max_tokens_without_room_for_content_is_refused(encoder):
    with pytest.raises(ValueError, match="max_tokens=2"):
        tokenize(encoder, ["court"], max_tokens=2)


def test_the_cached_trunk_gives_what_the_encoder_gives_in_ram_and_in_a_file(encoder, tmp_path):
    texts, _ = synthetic_letters(9)
    windows = tokenize(encoder, [*texts, LONG], max_tokens=24)
    live = trunk_batches(encoder, windows, 1, (1, 2))
    shape = (len(windows.lengths), 32)
    expected = window_sums(live, [encoder.layers[1:]], 1, (1, 2), shape)[0]
    for memory in (1 << 20, 0):
        trunk = build_trunk(encoder, windows, 1, (1, 2), tmp_path, memory=memory)
        rows = np.arange(len(windows.lengths))
        found = window_sums(trunk.batches(rows, 128), [encoder.layers[1:]], 1, (1, 2), shape)[0]
        np.testing.assert_allclose(found, expected, atol=0.3, rtol=2e-2)
        np.testing.assert_allclose(trunk.frozen, expected, atol=0.3, rtol=2e-2)
    assert (tmp_path / "trunk.bin").stat().st_size == windows.tokens * 32 * 2
    assert text_means(expected, windows).shape == (10, 64)


def test_a_text_mean_weighs_windows_by_their_tokens(encoder):
    windows = tokenize(encoder, ["court", LONG], max_tokens=32)
    sums = np.repeat(windows.lengths[:, None, None], 3, axis=2).astype(np.float32)
    np.testing.assert_allclose(text_means(sums, windows), 1.0)


def test_product_attention_is_scaled_dot_product_attention(encoder):
    hidden = torch.randn(3, 7, 32, dtype=encoder.dtype)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [True] * 6 + [False]])
    fused, products = copy_layers(encoder, 0), use_products(copy_layers(encoder, 0))
    for keep in (mask, torch.ones_like(mask)):
        *_, expected = run_layers(fused, hidden, keep)
        *_, found = run_layers(products, hidden, keep)
        torch.testing.assert_close(found[keep].float(), expected[keep].float(), atol=5e-2, rtol=5e-2)
    assert encoder.model.config._attn_implementation == FLAT_ATTENTION


def test_fresh_lora_changes_nothing_and_merging_equals_adding(encoder):
    hidden, mask = torch.randn(2, 5, 32, dtype=encoder.dtype), torch.ones(2, 5, dtype=torch.bool)
    layers = with_lora(copy_layers(encoder, 1), rank=4)
    *_, plain = run_layers(copy_layers(encoder, 1), hidden, mask)
    *_, fresh = run_layers(layers, hidden, mask)
    torch.testing.assert_close(fresh, plain)
    with torch.no_grad():
        for name, value in layers.named_parameters():
            if name.endswith("lora_B"):
                value.normal_(std=0.05)
    *_, added = run_layers(layers, hidden, mask)
    state = lora_state(layers, encoder.layer_path, 1)
    *_, merged = run_layers(merged_layers(encoder, 1, state), hidden, mask)
    assert (added - plain).abs().max() > 0.05
    torch.testing.assert_close(merged.float(), added.float(), atol=6e-2, rtol=6e-2)
    assert "base_model.model.encoder.layer.1.attention.self.query.lora_A.weight" in state


def test_lora_of_another_model_is_refused(encoder):
    with pytest.raises(KeyError, match=r"layer\.7"):
        merged_layers(encoder, 1, {"base_model.model.encoder.layer.7.x.lora_A.weight": torch.zeros(1)})


def test_a_decoder_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UnsupportedEncoderError, match="gpt2"):
        load_encoder(tmp_path, "cpu")
