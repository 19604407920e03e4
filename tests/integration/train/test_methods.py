"""Training methods over HTTP: each ends in an adapter that says how it was made; what cannot be is refused before a job is made."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.settings import get_settings
from tests.integration.review_corpus import Built
from tests.integration.train.test_train_job import attempt, post
from workers.job_context import EXIT_DONE


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the reload check in a fresh process."""
    from models.training import run

    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)


def trained(client: TestClient, allowed: Path, **fields: Any) -> dict[str, Any]:
    """The manifest of the adapter that a job makes."""
    job_id = post(client, allowed, **fields)
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    manifest: dict[str, Any] = client.get(f"/adapters/{job['result']['adapter_id']}").json()["manifest"]
    return manifest


def test_rslora_with_alpha_and_targets_of_ones_own(
    client: TestClient, corpus: Built, allowed: Path, quick: None
) -> None:
    manifest = trained(
        client, allowed, method="rslora", lora_rank=4, lora_alpha=6, target_modules=["query", "value"]
    )
    made = manifest["encoder"]
    assert (made["method"], made["lora_rank"], made["lora_scaling"]) == ("rslora", 4, 3.0)
    assert "adapter_model.safetensors" in manifest["files"]


def test_full_fine_tuning_keeps_whole_layers(client: TestClient, corpus: Built, allowed: Path) -> None:
    manifest = trained(client, allowed, method="full")
    assert (manifest["encoder"]["method"], manifest["encoder"]["lora_rank"]) == ("full", None)
    assert {"layers.safetensors", "folds/1/layers.safetensors"} <= set(manifest["files"])
    assert not {"adapter_model.safetensors", "adapter_config.json"} & set(manifest["files"])


@pytest.mark.parametrize(
    ("device", "method", "code"),
    [("auto", "qlora", "qlora-unavailable"), ("cuda", "lora", "device-unavailable")],
)
def test_what_only_the_training_machine_can_know_fails_the_job(
    client: TestClient,
    corpus: Built,
    allowed: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    method: str,
    code: str,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("REMAND_DEVICE", device)
    get_settings.cache_clear()
    job_id = post(client, allowed, method=method)
    attempt(job_id)
    job = client.get(f"/train-jobs/{job_id}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", code), job
    assert "CUDA device" in str(job["error"])
    assert client.get("/adapters").json()["items"] == []


@pytest.mark.parametrize(
    ("model", "fields", "field", "slug"),
    [
        ("tiny", {"target_modules": ["q_proj"]}, "/target_modules", "unknown-target-module"),
        ("tiny", {"method": "qlora"}, "/method", "qlora-unavailable"),
        ("tiny", {"method": "prefix"}, "/method", "invalid"),
        ("large", {"method": "full"}, "/method", "model-too-large"),
        ("gpt2", {}, "/base_model", "base-model-unsuitable"),
    ],
)
def test_what_can_be_known_beforehand_is_refused_and_leaves_no_job(
    client: TestClient,
    corpus: Built,
    allowed: Path,
    model: str,
    fields: dict[str, Any],
    field: str,
    slug: str,
) -> None:
    folder = allowed.parent / model
    if model == "large":
        large_model(allowed, folder)
    elif model == "gpt2":
        shutil.copytree(allowed, folder, dirs_exist_ok=True)
        (folder / "config.json").write_text('{"model_type": "gpt2"}')
    answer = client.post("/train-jobs", json={"corpus": "letters", "base_model": str(folder)} | fields)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"urn:remand:problem:{slug}"), problem
    assert problem["field"] == field
    assert slug != "model-too-large" or "has 200,000,000" in problem["detail"]
    assert client.get("/train-jobs").json()["items"] == []


def large_model(like: Path, folder: Path) -> None:
    """A model folder whose weights are only announced: 200 million, and a decoder that reading texts does not take."""
    shutil.copytree(like, folder, dirs_exist_ok=True)
    shape = {"dtype": "F32", "data_offsets": [0, 0]}
    tensors = {
        "encoder.w": shape | {"shape": [200_000, 1000]},
        "decoder.w": shape | {"shape": [900_000, 1000]},
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
