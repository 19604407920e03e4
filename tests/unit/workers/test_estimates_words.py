"""The methods paragraph claims no blind reading, and no adjudicator, that there was not."""

from __future__ import annotations

from typing import Any

from workers.estimates.words import methods


def document(**sample: Any) -> dict[str, Any]:
    about = {
        "frame": 5000,
        "drawn": 400,
        "strata": 1,
        "seed": 7,
        "readers": 2,
        "adjudicator": True,
        "readings": 800,
        "not_blind": 0,
    }
    return {"audit_sample": about | sample, "run": None, "cluster_by": None, "level": 0.95, "analyses": []}


def test_who_read_and_whether_they_had_seen_the_labels_is_said() -> None:
    clean = methods(document())
    assert "read blind by two readers and an adjudicator." in clean
    assert "shown labels" not in clean
    alone = methods(document(adjudicator=False, not_blind=12))
    assert "adjudicator" not in alone
    assert (
        "In 12 of 800 readings the reader had been shown labels or probabilities of the text, or had decided on it, before; these were not blind."
        in alone
    )
    assert "read blind by one reader" in methods(document(readers=1, adjudicator=False))
