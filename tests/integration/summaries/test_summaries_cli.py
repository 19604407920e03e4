"""`remand summarize` and `remand summaries` against the app."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from app.cli.main import build
from tests.writing import WordModel


@pytest.fixture
def remand(client, monkeypatch):
    @contextmanager
    def connect(timeout=60.0):
        yield client

    app = build()
    for module in ("summarize", "summaries"):
        monkeypatch.setattr(f"app.cli.{module}.connect", connect)

    def run(*words, status=0):
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == status, done.output
        return "\n".join(line for line in done.output.splitlines() if not line.startswith('{"method"'))

    return run


def test_a_text_is_summarized_by_an_adapter_and_what_is_not_in_it_is_told(remand, world):
    world.worker.model.write = lambda _prompt, most: WordModel().write(
        "x: She paid $7. Children miss him.", most
    )
    told = remand(
        "summarize", "He paid $5. His children miss him.", "--adapter", world.adapter_id, "--offsets"
    )
    assert told.splitlines() == [
        "She paid $7. Children miss him.",
        "",
        "1 of 2 sentences supported by the text.",
        "Not in the text: [9:11] number '$7'",
        f"(tiny-t5, {world.adapter_id}; whole, 1 call, 7 tokens)",
    ]
    refused = remand(
        "summarize", "He paid $5.", "--adapter", world.adapter_id, "--min-supported", "1", status=1
    )
    assert "at least 100% were asked for" in refused


def test_a_corpus_is_summarized_listed_and_exported(remand, world, attempt, tmp_path):
    assert "has no such summaries" in remand("summaries", "--corpus", "judgments")
    queued = remand("summarize", "--corpus", "judgments", "--method", "lead", "--sentences", "1")
    attempt(queued.split()[0])
    shown = remand("summaries", "--corpus", "judgments", "--top", "2")
    assert "Your Honor, John Smith paid $5,000 on 3 May 2019." in shown
    assert "j1 ·" in shown
    assert "j2 ·" not in shown
    out = tmp_path / "all.jsonl"
    remand("summaries", "--corpus", "judgments", "--out", str(out))
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 40
    assert "exists" in remand("summaries", "--corpus", "judgments", "--out", str(out), status=1)
    assert "must end in" in remand("summaries", "--corpus", "judgments", "--out", "x.txt", status=1)


def test_a_file_or_a_corpus_has_to_be_named(remand):
    assert "Give a file" in remand("summarize", status=1)
