"""Settings that differ by fold: each member is fitted, kept and read back with its own, and the report says how far inner scores carried."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars
import pytest

from models.adapters.load import load_adapter
from models.adapters.member import Member, Weights, ready_member
from models.encoder.load import Encoder, load_encoder
from models.training.calibration import Calibration
from models.training.errors import TrainingRefusedError
from models.training.inputs import read_inputs
from models.training.members import request_with
from models.training.run import train
from tests.tiny_encoder import make_encoder, synthetic_letters, write_training_folder

OVERRIDES = [
    {"lora_rank": 2, "learning_rate": 5e-3},
    {"lora_rank": 8, "loss": {"kind": "focal", "gamma": 1.0}},
]


def inputs(folder: Path, **request: object) -> Path:
    """Sixty synthetic letters for two folds."""
    texts, labels = synthetic_letters(60)
    return write_training_folder(
        folder / "input",
        make_encoder(folder / "base"),
        texts,
        labels,
        folds=2,
        epochs=2,
        batch_tokens=256,
        **request,
    )


def test_each_fold_has_its_own_settings_and_is_read_back_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = {"search_id": "job_x", "nested": True, "trials": []}
    given = inputs(
        tmp_path,
        method="rslora",
        lora_rank=4,
        learning_rate=5e-3,
        fold_overrides=OVERRIDES,
        final_epochs=1,
        search=search,
    )
    out = tmp_path / "out"
    manifest = train(given, tmp_path / "work", out)
    ranks = [
        json.loads((out / place / "adapter_config.json").read_text())["r"]
        for place in (".", "folds/0", "folds/1")
    ]
    assert ranks == [4, 2, 8]
    assert set(manifest["encoder"]["member_scaling"]) == {"fold0", "fold1"}  # 8 / √rank
    held_out = polars.read_ipc(out / "held_out.arrow")
    data = read_inputs(given)
    scalings: dict[str, float] = {}

    def noted(
        name: str, weights: Weights, calibration: Calibration, encoder: Encoder, depth: int, scaling: float
    ) -> Member:
        scalings[name] = scaling
        return ready_member(name, weights, calibration, encoder, depth, scaling)

    monkeypatch.setattr("models.adapters.load.ready_member", noted)
    adapter = load_adapter(out, load_encoder(tmp_path / "base", "cpu"))
    assert scalings == pytest.approx({"final": 8 / 4**0.5, "fold0": 8 / 2**0.5, "fold1": 8 / 8**0.5})
    for fold in range(2):
        rows = np.flatnonzero(held_out["fold"].to_numpy() == fold)
        read = adapter.predict([data.texts[row] for row in rows], f"fold{fold}")
        assert read == pytest.approx(np.array(held_out["probabilities"].to_list())[rows], abs=2e-3)
    report = json.loads((out / "report.json").read_text())
    assert report["final"]["best_epoch"] == 1
    carried = report["search"]["average_precision"]
    assert [entry["fold"] for entry in carried["folds"]] == [0, 1]
    assert carried["gap"] == pytest.approx(carried["inner"] - carried["held_out"])
    assert "search and training together" in report["search"]["sentence"]


def test_a_fold_may_do_without_the_wide_branch_while_another_reads_contexts(tmp_path: Path) -> None:
    overrides = [{"wide": False}, {"context": True}]
    given = inputs(
        tmp_path, method="probe", wide_strength=1.0, context=False, fold_overrides=overrides, final_epochs=0
    )
    frame = polars.read_ipc((given / "texts.arrow").read_bytes())
    headings = [f"Heading {row % 5}" for row in range(len(frame))]
    empty = [""] * len(frame)
    frame.with_columns(
        headings=polars.Series(headings), before=polars.Series(empty), after=polars.Series(empty)
    ).write_ipc(given / "texts.arrow")
    manifest = train(given, tmp_path / "work", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [fold["wide"]["context"] for fold in report["folds"]] == [False, True]
    assert manifest["encoder"]["context"] is True
    assert "wide" not in report["macro"]  # the first fold has no such branch
    assert (tmp_path / "out" / "folds" / "1" / "wide.safetensors").exists()
    assert not (tmp_path / "out" / "folds" / "0" / "wide.safetensors").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([{}], "1 settings were given for 2 folds"),
        ([{}, {"max_tokens": 16}], "all members of an adapter share max_tokens"),
        ([{}, {"lora_rank": 0}], "lora_rank"),
    ],
)
def test_settings_that_cannot_differ_or_be_are_refused(
    tmp_path: Path, overrides: list[dict[str, object]], words: str
) -> None:
    with pytest.raises(TrainingRefusedError, match=words):
        train(
            inputs(tmp_path, method="probe", wide=False, fold_overrides=overrides),
            tmp_path / "work",
            tmp_path / "out",
        )


def test_a_changed_request_is_checked_like_any_other(tmp_path: Path) -> None:
    request = read_inputs(inputs(tmp_path)).request
    changed = request_with(request, {"loss": {"kind": "focal"}, "epochs": 7})
    assert (changed.loss.kind, changed.epochs, changed.base_model) == ("focal", 7, request.base_model)
    with pytest.raises(TrainingRefusedError) as refused:
        request_with(request, {"lorarank": 3})
    assert refused.value.field == "lorarank"
