"""`remand documents add`, `train --task causal --dry-run`, `train`, `jobs follow`: a person's way from PDF files to an adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli.main import build
from models.adapters.folder import verify
from tests.attempts import exit_of_attempt
from tests.command_line import Remand
from tests.document_sets import read
from tests.made_documents import docx, pdf, scanned_pdf
from tests.tiny_decoder import judgments
from workers import measure, train
from workers.fine_tune import REFUSED, Given, attempt
from workers.job_context import EXIT_DONE


@pytest.fixture
def client(judgments_client: TestClient) -> TestClient:
    """The app with an empty corpus named judgments."""
    return judgments_client


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with fourteen judgments of three kinds, a scan and a PDF with a password."""
    folder = tmp_path / "judgments"
    folder.mkdir()
    for number, text in enumerate(judgments(14, words=(10, 40))):
        words = text.split()
        lines = [" ".join(words[start : start + 8]) for start in range(0, len(words), 8)]
        kinds = ((".txt", text.encode()), (".pdf", pdf([lines])), (".docx", docx([text])))
        suffix, content = kinds[number % 3]
        (folder / f"case-{number}{suffix}").write_bytes(content)
    (folder / "scan.pdf").write_bytes(scanned_pdf())
    (folder / "locked.pdf").write_bytes(pdf([["secret"]], password="word"))
    return folder


def test_from_a_folder_of_judgments_to_an_adapter(
    remand: Remand, client: TestClient, models: Path, files: Path
) -> None:
    paths = [str(path) for path in sorted(files.iterdir())]
    set_id = remand("documents", "add", *paths, "--corpus", "judgments", "--no-wait").output.strip()
    read(client, client.get(f"/document-sets/{set_id}").json())
    shown = remand("documents", "show", set_id)
    assert "14 documents" in shown.output
    assert "document-scanned" in shown.output
    assert "document-password-protected" in shown.output

    asked = [
        "train", "--corpus", "judgments", "--task", "causal", "--documents", set_id, "--document-limit", "12",
        "--model", str(models / "llama"), "--block-tokens", "32", "--held-out-share", "0.25", "--epochs", "1",
    ]  # fmt: skip
    waiting = remand(*asked, "--dry-run").output
    assert "14 documents" in waiting
    measuring = next(word for word in waiting.split() if word.startswith("job_"))
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    estimate = remand(*asked, "--dry-run").output
    assert "12 are used" in estimate
    assert "9 to learn from, 3 held out, too few for early stopping" in estimate
    assert "It would take about" in estimate
    assert "tokens a second in training" in estimate

    job_id = remand(*asked, "--name", "style").output.split()[0]
    assert exit_of_attempt(job_id, train.run) == EXIT_DONE
    followed = remand("jobs", "follow", job_id).output
    assert "12 documents: 9 to learn from, 0 for early stopping, 3 held out" in followed
    assert "held-out loss per token before training" in followed
    assert "epoch 1, training loss" in followed
    assert followed.count("held-out perplexity") + followed.count("Held-out perplexity") == 2
    assert "Report: remand adapters report adp_" in followed


def test_pairs_of_a_file_become_a_summarizer(
    remand: Remand, client: TestClient, models: Path, tmp_path: Path
) -> None:
    rows = [{"doc": text, "abstract": " ".join(text.split()[:4])} for text in judgments(12, words=(10, 20))]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    added = remand(
        "documents", "add", str(tmp_path / "pairs.jsonl"), "--corpus", "judgments", "--no-wait"
    ).output
    set_id = added.strip()
    read(client, client.get(f"/document-sets/{set_id}").json())
    asked = [
        "train", "--corpus", "judgments", "--task", "summarize", "--documents", set_id, "--model", str(models / "t5"),
        "--text-field", "doc", "--max-target-tokens", "8", "--rouge-pairs", "1", "--epochs", "1",
    ]  # fmt: skip
    assert (
        "Rows have no field 'summary', or nothing in it; the first has doc, abstract."
        in remand(*asked, status=1).output
    )
    job_id = remand(*asked, "--summary-field", "abstract").output.split()[0]
    assert exit_of_attempt(job_id, train.run) == EXIT_DONE
    followed = remand("jobs", "follow", job_id).output
    assert "held-out ROUGE-L" in followed


def test_wrong_words_are_answered_before_anything_is_sent(remand: Remand, models: Path) -> None:
    causal = ["train", "--corpus", "judgments", "--task", "causal"]
    assert "--task causal needs --model" in remand(*causal, status=1).output
    llama = [*causal, "--model", str(models / "llama")]
    assert "--folds belongs to --task classify" in remand(*llama, "--folds", "3", status=1).output
    assert "'minilm' is a bert model" in remand(*causal, "--model", "minilm", status=1).output
    assert "/causal/document_limit" in remand(*llama, "--document-limit", "0", status=1).output
    assert "no document set 'doc_x'" in remand(*llama, "--documents", "doc_x", status=1).output
    assert "is not available" in remand(*causal, "--model", "/no/such/folder", status=1).output
    assert "poetry" in remand("train", "--corpus", "judgments", "--task", "poetry", status=2).output


def test_fine_tune_makes_a_causal_adapter_without_a_server(
    environment: Path, models: Path, files: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    arguments = ["fine-tune", "--task", "causal", "--model", str(models / "gptj"), "--data-path", str(files)]
    done = CliRunner().invoke(
        build(), [*arguments, "--output-dir", str(output), "--epochs", "1", "--block-tokens", "32"]
    )
    assert done.exit_code == 0, done.output
    assert "14 documents" in done.output
    assert "note: scan.pdf" in done.output
    assert "note: locked.pdf" in done.output
    assert "held-out perplexity" in done.output
    assert verify(output)["task"] == "causal"
    assert not output.with_name(".out.work").exists()


def told(data: Path, output: Path, task: str, model: Path, **own: Any) -> list[dict[str, Any]]:
    """The events of a fine-tuning that is refused."""
    events: list[dict[str, Any]] = []
    given = Given(data, output, {}, {"task": task, "base_model": str(model), task: own})
    assert attempt(given, events.append, lambda: False) == REFUSED
    assert not output.exists()
    return events


def test_fine_tune_says_what_is_wrong_with_the_files(
    environment: Path, models: Path, files: Path, tmp_path: Path
) -> None:
    scan, rows, out = files / "scan.pdf", tmp_path / "rows.csv", tmp_path / "out"
    rows.write_text("text,abstract\na b,a\nc d,c\n")
    causal = told(scan, out, "causal", models / "llama")
    assert "without a text layer" in causal[0]["detail"]
    assert "has no document that can be trained on" in causal[-1]["detail"]
    assert "rows are for summarize" in told(rows, out, "causal", models / "llama")[0]["detail"]
    summarize = told(rows, out, "summarize", models / "t5")
    assert "Rows have no field 'summary'" in summarize[-1]["detail"]
    assert "summarize learns from rows" in told(scan, out, "summarize", models / "t5")[0]["detail"]
    wrong = told(files, out, "causal", models / "t5")
    assert "'t5' is a t5 model" in wrong[-1]["detail"]
    limit = told(files, out, "causal", models / "llama", document_limit=0)
    assert "causal.document_limit" in limit[-1]["detail"]


def test_fine_tune_refuses_columns_of_labels_and_folders_for_other_tasks(files: Path, tmp_path: Path) -> None:
    out = ["--output-dir", str(tmp_path / "out"), "--data-path", str(files)]
    mixed = CliRunner().invoke(
        build(), ["fine-tune", *out, "--task", "causal", "--model", "x", "--text", "t"]
    )
    assert (mixed.exit_code, "belong to --task classify" in mixed.output) == (1, True)
    folder = CliRunner().invoke(build(), ["fine-tune", *out])
    assert (folder.exit_code, "is a folder" in folder.output) == (1, True)
