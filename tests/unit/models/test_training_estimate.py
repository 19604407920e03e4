"""The arithmetic of estimates, worked out by hand, and what would fit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from models.training.estimate import Measured, Size, disk_bytes, estimate, memory_bytes, tokens_of, what_fits

SIZE = Size(
    texts=1000, tokens=200_000, characters=900_000, options=10, hidden=384, layers=6, heads=12, base_bytes=90 << 20,
    folds=5,
)  # fmt: skip
MEASURED = Measured(
    tokens_per_second=10_000.0, trunk_tokens_per_second=20_000.0, start_seconds=4.0, baseline_seconds=2.0,
    baseline_seconds_per_cell=0.001,
    end_seconds=6.0, characters_per_token=4.5, memory_bytes=1 << 30, reads={"5": 8.52, "2": 2.88}, folds=5, epochs=3,
    max_windows=8, hidden=384, layers=6, heads=12, base_bytes=90 << 20, trained_layers=1, max_tokens=256,
    batch_tokens=2048,
)  # fmt: skip


def test_seconds_are_start_trunk_epochs_baselines_and_end() -> None:
    found = estimate(SIZE, MEASURED, epochs=3)
    # 4 + 200,000 / 20,000 + 6 × (2 + 1,000 × 10 × 0.001) + 6, and three epochs of 200,000 × 8.52 / 10,000
    assert found.seconds == pytest.approx(4 + 10 + 72 + 6 + 3 * 170.4, abs=0.1)
    assert (found.epochs, found.tokens) == (3, 200_000 + 3 * 1_704_000)
    assert found.low_seconds < found.start_kept_seconds < found.seconds < found.high_seconds


@pytest.mark.parametrize(("patience", "epochs", "inner_epochs"), [(1, 3, 1), (2, 3, 2), (9, 3, 3)])
def test_where_no_epoch_beats_the_start_only_inner_parts_are_read(
    patience: int, epochs: int, inner_epochs: int
) -> None:
    found = estimate(SIZE, MEASURED, epochs=epochs, patience=patience)
    # 8.52 = 4 × (0.88 + 1) + 1: of five folds the inner parts are 4 × 0.88 of the texts
    assert found.start_kept_seconds == pytest.approx(92 + inner_epochs * 200_000 * 4 * 0.88 / 10_000, abs=0.1)
    assert found.low_seconds == pytest.approx(0.5 * found.start_kept_seconds, abs=0.1)


@pytest.mark.parametrize(("budget", "epochs"), [(10_000, 3), (600, 2), (300, 1), (1, 1)])
def test_a_time_budget_cuts_epochs_and_never_below_one(budget: float, epochs: int) -> None:
    # 85 % of the budget, less the 92 s that are needed in any case, in epochs of 170.4 s
    assert estimate(SIZE, MEASURED, epochs=3, time_budget_seconds=budget).epochs == epochs


def test_a_probe_has_no_epochs() -> None:
    found = estimate(replace(SIZE, method="probe"), MEASURED, epochs=3)
    assert (found.seconds, found.start_kept_seconds) == (92, 92)


def test_long_texts_are_read_in_overlapping_windows() -> None:
    # 42 characters are 10 tokens and two special ones; 100 tokens are windows of 30 + 2, each after the first 27 further
    assert tokens_of({42: 5}, 4.2, 32, 8) == 5 * 12
    assert tokens_of({420: 1}, 4.2, 32, 8) == (100 + 3 * 3) + 4 * 2
    assert tokens_of({4200: 1}, 4.2, 32, 2) == 2 * 30 + 2 * 2


def test_more_takes_more() -> None:
    for bigger in (
        {"trained_layers": 4},
        {"max_tokens": 512},
        {"texts": 5000},
        {"base_bytes": 1 << 30},
        {"rank": 64},
    ):
        assert memory_bytes(replace(SIZE, **bigger)) > memory_bytes(SIZE)  # type: ignore[arg-type]
    assert disk_bytes(replace(SIZE, trunk_bytes=0)) - disk_bytes(SIZE) == 200_000 * 384 * 2


def test_what_fits_changes_no_more_than_is_needed() -> None:
    big = replace(SIZE, texts=30_000, tokens=9_000_000, characters=40_000_000, trained_layers=6)
    needed = memory_bytes(big)
    assert what_fits(big, 2 * needed) == {}
    first = what_fits(big, int(needed * 0.9))
    assert first is not None
    assert set(first) == {"memory_bytes"}
    further = what_fits(big, 1600 << 20)
    assert further is not None
    assert (further["memory_bytes"], further["max_tokens"]) == (0, 32)
    changed = replace(big, trunk_bytes=0, max_tokens=32, trained_layers=further.get("trained_layers", 6))
    part = further.get("limit", big.texts) / big.texts
    fitting = replace(
        changed,
        texts=int(big.texts * part),
        tokens=int(big.tokens * part),
        characters=int(big.characters * part),
    )
    assert memory_bytes(fitting) <= 0.8 * (1600 << 20)
    assert what_fits(big, 100 << 20) is None


def test_documents_lead_back() -> None:
    assert Size.from_document(SIZE.to_document() | {"of_another_version": 1}) == SIZE
    assert Measured.from_document(MEASURED.to_document()) == MEASURED


def test_the_arithmetic_needs_no_torch() -> None:
    program = "import sys, models.training.estimate; print('torch' in sys.modules, 'numpy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == ["False", "False"]
