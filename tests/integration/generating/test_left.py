"""Callers who leave while a text is written for them: the worker gives up the place at once, and nothing waits for the garbage collector.

And a worker that is killed while it writes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from app.inference.pool import WorkerPool
from tests.integration.inference_server import until
from tests.writing_worker import Worker, writing_worker

LONG = 4096


def leave(client: TestClient, worker: Worker, path: str, body: dict[str, Any]) -> tuple[list[Message], bool]:
    """Ask, leave as soon as the worker writes; what was sent until the app was done with it, and whether it heard of the leaving."""
    headers = [
        (b"authorization", client.headers["authorization"].encode()),
        (b"content-type", b"application/json"),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
    waiting: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    sent: list[Message] = []
    left = asyncio.Event()

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await asyncio.to_thread(until, lambda: writing(worker) > 0)
        left.set()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        async with asyncio.timeout(60):
            await client.app(scope, receive, send)

    assert client.portal is not None
    client.portal.call(ask)
    return sent, left.is_set()


def writing(worker: Worker) -> int:
    return int(worker.client.get("/readyz").json()["writing"])


def written(worker: Worker) -> int:
    """Tokens that the worker has written so far."""
    lines = worker.client.get("/metrics").text.splitlines()
    return int(
        float(next(line for line in lines if line.startswith("remand_generation_tokens_total")).split()[1])
    )


def bodies(worker: Worker) -> dict[str, dict[str, Any]]:
    """Requests that keep the worker busy, by path."""
    text = "The court held that the claim fails. " * 1500
    return {
        "/generate": {"base_model": worker.base("t5"), "prompt": "the court", "max_tokens": LONG, "min_tokens": LONG},
        "/summarize": {
            "base_model": worker.base("t5"), "method": "abstractive", "text": text, "window": 128, "strategy": "chunk_and_merge",
        },
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/generate", "/summarize"])
def test_who_leaves_gives_up_the_place(client: TestClient, worker: Worker, path: str) -> None:
    body, before = bodies(worker)[path], written(worker)
    assert client.post(path, json=body).status_code == 200
    whole = written(worker) - before
    for stream in (True, False):
        before = written(worker)
        gc.collect()
        gc.disable()
        try:
            sent, left = leave(client, worker, path, body | {"stream": stream})
            until(lambda: writing(worker) == 0)
        finally:
            gc.enable()
        assert left
        assert written(worker) - before < whole / 2
        assert b"event: done" not in b"".join(message.get("body", b"") for message in sent)
        assert not stream or sent[0]["status"] == 200
        answer = worker.post("/tokens", base=worker.base("t5"), texts=["a"])
        assert answer.headers["x-remand-queued-tokens"] == "0"


def test_the_header_counts_what_is_to_be_written(worker: Worker) -> None:
    body = {
        "base": worker.base("t5"),
        "prompts": ["the court"],
        "max_tokens": LONG,
        "min_tokens": LONG,
        "stream": True,
    }
    with worker.client.stream("POST", "/generate", json=body) as answer:
        assert int(answer.headers["x-remand-queued-tokens"]) > LONG
    until(lambda: writing(worker) == 0)


def test_a_worker_killed_in_mid_stream_ends_the_stream_with_its_reason(
    client: TestClient, tmp_path: Path
) -> None:
    with writing_worker(tmp_path) as doomed:
        client.app.state.workers = WorkerPool([doomed.url])  # type: ignore[attr-defined]

        def kill() -> None:
            until(lambda: writing(doomed) > 0)
            doomed.process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        body = {
            "base_model": doomed.base("t5"),
            "prompt": "the court",
            "max_tokens": LONG,
            "min_tokens": LONG,
        }
        told = client.post("/generate", json=body | {"stream": True}).text
        killer.join()
    last = json.loads(told.rstrip().rsplit("data: ", 1)[1])
    assert "event: failed" in told
    assert (last["from"], last["code"]) == ("base", "worker-lost")
    for path, fields in (
        ("/generate", body),
        ("/perplexity", {"base_model": body["base_model"], "text": "a claim"}),
    ):
        answer = client.post(path, json=fields | ({"stream": True} if path == "/generate" else {}))
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:remand:problem:no-inference-worker")
