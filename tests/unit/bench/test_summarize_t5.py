"""The benchmark's small T5 on made dialogues: it learns by the product's path, and nothing that is held out comes into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import summarize_t5
from tests.tiny_decoder import judgments


def test_a_small_t5_learns_and_is_held_against_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = judgments(60, seed=3, words=(6, 12))
    rows = [
        {"id": f"d{number}", "text": f"#Person1#: {said[2 * number]}.\n#Person2#: {said[2 * number + 1]}.", "summary": "#Person1# speaks to #Person2#."}
        for number in range(30)
    ]  # fmt: skip
    data = tmp_path / "dialogues.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    learned: list[str] = []
    make = summarize_t5._make_base

    def remembered(folder: Path, texts: list[str], seed: int, steps: int) -> dict[str, Any]:
        learned.extend(texts)
        return make(folder, texts, seed, steps)

    monkeypatch.setattr(summarize_t5, "_make_base", remembered)
    monkeypatch.setattr("models.generative.output.reload_check", lambda *_: 0.0)  # a process of its own
    found = summarize_t5.small_t5(data, seed=1, steps=3)
    assert found["held_out"] + found["trained_on"] == 30
    assert set(learned) < {row["text"] for row in rows}
    assert len(learned) == found["trained_on"]
    assert found["loss_after"] < found["loss_before"]
    assert list(found["arms"]) == ["tuned", "base", "lead", "textrank", "lexrank"]
    assert (found["differences"][0]["first"], found["differences"][0]["second"]) == ("tuned", "base")
    table = summarize_t5.as_table(found)
    assert "proof of the training path, not of quality" in table
    assert "− its own start" in table
