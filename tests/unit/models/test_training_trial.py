"""A search's trial: scored on inner splits alone, shared where nothing differs, ended early cleanly, resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.training.base import load_base
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.inputs import read_inputs
from models.training.progress import Progress
from models.training.trial import Listener, Outcome, Run, run_trial
from models.training.trial_tasks import FINAL, Tasks
from models.training.trunk_cache import shared_trunk
from tests.tiny_encoder import make_encoder, synthetic_letters, write_training_folder

SLOW = {"learning_rate": 1e-4, "lora_rank": 2}
FAST = {"learning_rate": 5e-3, "lora_rank": 4}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty synthetic letters for two folds."""
    folder = tmp_path_factory.mktemp("search")
    base = make_encoder(folder / "base")
    texts, labels = synthetic_letters(60)
    return write_training_folder(
        folder / "input", base, texts, labels, folds=2, epochs=2, wide=False, patience=9, batch_tokens=128
    )


def size_of(folder: Path) -> int:
    """Bytes in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir())


def tried(
    inputs: Path,
    shared: Path,
    work: Path,
    runs: Sequence[Run],
    prune: Callable[[str, int, float], bool] = lambda *_: False,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """Outcomes and events of a trial."""
    outcomes: list[Outcome] = []
    events: list[dict[str, Any]] = []
    run_trial(
        inputs, runs, shared, work, Listener(Progress(events.append, should_stop), prune, outcomes.append)
    )
    return outcomes, events


def test_a_run_is_scored_on_its_own_inner_split(inputs: Path, tmp_path: Path) -> None:
    runs = [
        Run("fold0", ("fold0",), FAST),
        Run("fold1", ("fold1",), SLOW),
        Run("all", ("fold0", "fold1"), FAST),
    ]
    outcomes, events = tried(inputs, tmp_path / "shared", tmp_path / "work", runs)
    assert [outcome.chooser for outcome in outcomes] == ["fold0", "fold1", "all"]
    assert [outcome.epochs for outcome in outcomes] == [2, 2, 4]
    assert all(0 < outcome.score <= 1 and outcome.pruned_at is None for outcome in outcomes)
    assert outcomes[2].score == pytest.approx(np.mean([entry["score"] for entry in outcomes[2].folds]))
    assert outcomes[2].folds[0]["score"] == outcomes[0].score  # the same fit
    told = [
        (event["chooser"], event["member"], event["epoch"]) for event in events if event["event"] == "epoch"
    ]
    assert told[:4] == [
        ("fold0", "fold0", 1),
        ("fold0", "fold0", 2),
        ("fold1", "fold1", 1),
        ("fold1", "fold1", 2),
    ]
    assert list((tmp_path / "work").iterdir()) == []  # no checkpoint is left


def test_held_out_rows_are_no_part_of_what_a_fold_chooses_by(inputs: Path, tmp_path: Path) -> None:
    data = read_inputs(inputs)
    encoder = load_base(data.request)
    trunk = shared_trunk(tmp_path, encoder, data.request, data.texts, lambda _: None)
    tasks = Tasks(data, encoder, trunk, tmp_path, Progress(lambda _: None, lambda: False))
    for fold in range(2):
        task = tasks.task(f"fold{fold}")
        held_out = np.flatnonzero(tasks._material.folds == fold)  # type: ignore[union-attr]
        touched = np.concatenate([task.fit_rows, task.check_rows])
        assert len(held_out)
        assert not set(touched) & set(held_out)
        assert not {data.groups[row] for row in touched} & {data.groups[row] for row in held_out}
        assert not {data.groups[row] for row in task.fit_rows} & {data.groups[row] for row in task.check_rows}
    final = tasks.task(FINAL)
    assert len(final.fit_rows) + len(final.check_rows) == len(data.texts)


def test_what_is_shared_is_made_once_and_is_the_same(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_inputs(inputs)
    data = replace(data, request=data.request.model_copy(update={"wide": True}))
    encoder = load_base(data.request)
    quiet = Progress(lambda _: None, lambda: False)
    built = shared_trunk(tmp_path, encoder, data.request, data.texts, lambda _: None)
    made = Tasks(data, encoder, built, tmp_path, quiet).task("fold0")
    monkeypatch.setattr("models.training.trunk_cache.build_trunk", None)
    monkeypatch.setattr("models.training.trial_tasks.member_task", None)
    read = shared_trunk(tmp_path, encoder, data.request, data.texts, lambda _: None)
    found = Tasks(data, encoder, read, tmp_path, quiet).task("fold0")
    assert np.array_equal(read.frozen, built.frozen)
    assert bool((read.hidden == built.hidden).all())
    for item in fields(built.windows):
        assert np.array_equal(getattr(read.windows, item.name), getattr(built.windows, item.name))
    for item in fields(made):
        if item.name != "epochs":  # the settings' own, put in by the trial
            assert np.array_equal(getattr(found, item.name), getattr(made, item.name)), item.name
    other = replace(data, request=data.request.model_copy(update={"seed": 5}))
    with pytest.raises(TypeError):  # another seed is another task, which would have to be made
        Tasks(other, encoder, read, tmp_path, quiet).task("fold0")


def test_the_cache_is_bounded(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_inputs(inputs)
    encoder = load_base(data.request)
    requests = [data.request.model_copy(update={"max_tokens": tokens}) for tokens in (16, 24, 32)]
    shared_trunk(tmp_path, encoder, requests[0], data.texts, lambda _: None)
    (oldest,) = tmp_path.glob("trunk-*")
    most = int(size_of(oldest) * 1.2)
    monkeypatch.setattr("models.training.trunk_cache.MOST_BYTES", most)
    for request in requests[1:]:
        shared_trunk(tmp_path, encoder, request, data.texts, lambda _: None)
        assert sum(map(size_of, tmp_path.glob("trunk-*"))) <= most
    assert not oldest.exists()
    kept = sorted(tmp_path.glob("trunk-*"))
    assert kept
    monkeypatch.setattr("models.training.trunk_cache.MOST_BYTES", 10)
    alone = data.request.model_copy(update={"max_tokens": 40})
    assert shared_trunk(tmp_path, encoder, alone, data.texts, lambda _: None).windows.texts == 60
    assert sorted(tmp_path.glob("trunk-*")) == kept  # it did not fit, and nothing had to go for it


def test_a_pruned_run_ends_with_the_best_so_far(inputs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def prune(chooser: str, step: int, score: float) -> bool:
        asked.append((chooser, step))
        assert 0 < score <= 1
        return chooser == "fold0"

    runs = [Run("fold0", ("fold0",), FAST), Run("fold1", ("fold1",), FAST)]
    (first, second), _ = tried(inputs, tmp_path / "shared", tmp_path / "work", runs, prune)
    assert asked == [("fold0", 1), ("fold1", 1), ("fold1", 2)]
    assert (first.pruned_at, first.epochs, second.pruned_at, second.epochs) == (1, 1, None, 2)
    assert 0 < first.score <= 1


def test_a_stopped_trial_goes_on_as_if_it_had_never_stopped(inputs: Path, tmp_path: Path) -> None:
    runs = [Run("fold0", ("fold0",), FAST)]
    undisturbed, _ = tried(inputs, tmp_path / "shared", tmp_path / "one", runs)
    epochs = iter([False] * 9 + [True] * 100)
    with pytest.raises(TrainingStoppedError):
        tried(inputs, tmp_path / "shared", tmp_path / "two", runs, should_stop=lambda: next(epochs))
    resumed, _ = tried(inputs, tmp_path / "shared", tmp_path / "two", runs)
    assert (resumed[0].score, resumed[0].loss, resumed[0].epochs) == (
        undisturbed[0].score, undisturbed[0].loss, undisturbed[0].epochs,
    )  # fmt: skip


def test_parameters_that_no_request_may_have_are_refused(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefusedError, match="learning_rate") as refused:
        tried(
            inputs, tmp_path / "shared", tmp_path / "work", [Run("fold0", ("fold0",), {"learning_rate": 7})]
        )
    assert refused.value.code == "request-invalid"
