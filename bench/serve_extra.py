"""Many adapters in flight, and people's requests while a corpus is read again."""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from app.cli import loop
from bench.serve_load import Plan
from bench.serve_measure import Numbers, generate
from bench.serve_model import Served, archive_of
from bench.stack import Stack

ZIPF = 1.1
IDLE_SECONDS = 60.0
MakePlan = Callable[..., Plan]


@dataclass(frozen=True, slots=True)
class Imported:
    """An adapter of the running stack."""

    id: str
    blob: str
    """Digest of its archive, by which the worker knows it."""


def import_copies(stack: Stack, served: Served, count: int) -> list[Imported]:
    """Register that many adapters with the same weights and different digests."""
    found = []
    for copy in range(count):
        files = {"file": ("adapter.tar", archive_of(served.folder, copy))}
        answer = stack.client.post("/adapters", files=files, timeout=300)
        answer.raise_for_status()
        document = answer.json()
        found.append(Imported(document["id"], _blob(stack, document["id"])))
    return found


def many_adapters(
    stack: Stack,
    served: Served,
    texts: Sequence[str],
    counts: Sequence[int],
    rate: float,
    seconds: float,
    make: MakePlan,
) -> Numbers:
    """Throughput with 16 requests under way, and latency at a fixed rate, over 1, 16, 200 … adapters, evenly and by Zipf's law.

    Before each measurement every adapter is asked once: the seconds per adapter of those first requests are told too.
    """
    adapters = import_copies(stack, served, max(counts))
    url, found = f"{str(stack.client.base_url).rstrip('/')}/classify", {}
    for count in counts:
        began = time.perf_counter()
        for adapter in adapters[:count]:
            stack.client.post("/classify", json={"adapter": adapter.id, "text": texts[0]}).raise_for_status()
        cold = (time.perf_counter() - began) / count
        for law in ("even", "zipf")[: 1 if count == 1 else 2]:
            bodies = _bodies(adapters[:count], texts, law)
            name = f"{count} {law}"
            closed = generate(make(url=url, bodies=bodies, concurrency=16, seconds=seconds))
            opened = generate(make(url=url, bodies=bodies, rate=rate, seconds=seconds))
            found[name] = opened | {"capacity": closed["throughput"], "first_request_seconds": cold}
    return found


def beside_relabel(
    stack: Stack,
    served: Served,
    texts: Sequence[str],
    options: argparse.Namespace,
    rate: float,
    make: MakePlan,
) -> Numbers:
    """Latency of people's requests at one rate, alone and while a corpus of `options.relabel` texts is read again."""
    (adapter,) = import_copies(stack, served, 1)
    url = f"{str(stack.client.base_url).rstrip('/')}/classify"
    bodies = [json.dumps({"adapter": adapter.id, "text": text}) for text in texts]
    plan = make(url=url, bodies=bodies, rate=rate, seconds=options.open_seconds)
    corpus = import_corpus(stack, served, texts, options.relabel)
    idle = generate(plan)
    started = stack.client.post("/relabel-jobs", json={"corpus": corpus, "adapter": adapter.id})
    started.raise_for_status()
    location = started.headers["Location"]
    _until(lambda: _reading(stack, location) > 0)
    before, began = _reading(stack, location), time.perf_counter()
    busy = generate(plan)
    read = (_reading(stack, location) - before) / (time.perf_counter() - began)
    stack.client.post(f"{location}/cancel")
    return {"idle": idle, "while relabelling": busy, "texts_read_per_second_meanwhile": read}


def import_corpus(stack: Stack, served: Served, texts: Sequence[str], count: int) -> str:
    """A corpus of that many texts (those given, again and again, with a number of their own) with labels for the adapter's options; its id."""
    keys = served.adapter.option_keys
    labels = np.random.default_rng(0).random((count, len(keys))) < 0.2
    content = [f"{texts[place % len(texts)]} ({place})" for place in range(count)]
    frame = pl.DataFrame({"id": [f"t{place}" for place in range(count)], "text": content}).hstack(
        pl.DataFrame(labels.astype(np.int8), schema=list(keys), orient="row")
    )
    mapping = {
        "id": "id",
        "text": "text",
        "questions": [{"key": "argument", "kind": "yes_no_set", "columns": list(keys)}],
    }
    corpus = loop.create_corpus(stack.client, f"bench-{count}-{threading.get_ident()}-{time.monotonic_ns()}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.csv"
        frame.write_csv(file)
        loop.import_file(stack.client, corpus, file, mapping, lambda _job: None)
    return corpus


def _blob(stack: Stack, adapter: str) -> str:
    """The blob digest of an adapter: sha256 of what its download gives."""
    from hashlib import sha256

    return sha256(stack.client.get(f"/adapters/{adapter}/download").content).hexdigest()


def _bodies(adapters: Sequence[Imported], texts: Sequence[str], law: str) -> list[str]:
    draw = np.random.default_rng(0)
    weights = np.ones(len(adapters)) if law == "even" else np.arange(1, len(adapters) + 1) ** -ZIPF
    chosen = draw.choice(len(adapters), size=max(len(texts), 1000), p=weights / weights.sum())
    return [
        json.dumps({"adapter": adapters[place].id, "text": texts[row % len(texts)]})
        for row, place in enumerate(chosen)
    ]


def _reading(stack: Stack, location: str) -> int:
    """Texts that the job has read."""
    job = stack.client.get(location).json()
    if job["state"] in {"failed", "cancelled"}:
        raise RuntimeError(f"the relabel job {job['state']}: {job.get('error')}")
    progress = job.get("progress") or {}
    return int(progress.get("done", 0)) if progress.get("stage") == "reading" else 0


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("waited in vain")
        time.sleep(0.3)
