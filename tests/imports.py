"""Imports as a person makes them: over HTTP; the job then runs in this process instead of in a worker's child."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.attempts import exit_of_attempt
from workers.importing.run import run


@dataclass(frozen=True, slots=True)
class Imports:
    """A corpus to import into, and what to ask of it afterwards."""

    client: TestClient
    engine: Engine
    corpus: str

    def send(
        self,
        content: str | bytes,
        *,
        mapping: dict[str, Any] | None = None,
        commit: bool = True,
        name: str = "file.csv",
    ) -> dict[str, Any]:
        """Upload a file, run the job, and give the job's document."""
        data = {"commit": "true" if commit else "false"}
        if mapping is not None:
            data["mapping"] = json.dumps(mapping)
        body = content.encode() if isinstance(content, str) else content
        answer = self.client.post(f"/corpora/{self.corpus}/imports", files={"file": (name, body)}, data=data)
        assert answer.status_code == 202, answer.text
        return self.run(answer.json()["id"])

    def run(self, job_id: str) -> dict[str, Any]:
        """Run one attempt of a queued job."""
        exit_of_attempt(job_id, run)
        document: dict[str, Any] = self.client.get(f"/imports/{job_id}").json()
        return document

    def report(self, content: str | bytes, **options: Any) -> dict[str, Any]:
        """Import a file that is expected to succeed; its report."""
        job = self.send(content, **options)
        assert job["state"] == "succeeded", job
        report: dict[str, Any] = job["result"]
        return report

    def failure(self, content: str | bytes, **options: Any) -> dict[str, Any]:
        """Import a file that is expected to fail, leaving nothing behind; its error."""
        before = self.counts()
        job = self.send(content, **options)
        assert job["state"] == "failed", job
        assert self.counts() == before
        error: dict[str, Any] = job["error"]
        return error

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def counts(self) -> dict[str, int]:
        """Rows of every table that an import may write."""
        tables = (
            "texts",
            "text_versions",
            "annotators",
            "annotations",
            "questions",
            "options",
            "scheme_versions",
        )
        return {table: self.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    def values(self) -> list[tuple[Any, ...]]:
        """(external id, annotator, question, values) of every annotation, in order of insertion."""
        return self.rows(
            """SELECT t.external_id, n.name, q.key, a.values FROM annotations a JOIN texts t ON t.id = a.text_id
            JOIN annotators n ON n.id = a.annotator_id JOIN questions q ON q.id = a.question_id ORDER BY a.id"""
        )


@pytest.fixture
def imports(admin: TestClient, engine: Engine) -> Imports:
    """An empty corpus named letters."""
    assert admin.post("/corpora", json={"name": "letters"}).status_code == 201
    return Imports(admin, engine, "letters")
