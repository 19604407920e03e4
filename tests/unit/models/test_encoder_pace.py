"""How windows are put into batches: what was measured decides, what the operator says comes first."""

import itertools

import pytest
import torch

from models.encoder import pace
from models.encoder.load import load_encoder
from models.encoder.pace import CPU_BUDGETS, Batching, chosen_batching, typical_windows, usual_batching
from tests.tiny_encoder import make_encoder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return load_encoder(make_encoder(tmp_path_factory.mktemp("pace") / "bert"), "cpu", torch.float32)


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return load_encoder(make_encoder(tmp_path_factory.mktemp("pace") / "t5", "t5"), "cpu", torch.float32)


@pytest.fixture
def measured(monkeypatch):
    """Lets the tests say how fast each arm is."""

    def say(speeds):
        monkeypatch.setattr(
            pace,
            "measured_speeds",
            lambda _encoder, arms, *_: {arm: speeds[arm] for arm in arms if arm in speeds},
        )

    return say


def test_the_fastest_arm_is_taken(bert, measured):
    measured({(True, 512): 10.0, (True, 1024): 20.0, (False, 512): 9.0, (False, 1024): 30.0})
    found = chosen_batching(bert)
    assert (found.flat, found.tokens) == (False, 1024)
    assert ("flat", 1024, 20) in found.speeds


def test_of_equals_the_flat_and_then_the_small_one(bert, measured):
    measured({(True, 512): 98.0, (True, 1024): 99.0, (False, 512): 100.0})
    assert chosen_batching(bert) == Batching(
        True, 512, (("padded", 512, 100), ("flat", 512, 98), ("flat", 1024, 99))
    )


def test_the_operator_decides_first(bert, t5):
    assert chosen_batching(bert, "padded", 700) == Batching(False, 700)
    assert chosen_batching(bert, "flat", 700) == Batching(True, 700)
    assert chosen_batching(t5, "flat", 700) == Batching(False, 700)


def test_what_cannot_be_computed_here_is_not_chosen(bert, monkeypatch):
    seconds = pace._seconds

    def without_flat(encoder, windows, arm, clock):
        if arm[0]:
            raise RuntimeError("no kernel image is available")
        return seconds(encoder, windows, arm, clock)

    monkeypatch.setattr(pace, "_seconds", without_flat)
    assert not chosen_batching(bert).flat
    monkeypatch.setattr(pace, "_possible", lambda *_: False)
    assert chosen_batching(bert) == Batching(False, usual_batching(bert).tokens)


def test_measuring_ends_and_covers_each_arm(bert, t5):
    ticks = itertools.count()
    found = chosen_batching(bert, seconds=5, clock=lambda: float(next(ticks)))
    assert {(name, budget) for name, budget, _ in found.speeds} == {
        (name, budget) for name in ("flat", "padded") for budget in CPU_BUDGETS
    }
    assert all(speed > 0 for _, _, speed in found.speeds)
    assert found.tokens in CPU_BUDGETS
    only_padded = chosen_batching(t5, seconds=0)
    assert {name for name, _, _ in only_padded.speeds} == {"padded"}


def test_windows_to_measure_with_are_the_models_own(bert):
    windows = typical_windows(bert, 2000)
    assert windows.tokens >= 2000
    assert windows.lengths.max() <= bert.max_tokens
    assert windows.ids.max() < bert.model.config.vocab_size
