"""The arithmetic of generative estimates, worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from models.generative.estimate import (
    GenerativeMeasured,
    GenerativeSize,
    disk_bytes,
    divided,
    document_tokens,
    estimate_generative,
    memory_bytes,
    pair_tokens,
)

SIZE = GenerativeSize("causal", documents=100, characters=4_000_000, tokens=1_000_000, held_out_share=0.1)
MEASURED = GenerativeMeasured(
    tokens_per_second=1000.0, read_tokens_per_second=4000.0, seconds_per_summary=0.0, start_seconds=10.0,
    prepare_seconds_per_character=1e-6, end_seconds=13.0, characters_per_token=4.0, target_characters_per_token=3.0,
    extra_tokens=2, memory_bytes=8 << 30, loaded_bytes=3 << 30, device_memory_bytes=0, device_loaded_bytes=0,
    trained_weights=1_000_000, layers=2, block_tokens=2000, epochs=3, patience=2, stopping_share=0.1, fewest_for_stopping=10,
)  # fmt: skip


def test_documents_are_held_out_and_a_tenth_of_the_rest_stops_training() -> None:
    parts = divided(SIZE, MEASURED)
    assert (parts.train, parts.stopping, parts.held_out) == (81, 9, 10)
    few = divided(replace(SIZE, documents=10, held_out_share=0.2), MEASURED)
    assert (few.train, few.stopping, few.held_out) == (8, 0, 2)
    two = divided(replace(SIZE, documents=2), MEASURED)
    assert (two.train, two.stopping, two.held_out) == (1, 0, 1)


def test_seconds_are_start_reading_epochs_and_end() -> None:
    found = estimate_generative(SIZE, MEASURED, epochs=3)
    # 10 + 4 to start and prepare, twice 100,000 held-out tokens, four looks at 90,000, three epochs of 810,000, 13 to end
    assert found.seconds == pytest.approx(14 + 2 * 25 + 4 * 22.5 + 3 * 810 + 13)
    # the fit ends after two epochs that are no better than the start
    assert found.start_kept_seconds == pytest.approx(14 + 2 * 25 + 3 * 22.5 + 2 * 810 + 13)
    # 810,000 tokens are 405 blocks, eight of them a step
    assert (found.epochs, found.steps, found.tokens_read) == (3, 3 * 51, 3 * 810_000)
    assert (found.low_seconds, found.high_seconds) == (
        pytest.approx(0.5 * found.start_kept_seconds, abs=0.1),
        pytest.approx(1.6 * found.seconds, abs=0.1),
    )


def test_without_early_stopping_there_is_one_figure() -> None:
    found = estimate_generative(
        replace(SIZE, documents=8, tokens=80_000, characters=320_000), MEASURED, epochs=5
    )
    assert found.start_kept_seconds == found.seconds


@pytest.mark.parametrize("budget", [2000.0, 900.0, 1.0])
def test_a_time_budget_cuts_steps_as_the_job_itself_will(budget: float) -> None:
    found = estimate_generative(SIZE, MEASURED, epochs=3, time_budget_seconds=budget)
    assert 1 <= found.steps < 153
    assert found.epochs == pytest.approx(found.steps / 51, abs=0.01)
    if budget > 1000:
        assert 0.8 * budget < found.seconds < 1.1 * budget


def test_summaries_are_written_twice_for_the_pairs_held_out() -> None:
    pairs = replace(SIZE, task="summarize", rouge_pairs=4)
    slow = replace(MEASURED, seconds_per_summary=2.0, block_tokens=0)
    plain = estimate_generative(replace(pairs, rouge_pairs=0), slow, epochs=1)
    assert estimate_generative(pairs, slow, epochs=1).seconds - plain.seconds == pytest.approx(2 * 4 * 2.0)
    many = estimate_generative(replace(pairs, rouge_pairs=1000), slow, epochs=1)
    assert many.seconds - plain.seconds == pytest.approx(2 * 10 * 2.0)
    assert plain.steps == 41  # 81 pairs, two a step


def test_tokens_go_by_lengths_and_what_is_cut_is_not_counted() -> None:
    assert document_tokens([40, 4], MEASURED) == 12 + 3
    assert pair_tokens([(40, 9), (4000, 900)], MEASURED, (100, 50)) == (12 + 4) + (100 + 50)


def test_memory_is_that_of_training_or_of_the_reload_check() -> None:
    kept = 4 * SIZE.characters + 8 * SIZE.tokens + 8 * 1_000_000
    assert memory_bytes(SIZE, MEASURED) == kept + (8 << 30)
    assert memory_bytes(SIZE, replace(MEASURED, loaded_bytes=6 << 30)) == kept + (12 << 30)
    on_gpu = replace(MEASURED, device_memory_bytes=9 << 30, device_loaded_bytes=5 << 30)
    assert estimate_generative(SIZE, on_gpu, epochs=1).device_memory_bytes == 10 << 30
    assert disk_bytes(SIZE, MEASURED) == 4 * SIZE.characters + 4 * 1_000_000 * 11


def test_documents_lead_back() -> None:
    assert GenerativeMeasured.from_document(MEASURED.to_document()) == MEASURED


def test_the_arithmetic_needs_no_torch() -> None:
    program = "import sys, models.generative.estimate; print('torch' in sys.modules, 'numpy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == ["False", "False"]
