"""Which devices a trainer may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.jobs.kinds import KINDS, QUEUES, from_words, job_path
from app.settings import Settings
from workers.devices import Device, device_names, wanted_device


def settings(device: str) -> Settings:
    return Settings(device=device, _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


def test_every_gpu_is_a_device(two_gpus: Path) -> None:
    assert device_names(settings("auto"), two_gpus) == ("0", "1")
    assert device_names(settings("cpu"), two_gpus) == ("cpu",)
    assert device_names(settings("auto"), two_gpus, wanted="cpu") == ("cpu",)
    assert device_names(settings("auto"), two_gpus, wanted="cuda") == ("0", "1")


@pytest.mark.parametrize(
    ("visible", "expected"), [("1", ("1",)), ("", ("cpu",)), ("-1", ("cpu",)), ("0, 3", ("0", "3"))]
)
def test_the_operator_says_which_gpus_are_ours(
    two_gpus: Path, monkeypatch: pytest.MonkeyPatch, visible: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device_names(settings("auto"), two_gpus) == expected


def test_without_a_gpu_the_processor_is_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device_names(settings("auto"), tmp_path) == ("cpu",)
    assert device_names(settings("auto"), tmp_path, wanted="cuda") == ("cuda",)


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"device": "cpu"}, "cpu"),
        ({}, "auto"),
        ({"search_id": "job_1", "request": {"device": "cuda"}}, "cuda"),
        ({"search_id": "job_1", "request": {}}, "auto"),
    ],
)
def test_a_trial_asks_for_what_its_search_asked_for(params: dict[str, Any], wanted: str) -> None:
    assert wanted_device(params) == wanted


def test_a_child_sees_only_its_own_gpu() -> None:
    assert Device("1", "trainer:here:1", "me").environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert Device("cpu", "trainer:here:cpu", "me").environment == {}
    assert Device("cuda", "trainer:here:cuda", "me").environment == {}


def test_kinds_say_where_a_job_lives() -> None:
    assert job_path("train", "job_1") == "/train-jobs/job_1"
    assert set(QUEUES) == {kind.queue for kind in KINDS.values()}
    assert [kind.name for kind in KINDS.values() if kind.trainer] == [
        "train",
        "trial",
        "evaluate",
        "measure",
    ]
    assert [(kind.name, kind.trainer) for kind in from_words("a=x.y,b=x.z:trainer")] == [
        ("a", False),
        ("b", True),
    ]
