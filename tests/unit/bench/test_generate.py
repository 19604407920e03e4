"""The generation benchmark asks both sides for the same, and gets the same texts from both."""

from __future__ import annotations

import json

import pytest

from bench.generate import main


@pytest.mark.parametrize("family", ["t5", "gptj", "llama"])
def test_both_sides_write_the_same_texts_of_mixed_lengths(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--shape", "tiny", "--family", family, "--batch", "4", "--count", "9", "--device", "cpu", "--prompt", "2", "20", "--written", "3", "25"]  # fmt: skip
    found = {}
    for who in ("plain", "ours"):
        assert main([*words, "--who", who]) == 0
        found[who] = json.loads(capsys.readouterr().out)
    assert found["ours"]["texts"] == found["plain"]["texts"]
    assert len({len(text) for text in found["ours"]["texts"]}) > 3
    assert found["ours"]["tokens"] == sum(map(len, found["ours"]["texts"]))
    assert found["ours"]["rows_per_step"] > 2
