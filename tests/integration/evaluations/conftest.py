"""Pairs of text and summary in a document set, a tiny T5, Llama and encoder that the operator allows, and the api."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.tables import Job
from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.attempts import Run, exit_of_attempt, job_now
from tests.document_sets import read, upload
from tests.tiny_decoder import WORDS, judgments, make_decoder
from tests.tiny_model import write_tiny_model
from tests.tiny_writer import adapter_tar
from tests.writing_worker import Worker, writing_worker
from workers.stopping import StopFlag


@dataclass
class World:
    """The api with an admin key, and models that the operator allows."""

    client: TestClient
    engine: Engine
    models: Path

    def run(self, job_id: str, work: Run, flag: StopFlag | None = None) -> Job:
        """One attempt at a job, as a jobs worker's child makes it, in this process; the job then."""
        exit_of_attempt(job_id, work, flag)
        return job_now(job_id)

    def queued(self, **body: Any) -> str:
        """A new evaluation's job."""
        made = self.client.post("/evaluations", json={"corpus": "judgments"} | body)
        assert made.status_code == 202, made.text
        return str(made.json()["id"])

    def evaluated(self, **body: Any) -> tuple[str, dict[str, Any]]:
        """(job id, report) of an evaluation that must succeed."""
        from workers.evaluate.job import run

        job = self.run(self.queued(**body), run)
        assert job.state == "succeeded", job.error
        return job.id, self.client.get(f"/evaluations/{job.id}/report").json()

    def imported(self, worker: Worker, family: str) -> str:
        """An adapter from elsewhere, which does not say what it has seen."""
        return self.taken_in(worker.folders[family], family)

    def taken_in(self, folder: Path, name: str) -> str:
        """The id of an adapter folder that was imported into the corpus."""
        answer = self.client.post(
            "/adapters",
            files={"file": ("a.tar", adapter_tar(folder))},
            data={"corpus": "judgments", "name": name},
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def written_by(self, job_id: str) -> dict[str, dict[str, Any]]:
        """The items of each arm by key."""
        lines = self.client.get(f"/evaluations/{job_id}/items?format=jsonl").text.splitlines()
        found: dict[str, dict[str, Any]] = {}
        for item in map(json.loads, lines):
            found.setdefault(item["arm"], {})[item["key"]] = item
        return found

    def pairs(self, rows: list[dict[str, str]]) -> str:
        """The id of a document set of these rows, read."""
        made = upload(self.client, {"pairs.jsonl": "\n".join(map(json.dumps, rows)).encode()})
        assert read(self.client, made)["rows"] == len(rows)
        return str(made["id"])


def paragraphs(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Synthetic judgments of three sentences each, two to a case, with the first words of each sentence as their summary."""
    said = judgments(3 * count, seed, words=(8, 20))
    rows = []
    for number in range(count):
        sentences = [text.capitalize() + "." for text in said[3 * number : 3 * number + 3]]
        summary = " ".join(sentence.split(".")[0].split(" ", 5)[0] for sentence in sentences)
        rows.append(
            {"id": f"p-{number}", "text": " ".join(sentences), "summary": f"{summary} {sentences[0]}", "group": f"case-{number // 2}"}
        )  # fmt: skip
    return rows


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny T5, Llama and encoder."""
    folder = tmp_path_factory.mktemp("evaluated")
    for family in ("llama", "t5"):
        make_decoder(folder / family, family)
    write_tiny_model(folder / "encoder", [" ".join(WORDS)])
    return folder


@pytest.fixture
def world(models: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty corpus named judgments."""
    monkeypatch.setenv("REMAND_MODEL_DIRS", str(models))
    monkeypatch.setenv("REMAND_DEVICE", "cpu")
    monkeypatch.setenv("REMAND_THREADS", "1")
    get_settings.cache_clear()
    with client_of_an_admin(engine) as client:
        assert client.post("/corpora", json={"name": "judgments"}).status_code == 201
        yield World(client, engine, models)


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place = tmp_path_factory.mktemp("evaluating")
    write_tiny_model(place / "models" / "encoder", [" ".join(WORDS)])
    with writing_worker(place) as worker:
        yield worker


@pytest.fixture
def writing_world(worker: Worker, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The api before that worker, with an empty corpus named judgments."""
    for name, value in {
        "INFERENCE_URLS": worker.url, "BLOB_ROOT": str(worker.blobs), "MODEL_DIRS": str(worker.models), "DEVICE": "cpu", "THREADS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"REMAND_{name}", value)
    get_settings.cache_clear()
    with client_of_an_admin(engine) as client:
        assert client.post("/corpora", json={"name": "judgments"}).status_code == 201
        yield World(client, engine, worker.models)
