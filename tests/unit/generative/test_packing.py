"""No document sees another, whatever row they are packed into; transformers' own model, document by document, is the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.generative.activations import TanhGelu
from models.generative.blocks import targets_of, windows, wrap
from models.generative.causal import causal_task, hidden_states, likelihood
from models.generative.causal_products import BLOCK
from models.generative.load import Base, checkpoint_activations, load_base, load_model, output_layer
from models.generative.lora import LoraLinear
from models.generative.loss import CPU_CHUNK, summed_loss, token_losses
from models.generative.norms import RootMeanSquare
from models.generative.packing import Packing, attend
from models.generative.request import GenerativeRequest
from models.generative.rotary import Rotated
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


@pytest.mark.parametrize("learning", [True, False])
def test_attention_within_pieces_is_masked_attention_over_all(learning: bool) -> None:
    """Both ways: with products in blocks when gradients are asked for, with PyTorch's kernel when not."""
    torch.manual_seed(0)
    lengths = (2 * BLOCK + 3, 5, BLOCK, 1)
    query, key, value = (
        torch.randn(1, heads, sum(lengths), 8, requires_grad=learning) for heads in (4, 2, 2)
    )
    packing = Packing()
    packing.set(lengths, torch.device("cpu"))
    found = attend(packing, query, key, value, 0.3)
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    place = torch.arange(sum(lengths))
    seen = (document[:, None] == document) & (place[:, None] >= place)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, wanted.transpose(1, 2), rtol=1e-4, atol=1e-5)
    if learning:
        outer = torch.randn_like(found)
        slopes = torch.autograd.grad((found * outer).sum(), (query, key, value))
        others = torch.autograd.grad((wanted.transpose(1, 2) * outer).sum(), (query, key, value))
        for slope, other in zip(slopes, others, strict=True):
            torch.testing.assert_close(slope, other, rtol=1e-3, atol=1e-5)


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


@pytest.mark.parametrize("biased", [True, False])
def test_the_chunked_loss_is_cross_entropy_with_its_gradient(biased: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(CPU_CHUNK + 5, 6, requires_grad=True)
    # Logits far apart: the wrong ones' powers vanish, and the loss must not.
    weight, bias = 40 * torch.randn(11, 6), torch.randn(11) if biased else None
    targets = torch.randint(0, 11, (CPU_CHUNK + 5,))
    told = summed_loss(hidden, weight, bias, targets)
    (told * 0.25).backward()
    found, hidden.grad = hidden.grad, None
    logits = torch.nn.functional.linear(hidden, weight, bias)
    wanted = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(told, wanted, rtol=1e-5, atol=0.0)
    (wanted * 0.25).backward()
    torch.testing.assert_close(found, hidden.grad, rtol=1e-4, atol=1e-5)
    each = token_losses(hidden, weight, bias, targets)
    assert float(each.sum()) == pytest.approx(float(wanted.detach()), rel=1e-5)


def stock_gradients(base: Base, document: np.ndarray) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and LoRA's gradients by transformers' own layers and autograd, with LoRA beside the weights."""
    stock = load_model(base.path, "causal", torch.float32, base.device).eval().requires_grad_(False)
    twins: dict[str, torch.nn.Parameter] = {}
    for name, module in list(base.model.named_modules()):
        if isinstance(module, LoraLinear):
            pair = [torch.nn.Parameter(part.detach().clone()) for part in (module.lora_A, module.lora_B)]
            twins |= {
                f"base_model.model.{name}.lora_{which}.weight": part
                for which, part in zip("AB", pair, strict=True)
            }

            def beside(_module: object, given: tuple[torch.Tensor], plain: torch.Tensor, pair: list[torch.nn.Parameter] = pair, scaling: float = module.scaling) -> torch.Tensor:  # fmt: skip
                return plain + scaling * (given[0] @ pair[0].t() @ pair[1].t())

            stock.get_submodule(name).register_forward_hook(beside)
    ids = torch.from_numpy(document.astype(np.int64)).unsqueeze(0)
    logits = stock(input_ids=ids).logits[0, :-1]
    loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    loss.backward()
    return float(loss.detach()), {name: part.grad for name, part in twins.items() if part.grad is not None}


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_loss_and_gradients_are_those_of_transformers_own_layers(tmp_path: Path, family: str) -> None:
    base = loaded(tmp_path, family)
    torch.manual_seed(2)
    for value in base.trained.values():
        torch.nn.init.normal_(value, std=0.1)
    (document,) = documents(50)
    loss = causal_task(base, wrap([document], 50), None).loss([0])
    loss.backward()
    wanted, slopes = stock_gradients(base, document)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
    assert slopes.keys() == base.trained.keys()
    for name, value in base.trained.items():
        torch.testing.assert_close(value.grad, slopes[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("neighbours", [True, False])
@pytest.mark.parametrize("turned", [8, 4])
def test_the_slope_of_turned_heads_is_turned_back(neighbours: bool, turned: int) -> None:
    torch.manual_seed(0)
    heads = torch.randn(1, 5, 2, 8, dtype=torch.float64, requires_grad=True)
    angles = torch.randn(1, 5, 1, turned // 2, dtype=torch.float64)
    angles = angles.repeat_interleave(2, dim=-1) if neighbours else torch.cat((angles, angles), dim=-1)
    assert torch.autograd.gradcheck(
        lambda x: Rotated.apply(x, angles.cos(), angles.sin(), neighbours), (heads,)
    )
    found = Rotated.apply(heads, angles.cos(), angles.sin(), neighbours)
    torch.testing.assert_close(found.norm(dim=-1), heads.norm(dim=-1))


def test_norm_and_activation_are_the_written_out_ones() -> None:
    torch.manual_seed(0)
    x, weight = (
        torch.randn(4, 6, dtype=torch.float64, requires_grad=True),
        torch.randn(6, dtype=torch.float64),
    )
    assert torch.autograd.gradcheck(lambda x: RootMeanSquare.apply(x, weight, 1e-6), (x,))
    wanted = weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(RootMeanSquare.apply(x, weight, 1e-6), wanted)
    spread = torch.linspace(-12, 12, 97, requires_grad=True)
    found = TanhGelu()(spread)
    written = torch.nn.functional.gelu(spread, approximate="tanh")
    torch.testing.assert_close(found, written, rtol=1e-5, atol=1e-6)
    (slope,), (other,) = (torch.autograd.grad(value.sum(), spread) for value in (found, written))
    torch.testing.assert_close(slope, other, rtol=1e-4, atol=1e-6)
