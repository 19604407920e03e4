"""`remand sample` against the app in this process; the job runs when it is accepted."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from app.cli.main import build
from tests.integration.review_corpus import Built
from tests.samples import run_sample_job

Remand = Callable[..., Result]


class Running:
    """The app's client, which runs a sample job as soon as it is accepted."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def request(self, method: str, path: str, **options: Any) -> Any:
        answer = self._client.request(method, path, **options)
        if method == "POST" and answer.status_code == 202:
            run_sample_job(self._client, answer.json()["id"])
        return answer


@pytest.fixture
def remand(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Remand:
    """Runs a command line against the app; it must end with status 0 unless told otherwise."""

    @contextmanager
    def connect(timeout: float = 60.0) -> Iterator[Running]:
        yield Running(client)

    # the app logs to the standard output that the command line has here
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    build()  # a verb's module that is first imported now would keep the replaced function for good
    monkeypatch.setattr("app.cli.client.connect", connect)

    def run(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(build(), ["sample", *words])
        assert done.exit_code == status, done.output
        return done

    return run


def test_a_sample_is_drawn_told_and_written(remand: Remand, corpus: Built, tmp_path: Path) -> None:
    dry = remand("letters", "--size", "20", "--split", "train", "--dry-run").output
    assert dry == "20 of 60 texts would be drawn (60 labelled), stratified.\n"
    out = tmp_path / "sample.csv"
    frame = ("--split", "train", "--metadata", "year=2001", "--labels", "labelled")
    told = remand("letters", "--size", "12", "--seed", "1", *frame, "--export", str(out), "--with-text").output  # fmt: skip
    assert "12 of 20 texts, stratified, seed 1." in told
    assert "inclusion probabilities" in told
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(0 < float(row["inclusion_probability"]) <= 1 and row["text"] for row in rows)
    first = told.split(":")[0]
    again = remand("letters", "--size", "8", "--strategy", "random", *frame, "--exclude", first).output
    assert "8 of 8 texts, random" in again


def test_wrong_words(remand: Remand, corpus: Built, tmp_path: Path) -> None:
    assert "91 texts are asked for" in remand("letters", "--size", "91", status=1).output
    assert "key=value" in remand("letters", "--size", "1", "--metadata", "year", status=2).output
    unsure = remand("letters", "--size", "1", "--strategy", "uncertainty", status=1).output
    assert "POST /relabel-jobs first" in unsure
    nowhere = str(tmp_path / "none" / "s.csv")
    assert "cannot be written" in remand("letters", "--size", "1", "--export", nowhere, status=1).output
