"""Causal and summarize jobs through HTTP and the worker: documents in, a registered adapter out, clear problems otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Blob as BlobRow
from app.jobs import leases
from app.settings import get_settings
from models.adapters.folder import verify
from tests.document_sets import read, upload
from tests.integration.review_corpus import add_text, build_corpus
from tests.integration.train.test_train_job import attempt
from tests.small_corpus import TWO_ARGUMENTS
from tests.tiny_decoder import judgments
from workers import generative
from workers.adapter_archive import unpacked
from workers.job_context import EXIT_DONE, EXIT_STOPPED
from workers.stopping import StopFlag

FAST = {"epochs": 1, "learning_rate": 0.01, "seed": 2}


@pytest.fixture
def client(judgments_client: TestClient) -> TestClient:
    """The app with an empty corpus named judgments."""
    return judgments_client


def documents(client: TestClient, count: int = 14) -> str:
    texts = judgments(count, words=(10, 40))
    made = upload(client, {f"{number}.txt": text.encode() for number, text in enumerate(texts)})
    assert read(client, made)["documents"] == count
    return str(made["id"])


def adapter_folder(adapter: dict[str, Any], tmp_path: Path) -> Path:
    """The registered blob, unpacked and verified."""
    with writing() as session:
        from app.db.tables import Adapter

        blob = session.get_one(Adapter, adapter["id"]).blob_digest
    folder = unpacked(blob, BlobStore(get_settings().blob_root), tmp_path / "cache")
    assert verify(folder)["digest"] == adapter["digest"]
    return folder


def test_a_causal_job_from_uploaded_documents_to_an_adapter(
    client: TestClient, engine: Engine, models: Path, tmp_path: Path
) -> None:
    body = FAST | {
        "corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "name": "style",
        "causal": {"document_set": documents(client), "block_tokens": 32, "held_out_share": 0.2, "document_limit": 12},
    }  # fmt: skip
    preview = client.post("/train-jobs?dry_run=true", json=body).json()
    assert (preview["task"], preview["documents"]) == ("causal", 14)
    job_id = client.post("/train-jobs", json=body).json()["id"]
    stopped = StopFlag()
    stopped.stop("shutdown")
    assert attempt(job_id, stopped) == EXIT_STOPPED
    with writing(engine) as session:
        leases.release(session, job_id, 1, code="shutdown", reason="asked", counted=False, max_attempts=3)
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    assert job["result"]["perplexity"]["after"]["documents"] >= 1
    events = client.get(f"/train-jobs/{job_id}/events").text
    estimate = next(json.loads(line[6:])["data"] for line in events.splitlines() if line.startswith("data:") and '"documents":12' in line.replace(" ", ""))  # fmt: skip
    assert estimate["seconds"] > 0
    assert estimate["train_tokens"] > 0
    adapter = client.get(f"/adapters/{job['result']['adapter_id']}").json()
    assert (adapter["task"], adapter["name"], adapter["promoted"]) == ("causal", "style", False)
    report = client.get(f"/adapters/{adapter['id']}/report").json()
    assert (report["documents"]["used"], report["documents"]["beyond_limit"]) == (12, 2)
    assert (adapter_folder(adapter, tmp_path) / "adapter_model.safetensors").is_file()
    answer = client.post("/classify", json={"text": "A letter.", "adapter": adapter["id"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:wrong-task")
    etag = client.get(f"/adapters/{adapter['id']}").headers["ETag"]
    promoted = client.post(f"/adapters/{adapter['id']}/promote", headers={"If-Match": etag})
    assert (promoted.status_code, promoted.json()["type"]) == (409, "urn:remand:problem:wrong-task")
    tar = client.get(f"/adapters/{adapter['id']}/download").content
    again = client.post("/adapters", files={"file": ("a.tar", tar)})
    assert (again.status_code, again.json()["digest"]) == (201, adapter["digest"]), again.text
    for path in ("card", "report?format=html", "held-out", f"compare?with={adapter['id']}"):
        assert client.get(f"/adapters/{adapter['id']}/{path}").status_code < 500, path
    card = client.get(f"/adapters/{adapter['id']}/card").text
    assert "Held-out perplexity" in card
    assert "0 options" not in card
    evaluation = client.post("/evaluations", json={"adapter": adapter["id"], "corpus": "judgments"})
    assert 400 <= evaluation.status_code < 500, evaluation.text
    page = client.get(f"/reports/{adapter['id']}", headers={"Accept": "text/html"})
    assert page.status_code in {200, 303}


def test_a_summarize_job_from_uploaded_pairs_to_an_adapter_that_loads_again(
    client: TestClient, models: Path, tmp_path: Path
) -> None:
    texts = judgments(12, words=(10, 20))
    rows = [{"doc": text, "short": " ".join(text.split()[:4]), "group": f"case-{number // 2}"} for number, text in enumerate(texts)]  # fmt: skip
    made = upload(client, {"pairs.jsonl": "\n".join(map(json.dumps, rows)).encode()})
    assert read(client, made)["rows"] == 12
    body = FAST | {
        "corpus": "judgments", "task": "summarize", "base_model": str(models / "t5"),
        "summarize": {"document_set": made["id"], "text_field": "doc", "summary_field": "short", "max_target_tokens": 8, "rouge_pairs": 2},
    }  # fmt: skip
    job_id = client.post("/train-jobs", json=body).json()["id"]
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    assert job["result"]["rouge"]["after"]["pairs"] == 2
    assert job["result"]["loss_after"] < job["result"]["loss_before"]
    adapter = client.get(f"/adapters/{job['result']['adapter_id']}").json()
    assert (adapter["task"], adapter["manifest"]["reading"]["prefix"]) == ("summarize", "summarize: ")
    assert (adapter_folder(adapter, tmp_path) / "adapter_config.json").is_file()


def test_corpus_texts_can_be_the_source_unless_the_corpus_is_sensitive(
    client: TestClient, engine: Engine, models: Path
) -> None:
    with writing(engine) as session:
        built = build_corpus(session, "letters", TWO_ARGUMENTS)
        for number, text in enumerate(judgments(3)):
            add_text(session, built, f"t{number}", text, groups={"case": f"c{number}"})
    body = {"corpus": "letters", "task": "causal", "base_model": str(models / "llama")}
    assert client.post("/train-jobs?dry_run=true", json=body).json()["documents"] == 3
    etag = client.get("/corpora/letters").headers["ETag"]
    change = {"name": "letters", "sensitive": True}
    assert client.put("/corpora/letters", json=change, headers={"If-Match": etag}).status_code == 200
    answer = client.post("/train-jobs", json=body)
    assert (answer.status_code, answer.json()["type"], answer.json()["field"]) == (409, "urn:remand:problem:corpus-sensitive", "/corpus")  # fmt: skip


def test_a_corpus_that_became_sensitive_ends_its_queued_job(client: TestClient, models: Path) -> None:
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": {"document_set": documents(client, 3)}}  # fmt: skip
    job_id = client.post("/train-jobs", json=body).json()["id"]
    etag = client.get("/corpora/judgments").headers["ETag"]
    client.put(
        "/corpora/judgments", json={"name": "judgments", "sensitive": True}, headers={"If-Match": etag}
    )
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "corpus-sensitive")
    assert client.get("/adapters").json()["items"] == []


def test_a_corpus_that_became_sensitive_while_its_job_trained_gets_no_adapter(
    client: TestClient, engine: Engine, environment: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": {"document_set": documents(client, 3)}}  # fmt: skip
    job_id = client.post("/train-jobs", json=body).json()["id"]
    packed = generative.packed

    def marked_meanwhile(*given: Any) -> Any:
        found = packed(*given)
        etag = client.get("/corpora/judgments").headers["ETag"]
        change = {"name": "judgments", "sensitive": True}
        assert client.put("/corpora/judgments", json=change, headers={"If-Match": etag}).status_code == 200
        return found

    monkeypatch.setattr(generative, "packed", marked_meanwhile)
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "corpus-sensitive")
    assert client.get("/adapters").json()["items"] == []
    with writing(engine) as session:
        known = set(session.scalars(select(BlobRow.digest)))
    assert {path.name for path in (environment / "blobs").glob("??/*")} == known


def test_what_the_trainer_refuses_fails_the_job_and_registers_nothing(
    client: TestClient, models: Path
) -> None:
    causal = {"document_set": documents(client, 3), "block_tokens": 128}
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": causal}
    job_id = client.post("/train-jobs", json=body).json()["id"]
    assert attempt(job_id) == EXIT_DONE
    error = client.get(f"/train-jobs/{job_id}").json()["error"]
    assert (error["code"], error["field"]) == ("block-too-long", "block_tokens")
    assert client.get("/adapters").json()["items"] == []


@pytest.mark.parametrize(
    ("fields", "field", "slug"),
    [
        ({}, "/base_model", "base-model-unsuitable"),
        ({"base_model": "roberta-base"}, "/base_model", "base-model-unsuitable"),
        ({"base_model": "flan-t5-base"}, "/base_model", "base-model-unsuitable"),
        ({"base_model": "gpt-j-6b"}, "/base_model", "base-model-unavailable"),
        ({"base_model": "LLAMA"}, "/causal", "no-documents"),
        ({"base_model": "LLAMA", "method": "probe"}, "/method", "method-unsuitable"),
        ({"base_model": "LLAMA", "folds": 3}, "/folds", "other-task"),
        ({"base_model": "LLAMA", "summarize": {}}, "/summarize", "other-task"),
        ({"base_model": "LLAMA", "task": "classify", "causal": {}}, "/causal", "other-task"),
        ({"base_model": "LLAMA", "causal": {"document_limit": 0}}, "/causal/document_limit", "invalid"),
        ({"base_model": "LLAMA", "causal": {"document_limit": 1}}, "/causal/document_limit", "invalid"),
        ({"base_model": "LLAMA", "causal": {"document_set": "doc_x"}}, "/causal/document_set", "unknown-document-set"),
        ({"base_model": "T5", "task": "summarize", "summarize": {"document_set": "ROWS"}}, "/summarize/summary_field", "unknown-field"),
    ],
)  # fmt: skip
def test_wrong_requests_are_problems_and_leave_no_job(
    client: TestClient, models: Path, fields: dict[str, Any], field: str, slug: str
) -> None:
    named = {"LLAMA": str(models / "llama"), "T5": str(models / "t5")}
    body = {"corpus": "judgments", "task": "causal"} | fields
    body["base_model"] = named.get(body.get("base_model", "minilm"), body.get("base_model", "minilm"))
    if body.get("summarize", {}).get("document_set") == "ROWS":
        made = upload(client, {"p.csv": b"text,abstract\na,b\nc,d\n"})
        read(client, made)
        body["summarize"] = {"document_set": made["id"]}
    answer = client.post("/train-jobs", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:remand:problem:{slug}"), answer.text
    assert answer.json()["field"] == field
    assert client.get("/train-jobs").json()["items"] == []


def test_a_set_that_is_still_read_is_a_conflict(client: TestClient, models: Path) -> None:
    made = upload(client, {"a.txt": b"one", "b.txt": b"two"})
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": {"document_set": made["id"]}}  # fmt: skip
    answer = client.post("/train-jobs", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:document-set-not-ready")
