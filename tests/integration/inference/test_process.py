"""The worker as a process: loads an adapter from the blob store, answers, ends in good order; and callers that go away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.integration.inference_server import serving, until
from tests.unit.inference.fakes import FakeReader
from workers.inference.wire import arrays_from_bytes

ROOT = Path(__file__).parents[3]
PATIENCE = 90


@pytest.fixture(scope="module")
def process(trained, tmp_path_factory):
    """A running worker and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "REMAND_BLOB_ROOT": str(trained.blob_root),
        "REMAND_WORK_ROOT": str(tmp_path_factory.mktemp("work")),
        "REMAND_INFERENCE_PORT": str(port),
        "REMAND_MODEL_DIRS": str(trained.base.parent),
        "REMAND_DEVICE": "cpu",
        "REMAND_THREADS": "1",
    }
    started = subprocess.Popen([sys.executable, "-m", "workers.inference"], cwd=ROOT, env=environment)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:

        def ready():
            assert started.poll() is None
            try:
                return client.get("/readyz").is_success
            except httpx.TransportError:
                return False

        until(ready)
        yield started, client
    started.kill()
    started.wait(PATIENCE)


def test_it_loads_an_adapter_on_first_use_and_answers_as_the_adapter_does(process, trained):
    _, client = process
    answer = client.post("/classify", json={"adapter": trained.digest, "texts": trained.texts[:5]})
    assert answer.status_code == 200, answer.text
    found = np.array([result["probabilities"] for result in answer.json()["results"]])
    np.testing.assert_allclose(found, trained.load().predict(trained.texts[:5]), atol=0.02)
    assert answer.json()["option_keys"] == ["remorse", "family", "health"]
    ready = client.get("/readyz").json()
    assert ready["adapters"] == [trained.digest]
    (how,) = [found for name, found in ready["forward"].items() if name != "minilm"]
    assert how["forward"] in {"flat", "padded"}
    assert {layout for layout, _, _ in how["measured"]} == {"flat", "padded"}


def test_bulk_gives_predictions_and_embeddings_in_one_pass(process, trained):
    _, client = process
    body = {
        "adapter": trained.digest,
        "texts": trained.texts[:4],
        "members": ["fold0", "fold1"],
        "uses": [[0], [1], [0, 1], [0]],
        "embeddings": True,
    }
    answer = client.post("/bulk", json=body)
    probabilities, embeddings = arrays_from_bytes(answer.content, 2)
    assert (probabilities.shape, embeddings.shape, embeddings.dtype) == ((4, 3), (4, 32), np.float16)
    assert np.isfinite(probabilities).all()


def test_an_adapter_that_is_no_adapter_is_refused_and_others_go_on(process, trained):
    from app.blobs import BlobStore

    _, client = process
    junk = BlobStore(str(trained.blob_root)).put_bytes(b"not a tar").digest
    answer = client.post("/load", json={"adapter": junk})
    assert (answer.status_code, answer.json()["code"]) == (422, "adapter-invalid")
    assert client.post("/load", json={"adapter": "0" * 64}).status_code == 404
    assert client.post("/classify", json={"adapter": trained.digest, "texts": ["a"]}).status_code == 200


def test_a_base_model_that_cannot_be_had_names_the_ways_to_provide_it(process):
    _, client = process
    answer = client.post("/embed", json={"base": "roberta-base", "texts": ["a"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "base-model-unavailable")
    assert "Three ways" in answer.json()["detail"]


def test_sigterm_ends_it_in_good_order(process):
    started, _ = process
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE) == 0


def test_a_caller_that_goes_away_is_dropped_from_the_queue():
    reader = FakeReader(gate=threading.Event())
    body = {"adapter": "a" * 64, "texts": ["x" * 500]}
    with (
        serving(lambda _digest: reader, lambda _name: reader) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        queue = server.service.queue
        with pytest.raises(httpx.ReadTimeout):
            client.post("/classify", json=body, timeout=0.5)
        until(lambda: queue.queued_tokens == 0)
        reader.gate.set()
        assert client.post("/classify", json=body).status_code == 200
        until(lambda: queue.queued_tokens == 0)


def test_only_requests_for_the_adapter_being_loaded_wait():
    gate = threading.Event()

    def load(digest):
        if digest.startswith("b"):
            assert gate.wait(PATIENCE)
        return FakeReader(digest[0])

    with (
        serving(load, load) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client,
    ):
        assert client.post("/classify", json={"adapter": "a" * 64, "texts": ["x"]}).status_code == 200
        waiting = []
        thread = threading.Thread(
            target=lambda: waiting.append(
                httpx.post(
                    f"{server.url}/classify", json={"adapter": "b" * 64, "texts": ["y"]}, timeout=PATIENCE
                )
            )
        )
        thread.start()
        assert client.post("/classify", json={"adapter": "a" * 64, "texts": ["x"]}).status_code == 200
        assert waiting == []
        gate.set()
        thread.join(PATIENCE)
        assert waiting[0].status_code == 200
