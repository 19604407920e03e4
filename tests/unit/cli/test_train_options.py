"""Options of the training verbs: the request they make, and those that do not go with a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli.train_options import train_request
from app.training.schemas import TrainJobRequest

SHARED = {"corpus": "letters", "seed": 0, "name": None}


def test_a_classification_keeps_its_default_model() -> None:
    made = train_request("classify", None, SHARED, {"folds": 3, "wide": False, "document_set": None})
    assert made == {
        "corpus": "letters", "seed": 0, "task": "classify", "base_model": "minilm", "folds": 3, "wide": False,
    }  # fmt: skip
    assert TrainJobRequest.model_validate(made).folds == 3


def test_settings_of_a_task_go_into_its_own_object() -> None:
    causal = {
        "document_set": "doc_1",
        "document_limit": 500,
        "block_tokens": 2048,
        "wide": True,
        "folds": None,
    }
    made = train_request("causal", "gpt-j-6b", SHARED, causal)
    assert made["causal"] == {"document_set": "doc_1", "document_limit": 500, "block_tokens": 2048}
    checked = TrainJobRequest.model_validate(made)
    assert checked.causal is not None
    assert (checked.task, checked.causal.document_limit) == ("causal", 500)
    pairs = {"style": "dialogue", "rouge_pairs": 0, "text_field": "dialogue", "wide": True}
    checked = TrainJobRequest.model_validate(train_request("summarize", "flan-t5-base", SHARED, pairs))
    assert checked.summarize is not None
    assert (checked.summarize.style, checked.summarize.rouge_pairs) == ("dialogue", 0)


@pytest.mark.parametrize(
    ("task", "own", "words"),
    [
        ("classify", {"document_set": "doc_1"}, "--documents belongs to --task causal or summarize"),
        ("classify", {"block_tokens": 16}, "--block-tokens belongs to --task causal; the task is classify"),
        ("causal", {"folds": 3}, "--folds belongs to --task classify; the task is causal"),
        ("causal", {"limit": 3}, "--document-limit limits documents"),
        ("causal", {"wide": False}, "--no-wide belongs to --task classify"),
        ("causal", {"style": "dialogue"}, "--style belongs to --task summarize"),
        ("summarize", {"block_tokens": 16}, "--block-tokens belongs to --task causal"),
        ("summarize", {"search": {}}, "--search belongs to --task classify"),
    ],
)  # fmt: skip
def test_an_option_of_another_task_is_refused_by_name(
    task: str, own: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        train_request(task, "some-model", SHARED, own)
    assert words in capsys.readouterr().err


def test_generative_tasks_need_a_model_and_are_told_which(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        train_request("causal", None, SHARED, {})
    assert "--model: llama-2-7b, gpt-j-6b, or a folder of the family llama or gptj" in capsys.readouterr().err


def test_a_folder_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minilm").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert train_request("causal", "mine", {}, {})["base_model"] == str(tmp_path / "mine")
    assert train_request("classify", "minilm", {}, {})["base_model"] == "minilm"  # the catalog's
