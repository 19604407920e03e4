"""The demo's claim: how many of the labels it points at are truly wrong, beside what random reading finds."""

from __future__ import annotations

from app.cli.demo_check import check, is_wrong

TRUTH = {("a", "remorse"): True, ("a", "health"): False, ("b", "remorse"): False, ("b", "health"): False}
IN_FORCE = {("a", "remorse"): False, ("a", "health"): False, ("b", "remorse"): False, ("b", "health"): True}


def suspect(letter: str, option: str, value: str) -> dict[str, str]:
    return {"external_id": letter, "option": option, "human_value": value}


def test_a_label_is_wrong_when_it_differs_from_the_truth() -> None:
    assert is_wrong(suspect("a", "remorse", "no"), TRUTH)
    assert not is_wrong(suspect("a", "health", "no"), TRUTH)
    assert is_wrong(suspect("b", "health", "yes"), TRUTH)


def test_random_reading_finds_the_base_rate() -> None:
    found = check([suspect("a", "remorse", "no"), suspect("b", "remorse", "no")], IN_FORCE, TRUTH)
    assert (found.read, found.wrong, found.labels, found.wrong_labels) == (2, 1, 4, 2)
    assert found.random_finds == 1.0


def test_nothing_labelled_claims_nothing() -> None:
    assert check([], {}, TRUTH).random_finds == 0.0
