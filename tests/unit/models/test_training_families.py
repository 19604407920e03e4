"""Whole training runs on tiny models of the families and by the methods that `test_training_run` leaves out."""

import json

import numpy as np
import pytest
import torch

from models.adapters.folder import verify
from models.adapters.load import WrongBaseError, load_adapter
from models.encoder import load, tuning
from models.encoder.load import load_encoder
from models.encoder.lora import LoraLinear
from models.training import baselines, member_task, run
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.run import train
from tests.tiny_encoder import make_encoder, synthetic_letters, write_training_folder
from workers.inference.adapter_reader import adapter_reader
from workers.inference.reading import Plan
from workers.inference.work import Lane, make_work

ROWS = 40
REQUEST = {"folds": 2, "epochs": 2, "learning_rate": 0.01, "lora_rank": 4, "max_tokens": 24, "wide": False}
LONG = " ".join(["the judge was sorry"] * 20)


@pytest.fixture(scope="module")
def letters():
    return synthetic_letters(ROWS, seed=4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out the reload check in a fresh process and the choice of penalties, which `test_training_run` makes for real."""
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)
    for module in (member_task, baselines):
        monkeypatch.setattr(module, "choose_penalty", lambda *_: 20.0)


def served(adapter, texts):
    """Probabilities as the inference worker computes them, all windows in one batch."""
    reader = adapter_reader(adapter, "digest")
    plan = Plan(members=("final",))
    prepared = reader.prepare(texts, plan)
    work, windows = make_work(reader, Lane.INTERACTIVE, prepared.windows_of, prepared.context)
    for window, result in zip(windows, reader.run(windows), strict=True):
        work.settle(window, result)
    return reader.finish(prepared, work.future.result(0), plan, "mean").probabilities


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("modernbert", {"method": "lora", "target_modules": ["Wqkv", "Wo"]}),
        ("llama", {"method": "rslora"}),
        ("gptj", {"method": "lora", "trained_layers": 2}),
        ("t5", {"method": "full", "learning_rate": 0.003}),
    ],
)
def test_a_family_is_trained_and_served(family, fields, letters, tmp_path):
    base = make_encoder(tmp_path / family, family)
    source = write_training_folder(tmp_path / "in", base, *letters, **REQUEST | fields)
    events = []
    train(source, tmp_path / "work", tmp_path / "out", events.append)
    manifest = verify(tmp_path / "out")
    assert (manifest["base"]["family"], manifest["encoder"]["method"]) == (family, fields["method"])
    trunk = {"full": 0, "lora": 2 - fields.get("trained_layers", 1)}.get(fields["method"], 1)
    assert manifest["encoder"]["depth"] == trunk
    losses = [event["train_loss"] for event in events if event["event"] == "epoch" and event["epoch"] > 0]
    assert np.isfinite(losses).all()
    adapter = load_adapter(tmp_path / "out", load_encoder(base, "cpu"))
    texts = [*letters[0][:5], "", LONG]
    together = adapter.predict_members(texts, adapter.members)
    assert together.shape == (3, 7, 3)
    alone = np.concatenate([adapter.predict([text]) for text in texts])
    np.testing.assert_allclose(together[0], alone, atol=3e-2)
    np.testing.assert_allclose(served(adapter, texts), together[0], atol=3e-2)


def test_full_fine_tuning_changes_layers_and_resumes_bit_for_bit(letters, tiny_bert, tmp_path):
    request = REQUEST | {"method": "full", "learning_rate": 0.003}
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **request)
    train(source, tmp_path / "work", tmp_path / "out")
    left = [1]

    def stop(event):
        left[0] -= event["event"] == "epoch"

    with pytest.raises(TrainingStoppedError):
        train(source, tmp_path / "again", tmp_path / "second", stop, lambda: left[0] <= 0)
    train(source, tmp_path / "again", tmp_path / "second")
    first, second = (
        json.loads((tmp_path / name / "manifest.json").read_text())["files"] for name in ("out", "second")
    )
    weights = [name for name in first if name.endswith(".safetensors")]
    assert "folds/0/layers.safetensors" in weights
    assert {name: first[name] for name in weights} == {name: second[name] for name in weights}


def test_a_base_too_large_to_copy_answers_as_a_merged_one(letters, tiny_bert, encoder, tmp_path, monkeypatch):
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST | {"method": "rslora"})
    train(source, tmp_path / "work", tmp_path / "out")
    merged = load_adapter(tmp_path / "out", encoder)
    monkeypatch.setattr(tuning, "MERGED_PARAMETERS", 0)
    shared = load_adapter(tmp_path / "out", encoder)
    kinds = [
        any(isinstance(part, LoraLinear) for part in found.loaded["final"].upper.modules())
        for found in (merged, shared)
    ]
    assert kinds == [False, True]
    np.testing.assert_allclose(shared.predict(letters[0]), merged.predict(letters[0]), atol=2e-2)
    assert adapter_reader(shared, "d").size < adapter_reader(merged, "d").size


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"target_modules": ["q_proj"]}, "unknown-target-module", "target_modules"),
        ({"method": "qlora"}, "qlora-unavailable", "method"),
        ({"device": "cuda"}, "device-unavailable", "device"),
        ({"method": "full"}, "model-too-large", "method"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_code(
    fields, code, field, letters, tiny_bert, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("models.catalog.FULL_PARAMETERS", 10)
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST | fields)
    with pytest.raises(TrainingRefusedError) as refused:
        train(source, tmp_path / "work", tmp_path / "out")
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_a_4_bit_base_wants_its_base_in_4_bits(
    letters, tiny_bert, encoder, tmp_path, monkeypatch
):
    """Without CUDA the quantisation itself is left out; what is asked of loading, and what is written, is not."""
    asked = []

    def held(place, dtype, quantization):
        asked.append((dtype, quantization))
        return {}

    monkeypatch.setattr(load, "require_quantization", lambda _: None)
    monkeypatch.setattr(load, "_quantized", held)
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST | {"method": "qlora"})
    manifest = train(source, tmp_path / "work", tmp_path / "out")
    assert asked[0][1] == "nf4"
    assert (manifest["base"]["quantization"], manifest["encoder"]["lora_scaling"]) == ("nf4", 2.0)
    with pytest.raises(WrongBaseError, match="held in nf4"):
        load_adapter(tmp_path / "out", encoder)
    held_in_4_bits = load_encoder(tiny_bert, "cpu", quantization="nf4")
    assert load_adapter(tmp_path / "out", held_in_4_bits).predict(["the judge"]).shape == (1, 3)
