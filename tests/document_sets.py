"""Document sets as a person makes them: over HTTP; the job then runs in this process instead of in a worker's child."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.attempts import exit_of_attempt
from workers.documents import run
from workers.stopping import StopFlag


def upload(
    client: TestClient, files: dict[str, bytes], corpus: str = "judgments", **headers: str
) -> dict[str, Any]:
    """Upload files; the answer's document."""
    parts = [("files", (name, content)) for name, content in files.items()]
    answer = client.post("/document-sets", files=parts, data={"corpus": corpus}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/document-sets/{answer.json()['id']}"
    found: dict[str, Any] = answer.json()
    return found


def read(client: TestClient, made: dict[str, Any], flag: StopFlag | None = None) -> dict[str, Any]:
    """Run one attempt of the job that reads a set; the set as it is then."""
    exit_of_attempt(made["job_id"], run, flag)
    found: dict[str, Any] = client.get(f"/document-sets/{made['id']}").json()
    return found
