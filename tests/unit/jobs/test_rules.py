"""The job's state machine."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from app.jobs.rules import EDGES, FINAL, LeaseLost, State, after_early_end, check_edge, eta_seconds, is_final


def test_final_states_have_no_way_out() -> None:
    assert not {before for before, _after in EDGES} & FINAL
    assert {state for state in State if is_final(state)} == {State.SUCCEEDED, State.FAILED, State.CANCELLED}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_drawn_edges_are_taken(before: State, after: State) -> None:
    if (before, after) in EDGES:
        check_edge(before, after)
    else:
        with pytest.raises(LeaseLost, match=f"{before} cannot become {after}"):
            check_edge(before, after)


def early_end(**given: object) -> State:
    values = {"cancel_requested": False, "counted": True, "attempts_since_checkpoint": 1, "max_attempts": 3}
    return after_early_end(**(values | given))  # type: ignore[arg-type]


def test_an_attempt_that_ends_early_is_tried_again_until_none_are_left() -> None:
    assert [early_end(attempts_since_checkpoint=n) for n in (0, 1, 2, 3, 4)] == [
        State.QUEUED, State.QUEUED, State.QUEUED, State.FAILED, State.FAILED,
    ]  # fmt: skip


def test_an_orderly_shutdown_is_nobodys_failure() -> None:
    assert early_end(attempts_since_checkpoint=9, counted=False) is State.QUEUED


def test_cancel_wins_over_everything() -> None:
    assert early_end(cancel_requested=True, attempts_since_checkpoint=9) is State.CANCELLED
    assert early_end(cancel_requested=True, counted=False) is State.CANCELLED


def test_a_pause_waits_and_loses_to_a_cancellation_and_to_the_last_attempt() -> None:
    assert early_end(pause_requested=True, counted=False, attempts_since_checkpoint=9) is State.PAUSED
    assert early_end(pause_requested=True) is State.PAUSED
    assert early_end(pause_requested=True, cancel_requested=True) is State.CANCELLED
    assert early_end(pause_requested=True, attempts_since_checkpoint=3) is State.FAILED


def test_the_document_draws_every_edge() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "jobs.md").read_text()
    for before, after in EDGES:
        rows = [line for line in page.splitlines() if line.startswith("|") and f"{before} →" in line]
        assert any(after in line.split("|")[1] for line in rows), f"{before} → {after}"


def test_time_left_follows_the_pace_so_far() -> None:
    assert eta_seconds(25, 100, 10) == 30
    assert eta_seconds(0, 100, 10) is None
    assert eta_seconds(100, 100, 10) == 0
