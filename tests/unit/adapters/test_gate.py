"""The gate: every check says yes, no or that it had nothing to go by, with its numbers."""

from __future__ import annotations

from typing import Any

import pytest

from app.adapters.gate import Check, GateRules, Present, passed, run_checks
from app.adapters.rules import promotion

GOOD = {
    "macro": {"model": {"f1": 0.6}},
    "verdict": {"beats_baselines": True, "sentence": "It is so.", "comparisons": []},
}


def option(key: str, difference: float, interval: list[float] | None) -> dict[str, Any]:
    return {"key": key, "f1": {"difference": difference, "interval": interval}}


def by_name(checks: tuple[Check, ...]) -> dict[str, bool | None]:
    return {check.name: check.passed for check in checks}


@pytest.mark.parametrize(
    ("difference", "interval", "fails"),
    [
        (-0.08, [-0.12, -0.01], True),
        (-0.08, [-0.20, 0.02], False),  # more than the margin, but within chance
        (-0.04, [-0.05, -0.01], False),  # surely worse, but within the margin
        (-0.08, None, False),  # too few positives for an interval
        (0.1, [0.05, 0.2], False),
    ],
)
def test_an_option_fails_when_it_is_worse_by_more_than_the_margin_and_beyond_chance(
    difference: float, interval: list[float] | None, fails: bool
) -> None:
    options = [option("remorse", difference, interval), option("youth", 0.2, [0.1, 0.3])]
    report = GOOD | {"paired": {"tfidf": {"options": options}}}
    checks = run_checks(report, None)
    assert by_name(checks) == {"beats-baselines": True, "options-against-tfidf": not fails}
    assert passed(checks) is not fails
    check = checks[1]
    assert [row["worse"] for row in check.numbers["options"]] == [fails, False]
    assert ("remorse" in check.words) is fails
    again = run_checks(GOOD, Present(GOOD, (), {"options": options}))
    assert by_name(again)["options-against-promoted"] is not fails


def test_the_margin_is_the_operator_s_and_options_can_be_left_unchecked() -> None:
    report = GOOD | {"paired": {"tfidf": {"options": [option("remorse", -0.08, [-0.1, -0.06])]}}}
    assert not promotion(report).promoted
    assert promotion(report, None, GateRules(margin=0.1)).promoted
    assert promotion(report, None, GateRules(options=False)).promoted
    waiting = promotion(report, None, GateRules(margin=0.1, automatic=False))
    assert not waiting.promoted
    assert "passes every check" in waiting.reason


def test_on_the_same_cells_the_reports_own_numbers_do_not_count() -> None:
    better_elsewhere = {"macro": {"model": {"f1": 0.9}}}
    same = {
        "macro": {"f1": {"first": 0.6, "second": 0.55, "difference": 0.05, "interval": [0.0, 0.1]}},
        "options": [],
    }
    assert by_name(run_checks(GOOD, Present(better_elsewhere, (), same)))["macro-against-promoted"]
    assert by_name(run_checks(GOOD, Present(better_elsewhere)))["macro-against-promoted"] is False


def test_what_cannot_be_checked_is_said_and_holds_nobody_back() -> None:
    checks = run_checks(GOOD, Present({}))
    assert by_name(checks) == {
        "beats-baselines": True,
        "options-against-tfidf": None,
        "no-option-lacking": True,
        "macro-against-promoted": None,
        "options-against-promoted": None,
    }
    assert passed(checks)
    assert all("Not checked" in check.words for check in checks if check.passed is None)
    assert checks[1].to_document()["passed"] is None


def test_a_report_that_shows_nothing_does_not_pass() -> None:
    assert by_name(run_checks({}, None)) == {"beats-baselines": False, "options-against-tfidf": None}


LUCKY = GOOD | {"macro": {"model": {"f1": 0.9}}, "search": {"nested": False}}
HONEST = GOOD | {"search": {"nested": True}}


@pytest.mark.parametrize("present", [GOOD, HONEST])
def test_a_score_that_is_too_good_takes_no_honest_one_s_place(present: dict[str, Any]) -> None:
    decision = promotion(LUCKY, Present(present))
    assert not decision.promoted
    assert [check.name for check in decision.checks if check.passed is False] == ["honest-score"]
    assert "search that was not nested" in decision.reason
    assert "override" in decision.reason
    assert promotion(HONEST | {"macro": {"model": {"f1": 0.9}}}, Present(present)).promoted


def test_a_score_that_is_too_good_is_said_where_nobody_suffers_from_it() -> None:
    first = promotion(LUCKY)
    assert first.promoted
    assert by_name(first.checks)["honest-score"] is None
    second = promotion(LUCKY, Present(LUCKY))
    assert second.promoted
    assert by_name(second.checks)["honest-score"]
    assert all("a little too good" in decision.reason for decision in (first, second))


def test_against_a_score_that_is_too_good_the_gate_says_so() -> None:
    decision = promotion(HONEST, Present(LUCKY))
    assert not decision.promoted
    assert "The latter is a little too good" in decision.reason
    assert "honest-score" not in by_name(decision.checks)
