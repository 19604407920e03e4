"""Samples as a person draws them: over HTTP; the job then runs in this process instead of in a worker's child."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.attempts import exit_of_attempt
from workers.sample import run


def run_sample_job(client: TestClient, job_id: str) -> dict[str, Any]:
    """Run one attempt of a queued job; its document."""
    exit_of_attempt(job_id, run)
    document: dict[str, Any] = client.get(f"/sample-jobs/{job_id}").json()
    return document


def draw(client: TestClient, corpus: str, **body: Any) -> dict[str, Any]:
    """Draw a sample that must succeed; its document."""
    answer = client.post(f"/corpora/{corpus}/samples", json=body)
    assert answer.status_code == 202, answer.text
    job = run_sample_job(client, answer.json()["id"])
    assert job["state"] == "succeeded", job
    sample: dict[str, Any] = client.get(f"/samples/{job['result']['sample_id']}").json()
    return sample


def texts_of(client: TestClient, sample_id: str, limit: int = 500) -> list[dict[str, Any]]:
    """All texts of a sample, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/samples/{sample_id}/texts", params=asked).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
