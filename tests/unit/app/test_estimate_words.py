"""What estimates say of themselves: digits that the interval is worth, and readers who were not blind."""

from __future__ import annotations

from typing import Any

import pytest

from app.estimates.figures import told
from workers.estimates.words import methods

SAMPLE = {
    "frame": 400, "drawn": 100, "strata": 1, "seed": 3, "readers": 2, "adjudicator": True, "readings": 230, "not_blind": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (2016.3049, 2016.1, 2016.51, "2016.305"),
        (0.53112, 0.4665, 0.5957, "0.531"),
        (-0.0000213, -0.00003, -0.00001, "-0.0000213"),
        (15230.2, 12000.0, 18000.0, "15230"),
        (None, None, None, "–"),
        (0.25, None, None, "0.25"),
    ],
)
def test_numbers_have_the_digits_that_their_interval_is_worth(
    value: float | None, low: float | None, high: float | None, expected: str
) -> None:
    assert told(value, low, high) == expected


def paragraph(**sample: Any) -> str:
    return methods(
        {"audit_sample": SAMPLE | sample, "run": None, "cluster_by": None, "level": 0.95, "analyses": []}
    )


def test_methods_name_the_readers_there_were() -> None:
    assert "read blind by two readers and an adjudicator." in paragraph()
    assert "read blind by two readers." in paragraph(adjudicator=False)
    assert "read blind by one reader." in paragraph(readers=1, adjudicator=False)


def test_methods_do_not_call_a_reading_blind_that_was_not() -> None:
    assert "not blind" not in paragraph()
    assert "In 24 of 230 readings the reader had been shown labels" in paragraph(not_blind=24)
