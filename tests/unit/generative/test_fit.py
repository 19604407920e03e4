"""The shared loop: resumed bit-equal, stopped early on other documents, halved when memory runs out, and never silently wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.generative.fit import FitSettings, Signals, Task, fit, micro_batches, rate_at, units_of
from models.training.errors import TrainingRefusedError, TrainingStoppedError

SETTINGS = FitSettings(
    steps=12, steps_per_epoch=4, units_per_step=3, learning_rate=0.05, schedule="cosine", seed=3
)


def heard(events: list[tuple[str, dict[str, Any]]], check: Any = lambda: None) -> Signals:
    return Signals(lambda name, **data: events.append((name, data)), lambda _: None, check, lambda: events.append(("activations", {})))  # fmt: skip


def parameters() -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    return {"w": nn.Parameter(torch.randn(4))}


def task_of(trained: dict[str, nn.Parameter], stopping: Any = None, fails: Any = lambda _: None) -> Task:
    """Twelve units whose loss is the squared distance of the weight from a target of their own."""
    targets = torch.from_numpy(np.random.default_rng(5).normal(size=(12, 4)).astype(np.float32))

    def loss(units: Sequence[int]) -> torch.Tensor:
        fails(units)
        return ((trained["w"] - targets[list(units)]) ** 2).sum()

    return Task(np.arange(12, 0, -1), np.ones(12, dtype=np.int64), loss, stopping)


def run(path: Path, stopping: Any = None, settings: FitSettings = SETTINGS, micro: int = 3, **given: Any) -> tuple[torch.Tensor, list[dict[str, Any]], list[Any]]:  # fmt: skip
    trained, events = parameters(), []
    task = task_of(trained, stopping(trained) if stopping else None, given.get("fails", lambda _: None))
    history = fit(task, trained, settings, micro, path, heard(events, given.get("check", lambda: None)))
    return trained["w"].detach().clone(), history, events


def distance(trained: dict[str, nn.Parameter]) -> Any:
    return lambda check: float((trained["w"] ** 2).sum().detach())


@pytest.mark.parametrize("after", [1, 5, 17, 30])
def test_a_stopped_fit_goes_on_bit_equal(tmp_path: Path, after: int) -> None:
    """Whenever it is stopped, within a step or between two, weights and every epoch's losses are those of an undisturbed fit."""
    wanted, curve, _ = run(tmp_path / "whole.pt", distance, micro=1)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise TrainingStoppedError("stop")

    with pytest.raises(TrainingStoppedError):
        run(tmp_path / "stopped.pt", distance, micro=1, check=check)
    found, resumed, _ = run(tmp_path / "stopped.pt", distance, micro=1)
    assert torch.equal(found, wanted)
    assert resumed == curve
    assert not list(tmp_path.glob(".*partial"))


def test_the_micro_batch_does_not_change_the_step(tmp_path: Path) -> None:
    one, three = run(tmp_path / "1.pt", micro=1)[0], run(tmp_path / "3.pt", micro=3)[0]
    torch.testing.assert_close(one, three)


def test_out_of_memory_halves_the_micro_batch_then_keeps_fewer_activations(tmp_path: Path) -> None:
    asked: list[int] = []

    def fails(units: Sequence[int]) -> None:
        asked.append(len(units))
        if len(units) > 1 or len(asked) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    settings = FitSettings(4, 4, 3, 0.05, "cosine", 3)
    found, _, events = run(tmp_path / "a.pt", settings=settings, fails=fails)
    told = [
        (name, data.get("micro_batch")) for name, data in events if name in {"out_of_memory", "activations"}
    ]
    assert told == [("out_of_memory", 1), ("activations", None), ("out_of_memory", 1)]
    torch.testing.assert_close(found, run(tmp_path / "b.pt", settings=settings)[0])


def test_a_unit_that_never_fits_is_refused(tmp_path: Path) -> None:
    def fails(_units: Sequence[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingRefusedError, match="smaller base model") as refused:
        run(tmp_path / "a.pt", fails=fails)
    assert refused.value.code == "out-of-memory"


def test_the_best_epoch_is_kept_and_a_fit_that_gets_worse_ends(tmp_path: Path) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    kept: list[torch.Tensor] = []

    def stopping(trained: dict[str, nn.Parameter]) -> Any:
        def measured(_check: Any) -> float:
            kept.append(trained["w"].detach().clone())
            return next(losses)

        return measured

    settings = FitSettings(20, 4, 3, 0.05, "linear", 3)
    found, history, _ = run(tmp_path / "a.pt", stopping, settings)
    assert [(entry["epoch"], entry["best"]) for entry in history] == [
        (0, True),
        (1, True),
        (2, False),
        (3, False),
    ]
    assert torch.equal(found, kept[1])
    assert not torch.equal(found, kept[3])


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefusedError, match="lower learning rate"):
        run(tmp_path / "a.pt", lambda _trained: lambda _check: math.nan)


def test_every_epoch_reads_every_unit_once_in_an_order_of_its_own() -> None:
    epochs = [
        np.concatenate([units_of(4 * epoch + step, SETTINGS, 12) for step in range(4)]) for epoch in range(2)
    ]
    assert all(sorted(order) == list(range(12)) for order in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    parts = list(micro_batches(np.array([4, 0, 9]), np.arange(12), 2))
    assert parts == [[9, 4], [0]]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_warms_up_and_decays_to_nothing(schedule: str) -> None:
    settings = FitSettings(100, 10, 1, 1.0, schedule, 0)
    rates = [rate_at(step, settings) for step in range(100)]
    assert rates[5] == max(rates) == 1.0
    assert rates[0] < rates[3]
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert 0 < rates[-1] < 0.02
