"""Whole train jobs under other recipes: losses, poolings of windows, micro-batches; what their adapters and reports hold."""

import json

import numpy as np
import polars
import pytest
import torch

from models.adapters.folder import verify
from models.adapters.head import Pooling
from models.adapters.load import load_adapter
from models.training import fit as fitting
from models.training import run
from models.training.errors import TrainingRefusedError
from models.training.request import TrainRequest
from models.training.run import train
from tests.tiny_encoder import synthetic_letters, write_training_folder

ROWS = 32
REQUEST = {
    "folds": 2, "epochs": 1, "learning_rate": 0.01, "lora_rank": 2, "max_tokens": 12, "wide": False,
    "loss": {"kind": "focal", "gamma": 1.0, "alpha": None}, "accumulation": 2, "activation_checkpointing": True,
    "dropout": 0.2, "lora_dropout": 0.1, "weight_decay": 0.01, "warm_up": 0.2, "patience": 2, "batch_tokens": 128,
}  # fmt: skip


@pytest.fixture(scope="module")
def letters():
    return synthetic_letters(ROWS, seed=4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out the reload check, which test_training_run.py makes for real."""
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)


@pytest.fixture(scope="module", params=["max", "attention"])
def trained(request, letters, tiny_bert, tmp_path_factory):
    """A finished run with windows pooled another way: (pooling, output folder)."""
    place = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "reload_check", lambda *_: 0.0)
        source = write_training_folder(
            place / "in", tiny_bert, *letters, **REQUEST, window_pooling=request.param
        )
        train(source, place / "work", place / "out")
    return Pooling(request.param), place / "out"


def test_an_adapter_reads_long_texts_as_it_was_trained(trained, letters, encoder):
    """Held-out logits were read in training; the loaded adapter, from its files alone, gives the same."""
    pooling, folder = trained
    adapter = load_adapter(folder, encoder)
    assert verify(folder)["encoder"]["window_pooling"] == pooling.value
    assert {member.head.pooling for member in adapter.loaded.values()} == {pooling}
    assert np.bincount(adapter.tokenize(letters[0]).text_of).max() > 1
    frame = polars.read_ipc(folder / "held_out.arrow")
    for fold in (0, 1):
        inside = np.flatnonzero(frame["fold"].to_numpy() == fold)
        noted = np.array(frame["probabilities"].to_list(), dtype=np.float32)[inside]
        found = adapter.predict([letters[0][row] for row in inside], f"fold{fold}")
        np.testing.assert_allclose(found, noted, atol=2e-2)


def test_learning_curves_begin_with_the_untrained_encoder(trained, letters):
    report = json.loads((trained[1] / "report.json").read_text())
    folds = polars.read_ipc(trained[1] / "held_out.arrow")["fold"].to_numpy()
    with np.load(trained[1] / "epochs.npz") as arrays:
        for fold in (0, 1):
            curve = report["learning_curves"][str(fold)]
            assert [entry["epoch"] for entry in curve] == list(range(report["folds"][fold]["best_epoch"] + 1))
            assert set(curve[0]) == {
                "epoch", "train_loss", "held_out_macro_average_precision", "held_out_macro_f1", "held_out_accuracy",
                "always_no",
            }  # fmt: skip
            assert arrays[f"fold{fold}"].shape == (len(curve), int((folds == fold).sum()), 3)


def test_full_memory_ends_a_job_with_what_would_fit(letters, tiny_bert, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory (made up)")

    monkeypatch.setattr(fitting, "take_step", full)
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST)
    with pytest.raises(TrainingRefusedError, match="trained_layers 1") as refused:
        train(source, tmp_path / "work", tmp_path / "out")
    assert refused.value.code == "out-of-memory"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [{"loss": {"kind": "focal", "margin": 0.1}}, {"window_pooling": "median"}, {"dropout": 1.0}, {"accumulation": 0},
     {"batch_tokens": 1}, {"weight_decay": -1}, {"patience": 0}, {"warm_up": 1.0}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_wrong_recipe_is_refused_by_its_field(letters, tiny_bert, tmp_path, change):
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **{**REQUEST, **change})
    with pytest.raises(TrainingRefusedError, match=next(iter(change))) as refused:
        train(source, tmp_path / "work", tmp_path / "out")
    assert refused.value.code == "request-invalid"


def test_the_default_recipe_is_what_it_was():
    request = TrainRequest(scheme={})
    assert request.loss.kind == "bce"
    assert (request.loss.positive_weight, request.window_pooling, request.accumulation) == ("auto", "mean", 1)
