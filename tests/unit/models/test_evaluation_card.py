"""The model card: YAML that parses whatever people name things, accuracy never without always-no, synthetic data named so."""

from __future__ import annotations

import yaml

from models.evaluation.card import model_card

MANIFEST = {
    "task": "classify",
    "base": {"name": "minilm", "sha256": "a" * 64},
    "option_keys": ["remorse", "odd | <b>key</b>"],
    "scheme": {
        "questions": [
            {
                "key": "q",
                "kind": "yes_no_set",
                "options": [
                    {"key": "remorse", "name": "Remorse"},
                    {"key": "odd | <b>key</b>", "name": "a\nb"},
                ],
            }
        ]
    },
    "seed": 3,
    "input_digest": "c" * 64,
    "versions": {"torch": "2.13.0"},
    "digest": "d" * 64,
}
REPORT = {
    "macro": {"model": {"f1": 0.6, "pr_auc": 0.7, "accuracy": 0.9}, "tfidf": {"f1": 0.5, "pr_auc": 0.6, "accuracy": 0.88}},
    "always_no": {"macro_accuracy": 0.85, "macro_pr_auc": 0.15},
    "verdict": {"sentence": "Held-out macro-F1 0.600, above …"},
    "options": [{"key": "remorse", "support": 100, "positives": 15, "f1": 0.6, "pr_auc": 0.7, "accuracy": 0.9, "always_no": 0.85}],
    "evidence": {"intervals": {"options": {"remorse": {"f1": [0.5, 0.7]}}}},
    "labels": {"rows": 100, "missing_cells": 4},
    "human_f1": {"macro_f1": 0.8},
    "claim": {"sentence": "More than 90 % accuracy on 0 of 1 options."},
    "energy": {"watt_hours": 1.5, "estimate": True, "method": "10 W × 540 s"},
    "options_without_positives": ["odd | <b>key</b>"],
}  # fmt: skip


def front(card: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_the_front_matter_is_yaml_that_the_hub_reads() -> None:
    name = 'a "name": with # signs\n--- and ünïcode'
    found = front(model_card(MANIFEST, REPORT, {"synthetic": True}, name))
    assert found["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert (found["library_name"], found["license"], found["language"]) == ("peft", "apache-2.0", ["en"])
    assert "synthetic-data" in found["tags"]
    index = found["model-index"][0]
    assert index["name"] == name
    metrics = index["results"][0]["metrics"]
    assert [(metric["type"], metric["value"]) for metric in metrics] == [
        ("f1", 0.6), ("average_precision", 0.7), ("accuracy", 0.9), ("accuracy", 0.85),
    ]  # fmt: skip


def test_the_card_says_what_a_reader_must_know() -> None:
    card = model_card(MANIFEST, REPORT, {"synthetic": True, "annotators": 3, "snapshot_id": "snp_x"})
    for words in ("Intended use", "How the labels arose", "Limits", "always no", "synthetic", "0.500 to 0.700", "an estimate",
                  "macro-F1 against each other is 0.800", "label snapshot: snp_x", "Annotators: 3", "Apache-2.0"):  # fmt: skip
        assert words in card, words
    for line in card.splitlines():
        if "accuracy |" in line or "| accuracy" in line:
            assert "always no" in line or "reading" in line
    assert "<b>" not in card
    rows = [line for line in card.splitlines() if line.startswith("| `odd")]
    assert all(line.count("|") == 4 for line in rows)


def test_neighbours_and_searches_are_limits_that_are_said() -> None:
    without = {"without_context": {"f1": 0.55, "pr_auc": 0.65, "accuracy": 0.89}}
    report = REPORT | {
        "macro": REPORT["macro"] | without,  # type: ignore[operator]
        "search": {"nested": False, "sentence": "The held-out score is a little too good."},
    }
    card = model_card(MANIFEST | {"encoder": {"context": True, "alone": True}}, report)
    assert "| this adapter on texts alone, without their neighbours | 0.550 |" in card
    assert "- It also reads a text's neighbours in its group, and has a reading of its own" in card
    assert "was never fitted without them" in model_card(MANIFEST | {"encoder": {"context": True}}, report)
    assert "- Its settings come of a search. The held-out score is a little too good." in card
    assert "neighbours" not in model_card(MANIFEST, REPORT)


def test_without_a_report_nothing_is_claimed() -> None:
    card = model_card(MANIFEST, {})
    found = front(card)
    assert "model-index" not in found
    assert "metrics" not in found
    assert "Nothing was measured" in card
    assert "synthetic" not in card
    local = model_card({**MANIFEST, "base": {"name": "my-folder"}}, REPORT)
    assert (front(local)["license"], front(local)["base_model"]) == ("other", "my-folder")
