"""`remand generate`: base beside tuned, streams, perplexity, and refusals in words."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from app.cli.main import build
from tests.integration.generating.conftest import Registered
from tests.writing_worker import Worker

Remand = Callable[..., Result]


@pytest.fixture
def remand(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Remand:
    @contextmanager
    def connect(timeout: float = 60.0) -> Iterator[TestClient]:
        yield client

    # the app logs to the standard output that the command line has here
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    build()
    monkeypatch.setattr("app.cli.generate.connect", connect)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(build(), ["generate", *words])
        assert done.exit_code == status, done.output
        return done

    return run


def test_base_beside_tuned(remand: Remand, adapters: Registered) -> None:
    words = (
        "the court held",
        "--adapter",
        adapters.causal,
        "--max-tokens",
        "6",
        "--temperature",
        "1",
        "--seed",
        "5",
    )
    shown = remand(*words, "--compare").output
    answer = json.loads(remand(*words, "--compare", "--json").stdout)
    for part in (answer, answer["base"]):
        assert part["results"][0]["text"] in shown
    assert "--- adapter: llama" in shown
    assert "--- base model: llama" in shown
    assert "seed 5" in shown


def test_a_stream_prints_the_text_once(remand: Remand, worker: Worker) -> None:
    words = ("the court held", "--base-model", worker.base("gptj"), "--max-tokens", "12")
    text = json.loads(remand(*words, "--json").stdout)["results"][0]["text"]
    assert remand(*words, "--stream").stdout.startswith(text + "\n(")


def test_perplexity_of_a_text(remand: Remand, adapters: Registered) -> None:
    lines = remand(
        "the court held that a claim", "--adapter", adapters.causal, "--perplexity"
    ).stdout.splitlines()
    assert lines[0].startswith("llama: perplexity ")
    assert "of it" in lines[1]


def test_a_refusal_names_field_and_numbers(remand: Remand, worker: Worker) -> None:
    for more in ((), ("--stream",)):
        told = remand("the court " * 40, "--base-model", worker.base("llama"), *more, status=1).output
        assert "/prompt" in told
        assert "81 tokens" in told
