"""The loop as a client sees it: import, train, relabel and read the disagreements, all over HTTP. The demo and the benchmark walk it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
Watcher = Callable[[dict[str, Any]], None]
"""Is shown the job at every look."""


class LoopFailed(Exception):
    """A step of the loop ended otherwise than well; the message says why."""


def create_corpus(client: httpx.Client, name: str, **fields: Any) -> str:
    """Make a corpus; its id."""
    return str(_answer(client.post("/corpora", json={"name": name, **fields}))["id"])


def import_file(
    client: httpx.Client, corpus: str, path: Path, mapping: dict[str, Any] | None, watch: Watcher
) -> dict[str, Any]:
    """Upload a file, import it for good, wait; the finished job, whose result is the report."""
    form = {"commit": "true"} | ({"mapping": json.dumps(mapping)} if mapping else {})
    with path.open("rb") as file:
        sent = client.post(
            f"/corpora/{corpus}/imports", data=form, files={"file": (path.name, file)}, timeout=300
        )
    return finished(client, sent, watch)


def train(client: httpx.Client, corpus: str, watch: Watcher, **options: Any) -> dict[str, Any]:
    """Train an adapter on the corpus's labels, wait; the finished job, whose result names the adapter."""
    return finished(client, client.post("/train-jobs", json={"corpus": corpus, **options}), watch)


def relabel(client: httpx.Client, corpus: str, watch: Watcher, **options: Any) -> dict[str, Any]:
    """Re-read the corpus, wait; the finished job, whose result names run and ranking."""
    return finished(client, client.post("/relabel-jobs", json={"corpus": corpus, **options}), watch)


def disagreements(client: httpx.Client, corpus: str, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The corpus's disagreements by falling suspicion, `limit` of them or all."""
    given, cursor = 0, None
    while limit is None or given < limit:
        page_size = 200 if limit is None else min(200, limit - given)
        query: dict[str, str | int] = {"corpus": corpus, "limit": page_size, "state": "all"}
        if cursor:
            query["cursor"] = cursor
        page = _answer(client.get("/label-disagreements", params=query))
        yield from page["items"]
        given, cursor = given + len(page["items"]), page["next_cursor"]
        if not cursor:
            return


def finished(client: httpx.Client, accepted: httpx.Response, watch: Watcher) -> dict[str, Any]:
    """Wait for the job of a 202 answer; LoopFailed with its reason when it did not succeed."""
    _answer(accepted)
    location = accepted.headers["Location"]
    while True:
        job = _answer(client.get(location))
        watch(job)
        if job["state"] == "succeeded":
            return job
        if job["state"] in TERMINAL:
            error = job.get("error") or {}
            raise LoopFailed(
                f"The {job['kind']} job {job['id']} {job['state']}: {error.get('detail', 'no reason given')}"
            )
        time.sleep(0.5)


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        document: dict[str, Any] = response.json()
        return document
    raise LoopFailed(
        f"{response.request.method} {response.request.url.path} answered {response.status_code}: {response.text}"
    )
