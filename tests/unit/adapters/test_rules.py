"""When an adapter is promoted by itself."""

from __future__ import annotations

from typing import Any

import pytest

from app.adapters.gate import Present
from app.adapters.rules import macro_f1, promotion


def report(f1: float | None, *, beats: bool = True) -> dict[str, Any]:
    return {"macro": {"model": {"f1": f1}}, "verdict": {"beats_baselines": beats, "sentence": "It is so."}}


@pytest.mark.parametrize(
    ("new", "present", "promoted"),
    [
        (report(0.6), None, True),
        (report(0.6, beats=False), None, False),
        (report(0.9, beats=False), report(0.1), False),
        (report(0.6), report(0.5), True),
        (report(0.5), report(0.5), True),
        (report(0.4), report(0.5), False),
        (report(0.4), {}, True),
        ({}, None, False),
    ],
)
def test_what_beats_the_baselines_and_is_not_worse_is_promoted(
    new: dict[str, Any], present: dict[str, Any] | None, promoted: bool
) -> None:
    decision = promotion(new, None if present is None else Present(present))
    assert decision.promoted is promoted
    assert decision.reason.startswith("Promoted" if promoted else "Not promoted")


def test_an_adapter_of_fewer_options_does_not_replace_one_of_more() -> None:
    """A high score on one easy option is no reason to stop answering the others."""
    decision = promotion(report(0.9), Present(report(0.5), ["remorse"]))
    assert not decision.promoted
    assert "'remorse'" in decision.reason


def test_the_reason_quotes_the_report() -> None:
    assert "It is so." in promotion(report(0.6, beats=False), None).reason
    assert "0.400" in promotion(report(0.4), Present(report(0.5))).reason


def test_a_score_that_is_no_number_is_none() -> None:
    assert macro_f1({}) is None
    assert macro_f1(report(None)) is None
    assert macro_f1(report(float("nan"))) is None
