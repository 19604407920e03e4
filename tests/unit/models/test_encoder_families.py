"""Every family: a trunk and the layers above it give what transformers' own model gives, alone, padded and copied."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, T5EncoderModel

from models.catalog import CATALOG
from models.encoder.attention import use_products
from models.encoder.forward import embed, run_layers, trunk_batches
from models.encoder.frames import neighbour_mask
from models.encoder.load import (
    DeviceUnavailableError,
    QuantizationUnavailableError,
    UnsupportedEncoderError,
    load_encoder,
)
from models.encoder.lora import copy_layers, linears
from models.encoder.tokens import tokenize
from models.families import FAMILIES, UnknownTargetError, chosen_targets
from tests.tiny_encoder import TINY_FAMILIES, make_encoder

TEXTS = [
    "the judge",
    "",
    "my child is ill and the doctor was in court",
    " ".join(["never always mercy"] * 12),
]


@pytest.fixture(scope="module", params=TINY_FAMILIES)
def exact(request, tmp_path_factory):
    """A tiny model of each family, computed with in fp32."""
    folder = make_encoder(tmp_path_factory.mktemp("family") / request.param, request.param)
    return load_encoder(folder, "cpu", torch.float32)


def own_forward(encoder, ids, mask):
    """transformers' own pass over a padded batch, from a model of its own: (batch, length, hidden)."""
    kind = T5EncoderModel if encoder.family == "t5" else AutoModel
    model = kind.from_pretrained(encoder.path, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask.long()).last_hidden_state


def test_there_is_a_tiny_model_of_every_family():
    assert set(TINY_FAMILIES) == set(FAMILIES)
    assert {entry.family for entry in CATALOG.values()} <= set(FAMILIES)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_trunk_and_upper_layers_are_the_whole_model(exact, depth):
    windows = tokenize(exact, TEXTS)
    (batch,) = trunk_batches(exact, windows, depth, (1, 2), budget=10_000, flat=False)
    *_, found = [batch.hidden, *run_layers(exact.layers[depth:], batch.hidden, batch.mask)]
    ids = torch.zeros(batch.mask.shape, dtype=torch.long)
    for place, row in enumerate(batch.rows):
        ids[place, : windows.lengths[row]] = torch.from_numpy(
            windows.ids[windows.starts[row] : windows.starts[row + 1]].astype(np.int64)
        )
    expected = own_forward(exact, ids, batch.mask)
    torch.testing.assert_close(found[batch.mask], expected[batch.mask], atol=1e-5, rtol=0)
    assert torch.isfinite(found).all()


def test_padding_changes_no_embedding(exact):
    together = embed(exact, TEXTS)
    alone = np.concatenate([embed(exact, [text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_training_attention_is_the_models_own(exact):
    hidden = torch.randn(3, 12, 32)
    mask = torch.tensor([[True] * 12, [True] * 4 + [False] * 8, [True] * 11 + [False]])
    products = use_products(copy_layers(exact, 0))
    for keep in (mask, torch.ones_like(mask)):
        *_, expected = run_layers(exact.layers, hidden, keep)
        given = hidden.clone().requires_grad_()
        *_, found = run_layers(products, given, keep)
        torch.testing.assert_close(found[keep], expected[keep], atol=1e-5, rtol=1e-5)
        found[keep].sum().backward()
        assert torch.isfinite(given.grad).all()


def test_the_target_table_lists_every_linear_of_a_layer(exact):
    found = {name.partition(".")[2] for name, _ in linears(exact.layers)}
    ungated = {"layer.1.DenseReluDense.wi"} if exact.family == "t5" else set()
    assert found == set(FAMILIES[exact.family].targets) - ungated


def test_positions_stay_in_fp32_whatever_the_weights_are(exact):
    low = load_encoder(exact.path, "cpu", torch.bfloat16)
    for name, buffer in low.model.named_buffers():
        if buffer.is_floating_point():
            assert buffer.dtype == torch.float32, name
            torch.testing.assert_close(buffer, exact.model.get_buffer(name), atol=0, rtol=0)
    assert {value.dtype for value in low.model.parameters()} == {torch.bfloat16}
    assert np.isfinite(embed(low, TEXTS)).all()


def test_a_window_is_marked_as_the_familys_tokenizer_marks_texts(exact):
    windows = tokenize(exact, ["the judge", ""])
    first, empty = np.split(windows.ids, windows.starts[1:-1])
    marks = {"llama": ([2], []), "gptj": ([2], []), "t5": ([], [3])}.get(exact.family, ([2], [3]))
    assert exact.special_ids == tuple(tuple(part) for part in marks)
    assert empty.tolist() == [*marks[0], *marks[1]]
    assert first.tolist() == [*marks[0], *first[len(marks[0]) : len(first) - len(marks[1])], *marks[1]]


def test_decoders_see_only_what_stands_before(exact):
    short, long = "the judge", "the judge was in court"
    windows = tokenize(exact, [short, long])
    (batch,) = trunk_batches(exact, windows, 2, (2,), budget=10_000, flat=False)
    place = {int(row): number for number, row in enumerate(batch.rows)}
    before = len(exact.special_ids[0])
    states = [batch.hidden[place[row], before : before + 2] for row in (0, 1)]
    assert torch.allclose(*states, atol=1e-5) == FAMILIES[exact.family].causal


def test_the_document_lists_families_and_targets_as_they_are():
    document = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    for family in FAMILIES.values():
        assert f"| `{family.name}` | {', '.join(f'`{target}`' for target in family.targets)} |" in document
    for name in CATALOG:
        assert f"`{name}`" in document


def test_neighbours_are_within_reach_and_padding_sees_itself():
    mask = torch.tensor([[True, True, True, True, False, False, False]])
    allowed = neighbour_mask(mask, 1)
    assert allowed is not None
    assert allowed[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]
    assert neighbour_mask(torch.ones(1, 3, dtype=torch.bool), 4) is None


def test_a_target_may_be_named_by_its_end():
    llama = FAMILIES["llama"]
    assert chosen_targets(llama, ()) == llama.targets
    assert chosen_targets(llama, ["v_proj", "self_attn.q_proj"]) == ("self_attn.q_proj", "self_attn.v_proj")
    assert chosen_targets(FAMILIES["bert"], ["output.dense"]) == ("attention.output.dense", "output.dense")
    with pytest.raises(
        UnknownTargetError, match=r"'proj' is no linear of a llama layer; it has self_attn\.q_proj"
    ):
        chosen_targets(llama, ["q_proj", "proj"])


def test_a_gpu_that_is_not_there_is_refused(tiny_bert, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailableError, match="no CUDA device is visible"):
        load_encoder(tiny_bert, "cuda")
    with pytest.raises(QuantizationUnavailableError, match="a CUDA device"):
        load_encoder(tiny_bert, "cpu", quantization="nf4")


def test_a_model_that_cannot_begin_a_text_is_refused(tmp_path, monkeypatch):
    folder = make_encoder(tmp_path / "gptj", "gptj")
    config = folder / "config.json"
    config.write_text(
        config.read_text()
        .replace('"bos_token_id": 2', '"bos_token_id": null')
        .replace('"eos_token_id": 3', '"eos_token_id": null')
    )
    with pytest.raises(UnsupportedEncoderError, match="nor a bos_token_id"):
        load_encoder(folder, "cpu")
