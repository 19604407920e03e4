"""A corpus that was trained on, relabelled and reviewed is deleted whole: rows, files, embeddings of texts too."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.blobs import Blob, BlobStore
from app.corpora.queries import register_blob
from app.db.session import reading, writing
from app.settings import get_settings
from tests.integration.relabel.test_routes import CORPUS
from tests.integration.relabel.test_routes import client as client  # noqa: PLC0414  (a fixture)

pytestmark = pytest.mark.usefixtures("plain_score")
_LEFT = (
    "jobs",
    "adapters",
    "label_snapshots",
    "relabel_runs",
    "predictions",
    "rankings",
    "disagreements",
    "reviews",
    "texts",
    "blobs",
)


def files() -> list[Path]:
    return [path for path in Path(get_settings().blob_root).rglob("*") if path.is_file()]


def test_a_file_that_was_registered_anew_meanwhile_stays(
    client: TestClient, world, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the deletion's transaction and the removal of files the same adapter is imported for another corpus."""
    blobs = BlobStore(get_settings().blob_root)

    def meanwhile() -> None:
        with writing() as session:
            size = blobs.path(world.blob).stat().st_size
            register_blob(session, blobs, Blob(world.blob, size), "application/x-tar", "adapter")

    monkeypatch.setattr("app.corpora.routes.forget_credentials", meanwhile)
    assert client.delete(f"/corpora/{CORPUS}").status_code == 204
    assert blobs.exists(world.blob)


def test_nothing_of_a_reviewed_corpus_is_left(client: TestClient, world, attempt) -> None:
    asked = client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id})
    assert attempt(asked.json()["id"]).state == "succeeded"
    first = client.get("/label-disagreements", params={"corpus": CORPUS}).json()["items"][0]["id"]
    place = f"/label-disagreements/{first}/review"
    etag = client.get(f"/label-disagreements/{first}").headers["ETag"]
    decided = client.put(place, json={"value": "yes"}, headers={"If-Match": etag})
    assert client.delete(place, headers={"If-Match": decided.headers["ETag"]}).status_code == 200
    assert len(files()) == 4  # adapter, snapshot, embeddings, similar texts with near duplicates
    assert client.delete(f"/corpora/{CORPUS}").status_code == 204
    with reading() as session:
        left = {table: session.scalar(text(f"SELECT count(*) FROM {table}")) for table in _LEFT}
    assert left == dict.fromkeys(_LEFT, 0)
    assert files() == []
