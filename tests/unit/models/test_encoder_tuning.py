"""What is trained above the trunk, per family and method: shared weights, PEFT's names and numbers, heads bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, T5EncoderModel

from models.adapters.head import Head
from models.adapters.member import Weights, cpu_state, lora_config, read_weights, write_weights
from models.encoder import tuning as tuning_module
from models.encoder.forward import run_layers, trunk_batches
from models.encoder.load import load_encoder
from models.encoder.lora import LoraLinear, copy_layers
from models.encoder.tokens import tokenize
from models.encoder.trunk import upper_sums
from models.encoder.tuning import own_bytes, ready_layers, tuned_layers, tuned_state, tuning_for
from models.families import FAMILIES
from tests.tiny_encoder import TINY_FAMILIES, make_encoder

ROOT = Path(__file__).parents[3]
TEXTS = ["the judge", "my child is ill and the doctor was in court", "never always mercy remorse"]
DEPTH = 1


@pytest.fixture(scope="module", params=TINY_FAMILIES)
def exact(request, tmp_path_factory):
    """A tiny model of each family, computed with in fp32."""
    folder = make_encoder(tmp_path_factory.mktemp("family") / request.param, request.param)
    return load_encoder(folder, "cpu", torch.float32)


def stirred(layers):
    """Layers whose trained weights have all been moved."""
    torch.manual_seed(1)
    with torch.no_grad():
        for value in layers.parameters():
            if value.requires_grad:
                value.add_(torch.randn_like(value) * 0.05)
    return layers


def sums_of(encoder, upper, depth=DEPTH):
    """Masked sums of both layers of TEXTS: (texts, 2, hidden)."""
    (batch,) = trunk_batches(encoder, tokenize(encoder, TEXTS), depth, (1, 2), budget=10_000)
    with torch.inference_mode():
        found = upper_sums(batch, upper, depth, (1, 2)).clone()
    return found[torch.from_numpy(np.argsort(batch.rows))]


def peft_sums(encoder, folder):
    """The same from PEFT on transformers' own model."""
    kind = T5EncoderModel if encoder.family == "t5" else AutoModel
    model = PeftModel.from_pretrained(kind.from_pretrained(encoder.path), folder).eval()
    windows = tokenize(encoder, TEXTS)
    ids = torch.zeros(len(TEXTS), int(windows.lengths.max()), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(windows.lengths):
        ids[row, :length] = torch.from_numpy(windows.ids[windows.starts[row] :][:length].astype(np.int64))
        mask[row, :length] = 1
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    return torch.stack([(states[layer] * mask[:, :, None]).sum(dim=1) for layer in (1, 2)], dim=1)


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning"
)  # PEFT asks transformers for it
@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_peft_reloads_an_adapter_and_answers_alike(exact, method, tmp_path):
    tuning = tuning_for(method, 4, alpha=6.0)
    layers = stirred(tuned_layers(exact, DEPTH, tuning))
    state = tuned_state(exact, layers, DEPTH)
    head = Head(64, 3, 8)
    torch.nn.init.normal_(head.outer.weight)
    write_weights(tmp_path, Weights(state, cpu_state(head), None), lora_config(exact, "tiny", DEPTH, tuning))
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["use_rslora"] == (method == "rslora")
    assert len(saved["target_modules"]) == len(list(state)) // 2

    trained, plain = sums_of(exact, layers), sums_of(exact, exact.layers[DEPTH:])
    assert (trained - plain).abs().max() > 1e-2
    foreign = peft_sums(exact, tmp_path)
    torch.testing.assert_close(foreign, trained, atol=1e-4, rtol=1e-4)
    wide = torch.zeros(len(TEXTS), 3)
    ours, theirs = (head.eval()(part.flatten(1), wide) for part in (trained, foreign))
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["lora", "rslora", "full", "probe"])
def test_what_was_trained_comes_back_bit_for_bit_and_predicts_alike(exact, method, tmp_path):
    depth = exact.depth if method == "probe" else DEPTH
    tuning = tuning_for(method, 4)
    layers = stirred(tuned_layers(exact, depth, tuning))
    head = Head(64, 3, 8)
    weights = Weights(tuned_state(exact, layers, depth), cpu_state(head), None)
    write_weights(tmp_path, weights, None)
    found = read_weights(tmp_path)
    for kept, given in ((found.upper, weights.upper), (found.head, weights.head)):
        assert kept.keys() == given.keys()
        for name, value in given.items():  # by their bytes: a head's fixed logits may be NaN
            assert kept[name].numpy().tobytes() == value.contiguous().numpy().tobytes(), name
    ready = ready_layers(exact, depth, found.upper, tuning.scaling)
    torch.testing.assert_close(
        sums_of(exact, ready, depth), sums_of(exact, layers, depth), atol=1e-4, rtol=1e-4
    )
    assert not any(value.requires_grad for value in ready.parameters())


def test_a_large_base_is_shared_when_serving(exact, monkeypatch):
    tuning = tuning_for("lora", 4)
    state = tuned_state(exact, stirred(tuned_layers(exact, DEPTH, tuning)), DEPTH)
    merged = ready_layers(exact, DEPTH, state, tuning.scaling)
    monkeypatch.setattr(tuning_module, "MERGED_PARAMETERS", 1000)
    added = ready_layers(exact, DEPTH, state, tuning.scaling)
    torch.testing.assert_close(sums_of(exact, added), sums_of(exact, merged), atol=1e-4, rtol=1e-4)
    assert own_bytes(exact, added) == sum(value.nbytes for value in state.values())
    layer = sum(value.nbytes for name, value in exact.layers[DEPTH].named_parameters())
    assert own_bytes(exact, added) < own_bytes(exact, merged) <= layer


def test_members_train_on_the_bases_own_weights(exact):
    before = {name: value.clone() for name, value in exact.model.state_dict().items()}
    first, second = (tuned_layers(exact, DEPTH, tuning_for("lora", 4)) for _ in range(2))
    frozen = [value for value in first.parameters() if not value.requires_grad]
    assert {id(value) for value in frozen} == {id(value) for value in exact.layers[DEPTH:].parameters()}
    assert own_bytes(exact, first) == sum(value.nbytes for value in first.parameters() if value.requires_grad)
    stirred(first)
    stirred(tuned_layers(exact, DEPTH, tuning_for("full")))
    for name, value in exact.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.testing.assert_close(sums_of(exact, second), sums_of(exact, exact.layers[DEPTH:]))


def test_only_the_named_linears_get_lora(exact):
    wanted = FAMILIES[exact.family].targets[1]
    layers = tuned_layers(exact, 0, tuning_for("lora", 2, targets=(wanted,)))
    found = {name.partition(".")[2] for name, part in layers.named_modules() if isinstance(part, LoraLinear)}
    assert found == {wanted}
    config = lora_config(exact, "tiny", 0, tuning_for("lora", 2, targets=(wanted,)))
    assert config["target_modules"] == [f"{exact.layer_path}.{layer}.{wanted}" for layer in (0, 1)]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_trained_weight_is_reached_by_the_loss(exact, method):
    layers = tuned_layers(exact, 0, tuning_for(method, 4))
    (batch,) = trunk_batches(exact, tokenize(exact, TEXTS), 0, (2,), budget=10_000, flat=False)
    stirred(layers)
    *_, states = run_layers(layers, batch.hidden.clone(), batch.mask)
    states[batch.mask].square().sum().backward()
    for name, value in layers.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, name
            # The key's bias moves all scores of a query alike: softmax does not feel it.
            assert value.grad.abs().max() > 0 or name.endswith(("key.bias", "k_lin.bias")), name


def test_full_weights_are_trained_in_fp32_and_read_in_bf16(tiny_bert):
    low = load_encoder(tiny_bert, "cpu", torch.bfloat16)
    layers = tuned_layers(low, 1, tuning_for("full"))
    assert {value.dtype for value in layers.parameters()} == {torch.float32}
    assert layers[0].output.dense.weight.dtype == torch.bfloat16
    with torch.no_grad():
        for value in layers.parameters():
            value.add_(1e-5)  # lost in bf16
    state = tuned_state(low, layers, 1)
    assert set(state) == {f"encoder.layer.1.{name}" for name, _ in low.layers[1].named_parameters()}
    base = low.layers[1].output.dense.weight.float()
    assert not torch.equal(state["encoder.layer.1.output.dense.weight"], base)
    torch.testing.assert_close(
        sums_of(low, layers), sums_of(low, ready_layers(low, 1, state)), atol=0, rtol=0
    )


def test_a_weight_of_another_model_is_refused(exact):
    with pytest.raises(KeyError, match=r"elsewhere\.weight is not a weight above layer 1"):
        ready_layers(exact, DEPTH, {"elsewhere.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("method", "rank", "alpha", "scaling", "rate"),
    [
        ("lora", 16, None, 2.0, 3e-4),
        ("lora", 64, None, 2.0, 3e-4),
        ("rslora", 16, None, 2.0, 3e-4),
        ("rslora", 64, None, 1.0, 3e-4),
        ("rslora", 4, None, 4.0, 1.5e-4),
        ("rslora", 16, 32.0, 8.0, 0.75e-4),
        ("full", 16, None, 2.0, 5e-5),
    ],
)
def test_rates_fall_as_scalings_grow(method, rank, alpha, scaling, rate):
    tuning = tuning_for(method, rank, alpha)
    assert tuning.scaling == pytest.approx(scaling)
    assert tuning.learning_rate == pytest.approx(rate)


_FRESH = """
import sys, torch, numpy as np
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.unit.models.test_encoder_tuning import peft_sums
from models.encoder.load import load_encoder
encoder = load_encoder({base!r}, "cpu", torch.float32)
np.save({out!r}, peft_sums(encoder, {folder!r}).numpy())
"""


def test_a_fresh_process_with_peft_answers_alike(tmp_path):
    encoder = load_encoder(make_encoder(tmp_path / "llama", "llama"), "cpu", torch.float32)
    tuning = tuning_for("rslora", 4)
    layers = stirred(tuned_layers(encoder, DEPTH, tuning))
    weights = Weights(tuned_state(encoder, layers, DEPTH), cpu_state(Head(64, 3, 8)), None)
    write_weights(tmp_path / "adapter", weights, lora_config(encoder, "tiny", DEPTH, tuning))
    out = tmp_path / "sums.npy"
    script = _FRESH.format(
        root=str(ROOT), base=str(encoder.path), folder=str(tmp_path / "adapter"), out=str(out)
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT, timeout=200)
    np.testing.assert_allclose(np.load(out), sums_of(encoder, layers).numpy(), atol=1e-4, rtol=1e-4)


def test_4_bit_weights_and_their_scales_are_shared(encoder):
    """bitsandbytes needs CUDA: a stand-in for its linear shows what `copy_layers` does with what lies beside its weights."""
    layer = encoder.layers[1]
    scales = torch.ones(1 << 10)
    linear = layer.output.dense
    linear.quant_state = scales
    try:
        copied = copy_layers(encoder, 1)[0].output.dense
        assert copied is not linear
        assert copied.weight is linear.weight
        assert copied.quant_state is scales
    finally:
        del linear.quant_state
