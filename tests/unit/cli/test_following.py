"""What `remand jobs follow` says of a job's result."""

from __future__ import annotations

import pytest

from app.cli.train import _result_lines


@pytest.mark.parametrize(
    ("result", "first"),
    [
        ({"adapter_id": "adp_1", "promotion": "Promoted."}, "adp_1: Promoted."),
        ({"adapter_id": "adp_2", "task": "causal", "sentence": "Perplexity fell."}, "adp_2: Perplexity fell."),
        ({"words": "smp_1: 20 of 100 texts."}, "smp_1: 20 of 100 texts."),
    ],
)  # fmt: skip
def test_every_result_has_words(result: dict[str, str], first: str) -> None:
    assert _result_lines(result)[0] == first
