"""Document sets as a person makes them: over HTTP; the job then runs in this process instead of in a worker's child."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.jobs.leases import claim
from workers.documents import run
from workers.job_context import run_attempt
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


def read(
    client: TestClient, engine: Engine, made: dict[str, Any], flag: StopFlag | None = None
) -> dict[str, Any]:
    """Run one attempt of the job that reads a set; the set as it is then."""
    with writing(engine) as session:
        held = claim(session, made["job_id"], "test", 60.0)
    assert held is not None
    run_attempt(made["job_id"], held.fence, run, flag or StopFlag())
    found: dict[str, Any] = client.get(f"/document-sets/{made['id']}").json()
    return found
