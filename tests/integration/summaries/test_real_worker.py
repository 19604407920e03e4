"""The real inference worker with a tiny T5: long texts in parts, an adapter's limits, and a job's child that asks it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Adapter, Blob, Job
from app.ids import new_id
from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.integration.inference_server import until
from tests.integration.review_corpus import add_text, build_corpus
from tests.tiny_decoder import judgments
from tests.tiny_writer import adapter_tar, make_writer, make_writer_adapter

ROOT = Path(__file__).parents[3]
LONG = ". ".join(judgments(60, seed=3, words=(8, 14))).replace("..", ".") + "."


@pytest.fixture
def adapter(engine: Engine, tmp_path: Path) -> str:
    """A tiny T5 adapter of a corpus with three texts, one of them long."""
    make_writer(tmp_path / "models" / "t5", "t5")
    manifest = make_writer_adapter(
        tmp_path / "t5-adapter", tmp_path / "models" / "t5", "t5", max_input_tokens=150, max_target_tokens=24
    )
    blob = BlobStore(get_settings().blob_root).put_bytes(adapter_tar(tmp_path / "t5-adapter"))
    with writing(engine) as session:
        built = build_corpus(session, "judgments")
        for name, content in (
            ("short", "The court held that."),
            ("long", LONG),
            ("hebrew", "בית המשפט דחה את הערעור."),
        ):
            add_text(session, built, name, content)
        session.add(
            Blob(digest=blob.digest, size=blob.size, media_type="application/x-tar", purpose="adapter")
        )
        session.flush()
        row = Adapter(
            id=new_id("adp"), corpus_id=built.corpus_id, task="summarize", name="t5", base_model="t5", option_keys=[],
            digest=manifest["digest"], blob_digest=blob.digest, manifest=manifest,
        )  # fmt: skip
        session.add(row)
        return row.id


@pytest.fixture
def client(
    adapter: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The api beside a worker process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("REMAND_MODEL_DIRS", str(tmp_path / "models"))
    monkeypatch.setenv("REMAND_INFERENCE_PORT", str(port))
    monkeypatch.setenv("REMAND_INFERENCE_URLS", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("REMAND_DEVICE", "cpu")
    monkeypatch.setenv("REMAND_THREADS", "1")
    get_settings.cache_clear()
    worker = subprocess.Popen([sys.executable, "-m", "workers.inference"], cwd=ROOT, env=os.environ)

    def ready() -> bool:
        assert worker.poll() is None
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        until(ready)
        with client_of_an_admin(engine) as client:
            yield client
    finally:
        worker.kill()
        worker.wait(60)


def test_a_t5_reads_short_and_long_texts_and_a_corpus(
    client: TestClient, adapter: str, attempt: Callable[..., Job], tmp_path: Path
) -> None:
    def ask(**body: Any) -> Any:
        answer = client.post(
            "/summarize", json={"text": LONG, "method": "abstractive", "adapter": adapter, **body}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    merged = ask(strategy="chunk_and_merge")
    assert merged["chunks"] > 3
    assert merged["calls"] > merged["chunks"]
    assert merged["model"]["adapter"] == adapter
    assert merged["window"] <= 150
    assert merged == ask(strategy="chunk_and_merge")  # greedy: twice the same
    extract = ask(strategy="extract_then_abstract", salience="mmr", beams=2)
    assert (extract["calls"], extract["strategy"]) == (1, "extract_then_abstract")
    assert extract["kept_sentences"] < extract["sentences_in_text"]
    drawn = [ask(text="The court held that.", temperature=1.0, seed=seed)["summary"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    hebrew = ask(text="בית המשפט דחה את הערעור. המערער טען אחרת.")
    assert any("knows no token for" in warning for warning in hebrew["warnings"])
    streamed = client.post(
        "/summarize",
        json={
            "text": LONG,
            "method": "abstractive",
            "adapter": adapter,
            "stream": True,
            "strategy": "chunk_and_merge",
        },
    )
    assert "event: piece" in streamed.text
    assert json.loads(streamed.text.rsplit("data: ", 1)[1]) == merged
    base = client.post(
        "/summarize",
        json={
            "text": "The court held.",
            "method": "abstractive",
            "base_model": str(tmp_path / "models" / "t5"),
        },
    )
    assert base.json()["model"]["digest"] is None
    wrong = client.post(
        "/summarize",
        json={"text": LONG, "method": "abstractive", "adapter": adapter, "stream": True, "strategy": "whole"},
    )
    assert json.loads(wrong.text.split("data: ", 1)[1])["type"].endswith("text-too-long")
    job = client.post(
        "/summary-jobs", json={"corpus": "judgments", "method": "abstractive", "adapter": adapter}
    )
    done = attempt(job.json()["id"])
    assert (done.state, done.result["texts"]) == ("succeeded", 3)
    items = client.get("/summaries", params={"corpus": "judgments"}).json()["items"]
    long = next(item for item in items if item["external_id"] == "long")
    assert long["details"]["calls"] >= 1
    assert done.result["model"]["adapter"] == merged["model"]["digest"]
