"""What `remand relabel`, `classify` and `summarize` say."""

import json
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from app.cli import classify, relabel, summarize

RESULT = {
    "texts": 1200, "held_out_texts": 1100, "not_audited_texts": 100, "audited_cells": 5000, "flagged_cells": 90, "settled_cells": 3,
    "texts_per_models": {"held_out": {"1": 1000, "5": 100}, "not_held_out": 99, "unreadable": 1},
    "ranking": "rnk_1", "method": "stacked", "seconds": {"read": 12.5},
}  # fmt: skip


def job(state, **rest):
    return {"id": "job_1", "state": state, "links": {"self": "/relabel-jobs/job_1"}, **rest}


def test_a_finished_relabel_job_in_words():
    lines = relabel.words(job("succeeded", result=RESULT), "letters")
    assert "1,100 of them by models that had not seen them (1,000 by 1 model, 100 by 5 models)" in lines[0]
    assert "99 that every fold model had seen, 1 unreadable" in lines[1]
    assert (
        "90 labels to look at, most suspicious first, of 5,000 audited (3 settled ones left alone)"
        in lines[2]
    )
    assert "read 12.5 s" in lines[4]


def test_other_ends_in_words():
    assert relabel.words(job("failed", error={"detail": "No worker."}), "letters") == ["No worker."]
    assert "cancelled" in relabel.words(job("cancelled"), "letters")[0]
    assert "GET /relabel-jobs/job_1" in relabel.words(job("queued"), "letters")[0]


def test_classify_lists_yes_first():
    options = [
        {"key": "a", "name": "Remorse", "probability": 0.2, "decision": False},
        {"key": "b", "name": "", "probability": 0.4, "decision": True},
    ]
    answer = {
        "results": [{"options": options, "windows": 3, "error": None}],
        "model": {"name": "letters 2", "adapter": "adp_1", "base_model": "minilm"},
    }
    assert classify.words(answer) == [
        "yes  0.400  b",
        "no   0.200  Remorse",
        "(letters 2, adp_1, minilm; read in 3 windows)",
    ]


def test_a_text_that_could_not_be_read_ends_the_command():
    answer = {"results": [{"options": [], "windows": 0, "error": "why"}], "model": {}}
    with pytest.raises(typer.Exit):
        classify.words(answer)


def test_a_text_a_file_or_standard_input(tmp_path, monkeypatch):
    file = tmp_path / "letter.txt"
    file.write_text("Dear judge", encoding="utf-8")
    assert classify.text_or_file(str(file)) == "Dear judge"
    assert classify.text_or_file("Dear court") == "Dear court"
    assert classify.text_or_file("x" * 5000) == "x" * 5000
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(typer.Exit):
        classify.text_or_file(str(file))


class Server:
    """Stands for the api: remembers requests and answers in turn."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def call(self, _client, method, path, **rest):
        self.requests.append((method, path, rest.get("json")))
        body = self.answers.pop(0)

        return SimpleNamespace(headers={"Location": "/relabel-jobs/job_1"}, json=lambda: body)


def run(module, monkeypatch, server, *arguments):
    monkeypatch.setattr(module, "connect", lambda **_: server)
    monkeypatch.setattr(module, "call", server.call)
    cli = typer.Typer()
    module.register(cli)
    return CliRunner().invoke(cli, list(arguments))


def test_relabel_follows_a_job_to_its_end(monkeypatch):
    monkeypatch.setattr(relabel, "_PAUSE_SECONDS", 0)
    running = job("running", progress={"stage": "reading", "done": 1, "total": 2})
    server = Server(job("queued", progress={}), running, job("succeeded", result=RESULT))
    outcome = run(relabel, monkeypatch, server, "--corpus", "letters", "--follow")
    assert outcome.exit_code == 0
    assert "1,200 texts read" in outcome.output
    assert server.requests[0] == ("POST", "/relabel-jobs", {"corpus": "letters"})


def test_relabel_ends_with_1_when_the_job_fails(monkeypatch):
    server = Server(job("failed", error={"detail": "No worker."}))
    assert run(relabel, monkeypatch, server, "--corpus", "letters").exit_code == 1


def test_summarize_sends_what_was_asked_for(monkeypatch):
    sentence = {"start": 0, "end": 4, "text": "One."}
    server = Server({"sentences": [sentence], "warnings": []})
    outcome = run(summarize, monkeypatch, server, "One. Two.", "--sentences", "1", "--offsets")
    assert outcome.output == "[0:4] One.\n"
    assert server.requests == [
        ("POST", "/summarize", {"text": "One. Two.", "method": "mmr", "max_sentences": 1})
    ]


def test_classify_as_json(monkeypatch):
    server = Server({"results": []})
    outcome = run(classify, monkeypatch, server, "Dear judge", "--corpus", "letters", "--json")
    assert json.loads(outcome.output) == {"results": []}
    assert server.requests[0][2] == {"text": "Dear judge", "corpus": "letters"}
