"""Adapter beside base model on texts that the adapter has not seen, written by a real inference worker on tiny models."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select

from app.db.session import reading, writing
from app.db.tables import Adapter, Corpus
from app.jobs import leases
from app.jobs.queries import get_job
from app.settings import get_settings
from models.adapters.seen import read_seen, unseen
from models.data.near_duplicates import content_digests, signatures
from tests.attempts import claimed
from tests.document_sets import read, upload
from tests.integration.evaluations.conftest import World, paragraphs
from tests.integration.inference_server import until
from tests.tiny_decoder import judgments
from tests.writing_worker import Worker
from workers.adapter_archive import unpacked
from workers.evaluate.job import run as evaluate_run
from workers.stopping import StopFlag
from workers.train import run as train_run

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def world(writing_world: World) -> World:
    """The api before a worker with models that write."""
    return writing_world


def test_from_training_to_an_evaluation_on_what_was_held_out(
    world: World, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on three quarters of a set of pairs and evaluated on all of it: the others alone are read."""
    monkeypatch.setattr(
        "models.generative.output.reload_check", lambda *_: 0.0
    )  # a process of its own, started elsewhere
    rows = paragraphs(40)
    made = world.pairs(rows)
    job_id = world.client.post("/train-jobs", json={
        "corpus": "judgments", "task": "summarize", "base_model": worker.base("t5"), "epochs": 2, "learning_rate": 0.02, "name": "brief",
        "summarize": {"document_set": made, "max_target_tokens": 12, "max_input_tokens": 40, "held_out_share": 0.25, "rouge_pairs": 2},
    }).json()["id"]  # fmt: skip
    job = world.run(job_id, train_run)
    assert job.state == "succeeded", job.error
    assert job.result is not None
    adapter = job.result["adapter_id"]
    asked = {"document_set": made, "items": "all", "encoder": str(world.models / "encoder")}
    evaluation, report = world.evaluated(adapter=adapter, summarize=asked)
    with reading(world.engine) as session:
        blob = session.get_one(Adapter, adapter).blob_digest
    seen = read_seen(unpacked(blob, _blobs(), get_settings().work_root / "adapters"))
    texts = [row["text"] for row in rows]
    free = unseen(seen, content_digests(texts), [row["group"] for row in rows], signatures(texts))
    expected = {row["id"] for row, good in zip(rows, free, strict=True) if good}
    assert 5 <= len(expected) <= 15
    items = world.written_by(evaluation)
    assert set(items["tuned"]) == expected
    assert report["held_out"] | {"seen_ids": []} == {
        "of": 40, "seen": 40 - len(expected), "seen_by": {"tuned": 40 - len(expected)}, "seen_ids": [], "repeated": 0, "known": True, "vouched": False,
        "share": len(expected) / 40,
    }  # fmt: skip
    assert [arm["name"] for arm in report["arms"]] == ["tuned", "base", "lead", "textrank", "lexrank", "mmr"]
    assert [(pair["first"], pair["second"]) for pair in report["differences"]][:2] == [
        ("tuned", "base"),
        ("tuned", "lead"),
    ]
    _inputs_are_those_of_training(worker, blob, rows, items, report)
    _lengths_match(items, report)
    assert report["arms"][0]["writing"]["ran"]["cut"] + report["arms"][0]["writing"]["ran"].get(
        "whole", 0
    ) == len(expected)
    page = world.client.get(f"/evaluations/{evaluation}/report", headers=HTML)
    assert f"{40 - len(expected)} were left out, because the adapter had seen them" in page.text
    assert "with the adapter minus …" in page.text
    own = world.client.get(f"/reports/{adapter}", headers=HTML)
    assert f"/evaluations/{evaluation}/report" in own.text
    assert (
        world.client.get(f"/adapters/{adapter}/report").json()["evaluations"][0]["sentence"]
        == report["verdict"]["sentence"]
    )
    trained_on = [row for row in rows if row["id"] not in expected]
    alone = world.run(
        world.queued(adapter=adapter, summarize=asked | {"document_set": world.pairs(trained_on)}),
        evaluate_run,
    )
    assert (alone.state, (alone.error or {})["code"]) == ("failed", "nothing-held-out")


def _blobs() -> Any:
    from app.blobs import BlobStore

    return BlobStore(get_settings().blob_root)


def _inputs_are_those_of_training(
    worker: Worker,
    blob: str,
    rows: list[dict[str, str]],
    items: dict[str, dict[str, Any]],
    report: dict[str, Any],
) -> None:
    """The worker says the same of inputs that are prefixed and cut by hand, at training's own 40 tokens with the end mark."""
    by_id = {row["id"]: row for row in rows}
    assert report["arms"][0]["writing"]["max_input_tokens"] == 40
    for name, model in (("tuned", {"adapter": blob}), ("base", {"base": worker.base("t5")})):
        for key, item in list(items[name].items())[:4]:
            prompt = "summarize: " + by_id[key]["text"]
            ends = [found.end() for found in re.finditer(r"\w+|[^\w\s]", prompt)]  # the tiny model's tokens
            prompt = prompt[: ends[:39][-1]]
            (found,) = worker.post("/generate", prompts=[prompt], max_tokens=12, **model).json()["results"]
            assert item["written"] == found["text"], (name, key)


def _lengths_match(items: dict[str, dict[str, Any]], report: dict[str, Any]) -> None:
    """An extractive summary has no more words than the adapter's of the same text, or the mean where that is empty; one sentence is the least."""
    lengths = report["settings"]["extractive"]
    empty = sum(not item["words"] for item in items["tuned"].values())
    assert (lengths["by_mean"], report["arms"][0]["empty"]) == (empty, empty)
    for arm in ("lead", "textrank", "lexrank", "mmr"):
        for key, item in items[arm].items():
            allowed = items["tuned"][key]["words"] or lengths["mean_words"]
            assert item["words"] <= allowed or item["written"].count(".") == 1


def test_an_adapter_that_does_not_say_what_it_has_seen(world: World, worker: Worker) -> None:
    """Refused, unless somebody gives their word: the report then says so."""
    adapter = world.imported(worker, "t5")
    asked = {
        "document_set": world.pairs(paragraphs(8)),
        "items": 6,
        "encoder": str(world.models / "encoder"),
        "max_tokens": 8,
    }
    refused = world.run(world.queued(adapter=adapter, summarize=asked), evaluate_run)
    assert (refused.state, (refused.error or {})["code"], (refused.error or {})["field"]) == (
        "failed",
        "seen-unknown",
        "/adapter",
    )
    evaluation, report = world.evaluated(
        adapter=adapter, summarize=asked | {"vouched": True}, untrained=False
    )
    assert (report["held_out"]["known"], report["held_out"]["vouched"]) == (False, True)
    assert (
        "6 texts that it has not seen, on the word of whoever asked, ROUGE" in report["verdict"]["sentence"]
    )
    assert [arm["name"] for arm in report["arms"]][:2] == ["tuned", "lead"]
    assert (
        "is the word of whoever asked"
        in world.client.get(f"/evaluations/{evaluation}/report", headers=HTML).text
    )


def test_a_base_model_by_itself_with_beams(world: World, worker: Worker) -> None:
    asked = {"document_set": world.pairs(paragraphs(4)), "items": "all", "encoder": str(world.models / "encoder"),
             "max_tokens": 6, "beams": 2, "style": "dialogue"}  # fmt: skip
    evaluation, report = world.evaluated(base=worker.base("t5"), summarize=asked)
    assert [arm["title"] for arm in report["arms"]][:2] == ["t5", "Lead"]
    assert report["arms"][0]["writing"]["prefix"] == "Summarize the following dialogue: "
    row = next(iter(world.written_by(evaluation)["base"].values()))
    text = next(one["text"] for one in paragraphs(4) if one["id"] == row["key"])
    body = {
        "base": worker.base("t5"),
        "prompts": [f"Summarize the following dialogue: {text}"],
        "max_tokens": 6,
        "beams": 2,
    }
    assert worker.post("/generate", **body).json()["results"][0]["text"] == row["written"]


def test_perplexity_of_documents_and_how_both_go_on(world: World, worker: Worker) -> None:
    texts = judgments(12, seed=9, words=(70, 90))
    made = upload(world.client, {f"{number}.txt": text.encode() for number, text in enumerate(texts)})
    assert read(world.client, made)["documents"] == 12
    adapter = world.imported(worker, "llama")
    asked = {
        "document_set": made["id"],
        "items": "all",
        "samples": 2,
        "prompt_words": 50,
        "max_tokens": 80,
        "vouched": True,
    }
    evaluation, report = world.evaluated(adapter=adapter, causal=asked)
    items = world.written_by(evaluation)
    by_name = {f"{number}.txt": text for number, text in enumerate(texts)}
    manifest = json.loads((worker.folders["llama"] / "manifest.json").read_text())
    window = manifest["reading"].get("block_tokens")
    expected: dict[str, list[tuple[float, int]]] = {"tuned": [], "base": []}
    for key, item in items["tuned"].items():
        text = by_name[key.split(":", 1)[1]]
        for name, model in (
            ("tuned", {"adapter": worker.digests["llama"]}),
            ("base", {"base": worker.base("llama"), "window": window}),
        ):
            (found,) = worker.post("/perplexity", texts=[text], **model).json()["results"]
            expected[name].append((found["nats"], found["tokens"]))
            assert items[name][key]["nats"] == pytest.approx(found["nats"], rel=1e-5)
        assert item["perplexity"] == pytest.approx(math.exp(item["loss"]))
    for arm in report["arms"]:
        nats, tokens = np.array(expected[arm["name"]]).sum(axis=0)
        assert arm["perplexity"]["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)
        assert arm["perplexity"]["tokens"] == tokens
        low, high = arm["perplexity"]["interval"]
        assert low <= arm["perplexity"]["perplexity"] <= high
    first, second = (arm["perplexity"]["perplexity"] for arm in report["arms"])
    assert report["differences"][0]["change"]["ratio"] == pytest.approx(first / second, rel=1e-5)
    assert len(report["samples"]) == 2
    for sample in report["samples"]:
        assert [one["arm"] for one in sample["written"]] == ["tuned", "base"]
        assert any(text.startswith(sample["text"]) for text in texts)
    page = world.client.get(f"/evaluations/{evaluation}/report", headers=HTML).text
    assert "Continuations side by side" in page
    assert "Ratio of perplexities" in page
    assert "on the word of whoever asked" in report["verdict"]["sentence"]
    with writing(world.engine) as session:
        session.scalars(select(Corpus)).one().sensitive = True
    again = world.client.post(
        "/evaluations", json={"corpus": "judgments", "adapter": adapter, "causal": asked}
    )
    assert (again.status_code, again.json()["type"]) == (409, "urn:remand:problem:corpus-sensitive")


def test_stopped_and_taken_up_it_asks_for_the_rest_alone(
    world: World, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused after the first chunk was kept: the report is that of a job that was left alone, and nothing is written twice."""
    from workers.relabel.bulk import BulkWorkers

    adapter = world.imported(worker, "t5")
    asked = {"document_set": world.pairs(paragraphs(40)), "items": "all", "encoder": str(world.models / "encoder"),
             "max_tokens": 5, "vouched": True}  # fmt: skip
    _, expected = world.evaluated(adapter=adapter, summarize=asked)
    sent: list[int] = []
    post, flag = BulkWorkers.post, StopFlag()

    async def counted(self: Any, path: str, body: Any) -> Any:
        answer = await post(self, path, body)
        sent.append(len(body["prompts"]))
        flag.stop("shutdown")
        return answer

    monkeypatch.setattr(BulkWorkers, "post", counted)
    job_id = world.queued(adapter=adapter, summarize=asked)
    assert world.run(job_id, evaluate_run, flag).state == "running"
    assert sent == [32]
    with writing(world.engine) as session:
        leases.release(session, job_id, 1, code="shutdown", reason="asked", counted=False, max_attempts=3)
    assert world.run(job_id, evaluate_run).state == "succeeded"
    assert sent == [32, 8, 32, 8]
    its_own = dict.fromkeys(("job_id", "created_at", "seconds"))
    found = world.client.get(f"/evaluations/{job_id}/report").json()
    assert found | its_own == expected | its_own


@pytest.mark.fault
def test_a_killed_child_changes_nothing(world: World, worker: Worker) -> None:
    """SIGKILL once the first answers are kept; the next attempt ends with the report of a job that nobody killed."""
    adapter = world.imported(worker, "t5")
    asked = {"document_set": world.pairs(paragraphs(40)), "items": "all", "encoder": str(world.models / "encoder"),
             "max_tokens": 5, "vouched": True}  # fmt: skip
    _, expected = world.evaluated(adapter=adapter, summarize=asked)
    job_id = world.queued(adapter=adapter, summarize=asked)
    held = claimed(job_id, 120)
    command = [sys.executable, "-m", "workers.evaluate", job_id, str(held.fence)]
    child = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        until(lambda: child.poll() is not None or _checkpoint(world.engine, job_id))
        assert child.poll() is None, "the child ended before it could be killed"
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait(60)
    with writing(world.engine) as session:
        leases.release(
            session, job_id, held.fence, code="killed", reason="killed", counted=True, max_attempts=3
        )
    assert world.run(job_id, evaluate_run).state == "succeeded"
    its_own = dict.fromkeys(("job_id", "created_at", "seconds"))
    found = world.client.get(f"/evaluations/{job_id}/report").json()
    assert found | its_own == expected | its_own


def _checkpoint(engine: Engine, job_id: str) -> Any:
    with reading(engine) as session:
        job = get_job(session, job_id)
        return job is not None and job.checkpoint
