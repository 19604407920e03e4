"""What a report says of its scope: how many items of how many, and whose word it is that they were not seen."""

from __future__ import annotations

from typing import Any

import pytest

from app.evaluations.words import ran_words, scope_words


def report(**changed: Any) -> dict[str, Any]:
    held = {"of": 24, "seen": 0, "repeated": 0, "known": True, "vouched": False} | changed.pop("held", {})
    scope = {"rows": 20, "groups": 7, "asked": 20, "seed": 3} | changed.pop("scope", {})
    return {"task": "summarize", "scope": scope, "held_out": held, "adapter": None} | changed


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (report(), "20 of 24 pairs of text and summary, of 7 groups, drawn by the seed 3."),
        (report(scope={"asked": "all"}), "20 of 24 pairs of text and summary, of 7 groups."),
        (report(scope={"asked": 500}), "20 of 24 pairs of text and summary, of 7 groups, all that there are; 500 were asked for."),
        (
            report(adapter={"id": "a"}, held={"seen": 4}, task="causal"),
            "20 of 24 documents, of 7 groups, drawn by the seed 3. 4 were left out, because the adapter had seen them, their groups or near duplicates.",
        ),
        (
            report(adapter={"id": "a"}, compare_with={"id": "b"}, held={"vouched": True, "known": False}, scope={"groups": 1}),
            (
                "20 of 24 pairs of text and summary, of 1 group, drawn by the seed 3. An adapter does not say what it was trained on. "
                "That it has seen none of these texts is the word of whoever asked for this."
            ),
        ),
    ],
)  # fmt: skip
def test_the_scope_in_words(given: dict[str, Any], expected: str) -> None:
    assert scope_words(given) == expected


def test_what_ran_in_words() -> None:
    ran = {"cut": 2, "whole": 1_200, "none": 3}
    told = ran_words({"ran": ran, "failures": {"prompt-too-long": 2, "no-room": 1}})
    assert told == "Texts: 1,200 read whole, 2 cut, 3 failed. Failed: 1 no-room, 2 prompt-too-long."


def test_a_script_that_the_model_cannot_read_is_named() -> None:
    assert "no token" not in ran_words({"ran": {"cut": 1}, "unknown_share": 0.01})
    assert "no token for 62% of the texts (another script?)" in ran_words({"ran": {"cut": 1}, "unknown_share": 0.62})  # fmt: skip
