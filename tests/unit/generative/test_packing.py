"""No document sees another, whatever row they are packed into; transformers' own model, document by document, is the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.generative.blocks import targets_of, windows, wrap
from models.generative.causal import causal_task, hidden_states, likelihood
from models.generative.load import Base, checkpoint_activations, load_base, load_model, output_layer
from models.generative.loss import CHUNK, summed_loss, token_losses
from models.generative.packing import FUSED_FROM, Packing, attend
from models.generative.request import GenerativeRequest
from tests.tiny_decoder import make_decoder


def loaded(folder: Path, family: str, **fields: object) -> Base:
    base = make_decoder(folder / family, family)
    request = {"task": "causal", "base_model": str(base), "catalog": {"allowed_dirs": [str(folder)]}, "dtype": "float32", "device": "cpu"}  # fmt: skip
    return load_base(GenerativeRequest.model_validate(request | fields))


def documents(*lengths: int) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.integers(4, 40, length).astype(np.int32) for length in lengths]


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_a_packed_document_reads_as_it_does_alone(tmp_path: Path, family: str) -> None:
    base = loaded(tmp_path, family)
    stock = load_model(base.path, "causal", torch.float32, base.device).eval()
    parts = documents(7, 1, 20, 13)
    with torch.no_grad():
        states = hidden_states(base, np.concatenate(parts), [len(part) for part in parts])
        packed = output_layer(base.model)[1](states).split([len(part) for part in parts])
        for part, found in zip(parts, packed, strict=True):
            alone = stock(input_ids=torch.from_numpy(part.astype(np.int64)).unsqueeze(0)).logits[0]
            torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_a_document_does_not_change_when_its_neighbour_does(tmp_path: Path, family: str) -> None:
    base = loaded(tmp_path, family)
    first, other, second = documents(9, 9, 12)
    with torch.no_grad():
        states = [
            hidden_states(base, np.concatenate((before, second)), [9, 12])[9:] for before in (first, other)
        ]
        joined = hidden_states(base, np.concatenate((first, second)), [21])[9:]
    assert torch.equal(*states)
    assert not torch.allclose(states[0], joined, atol=1e-4)


def test_gradients_of_packed_documents_are_those_of_single_ones(tmp_path: Path) -> None:
    base = loaded(tmp_path, "gptj")
    for name, value in base.trained.items():
        if ".lora_B." in name:
            torch.nn.init.normal_(value, std=0.1)
    parts = documents(11, 6, 15)

    def gradients(groups: list[list[np.ndarray]]) -> dict[str, torch.Tensor]:
        for value in base.trained.values():
            value.grad = None
        for group in groups:
            blocks = wrap(group, sum(map(len, group)))
            causal_task(base, blocks, None).loss([0]).backward()
        return {name: value.grad.clone() for name, value in base.trained.items() if value.grad is not None}

    together, alone = gradients([parts]), gradients([[part] for part in parts])
    assert together.keys() == base.trained.keys()
    for name, found in together.items():
        torch.testing.assert_close(found, alone[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_fewer_kept_activations_give_the_same_gradients(tmp_path: Path, family: str) -> None:
    base = loaded(tmp_path, family)
    for value in base.trained.values():
        torch.nn.init.normal_(value, std=0.1)
    task = causal_task(base, wrap(documents(11, 6, 15), 32), None)
    task.loss([0]).backward()
    wanted = {name: value.grad.clone() for name, value in base.trained.items() if value.grad is not None}
    for value in base.trained.values():
        value.grad = None
    checkpoint_activations(base.model)
    layers = base.model.model.layers if family == "llama" else base.model.transformer.h
    read = 0

    def count(*_: object) -> None:
        nonlocal read
        read += 1

    layers[1].mlp.register_forward_pre_hook(count)
    task.loss([0]).backward()
    # Read once more backwards: proof that nothing was kept.
    assert read == 2
    assert all(layer.training and not next(iter(layer.children())).training for layer in layers)
    for name, value in base.trained.items():
        assert value.grad is not None
        torch.testing.assert_close(value.grad, wanted[name])


def test_long_pieces_go_through_the_fused_kernel_and_agree() -> None:
    torch.manual_seed(0)
    lengths = (FUSED_FROM + 3, 5)
    query = torch.randn(1, 4, sum(lengths), 8)
    key, value = torch.randn(1, 2, sum(lengths), 8), torch.randn(1, 2, sum(lengths), 8)
    packing = Packing()
    packing.set(lengths, torch.device("cpu"))
    found = attend(packing, query, key, value, 0.3)
    document = torch.repeat_interleave(torch.arange(2), torch.tensor(lengths))
    place = torch.arange(sum(lengths))
    seen = (document[:, None] == document) & (place[:, None] >= place)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, wanted.transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_on_cuda_the_kernel_is_given_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `varlen_attn` is called with, computed by a stand-in that does what its documentation says."""
    torch.manual_seed(0)
    lengths = (5, 1, 9)
    query = torch.randn(1, 4, 15, 8)
    key, value = torch.randn(1, 2, 15, 8), torch.randn(1, 2, 15, 8)
    packing = Packing()
    packing.set(lengths, torch.device("cpu"))
    wanted = attend(packing, query, key, value, 0.3)

    def kernel(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ends: torch.Tensor, ends_k: torch.Tensor, longest: int, longest_k: int, *, scale: float, window_size: tuple[int, int], enable_gqa: bool) -> torch.Tensor:  # fmt: skip
        assert (window_size, enable_gqa, longest, longest_k) == ((-1, 0), True, 9, 9)
        assert {part.dtype for part in (q, k, v)} == {torch.bfloat16}
        assert torch.equal(ends, ends_k)
        parts = [
            torch.nn.functional.scaled_dot_product_attention(
                *(part[low:high].transpose(0, 1).float() for part in (q, k, v)), is_causal=True, scale=scale, enable_gqa=True
            ).transpose(0, 1)
            for low, high in zip(ends.tolist(), ends.tolist()[1:], strict=False)
        ]  # fmt: skip
        return torch.cat(parts).to(q.dtype)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    packing.ends = torch.tensor([0, 5, 6, 15], dtype=torch.int32)
    found = attend(packing, query, key, value, 0.3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)


def test_blocks_cut_documents_and_tell_where_they_begin() -> None:
    parts = documents(5, 12, 3)
    blocks = wrap(parts, 8)
    assert (len(blocks), [blocks.lengths(block) for block in range(3)]) == (3, [[5, 3], [8], [1, 3]])
    assert np.array_equal(np.concatenate([blocks.tokens(block) for block in range(3)]), np.concatenate(parts))
    assert blocks.predicted().tolist() == [6, 7, 2]
    places, targets = targets_of(blocks.tokens(0), [5, 3])
    assert places.tolist() == [0, 1, 2, 3, 5, 6]
    assert targets.tolist() == [*parts[0][1:], *parts[1][1:3]]
    assert [len(part) for part in windows(parts[1], 5)] == [5, 5, 2]


def test_perplexity_counts_every_document_in_windows_of_its_own(tmp_path: Path) -> None:
    base = loaded(tmp_path, "llama")
    parts = documents(9, 1, 40, 17)
    read: list[int] = []
    found = likelihood(base, parts, 16, lambda: None, read.append)
    assert found.tokens.tolist() == [8, 0, 37, 15]
    assert sum(read) == 67
    stock = load_model(base.path, "causal", torch.float32, base.device).eval()
    for document, loss in zip(parts, found.losses, strict=True):
        wanted = 0.0
        for piece in windows(document, 16):
            ids = torch.from_numpy(piece.astype(np.int64)).unsqueeze(0)
            with torch.no_grad():
                logits = stock(input_ids=ids).logits[0, :-1]
            wanted += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        assert loss == pytest.approx(wanted, rel=1e-4)


def test_the_chunked_loss_is_cross_entropy_with_its_gradient() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(CHUNK + 5, 6, requires_grad=True)
    weight, bias = torch.randn(11, 6), torch.randn(11)
    targets = torch.randint(0, 11, (CHUNK + 5,))
    (summed_loss(hidden, weight, bias, targets) * 0.25).backward()
    found, hidden.grad = hidden.grad, None
    wanted = torch.nn.functional.cross_entropy(hidden @ weight.t() + bias, targets, reduction="sum")
    (wanted * 0.25).backward()
    torch.testing.assert_close(found, hidden.grad, rtol=1e-4, atol=1e-5)
    each = token_losses(hidden, weight, bias, targets)
    assert float(each.sum()) == pytest.approx(float(wanted.detach()), rel=1e-5)
