"""A train job that draws its own sample, and one that names a recorded one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli.main import build
from tests.integration.review_corpus import Built
from tests.integration.train.test_train_job import attempt, post
from tests.samples import draw
from workers.job_context import EXIT_DONE


def test_a_job_draws_a_sample_within_each_training_part(
    client: TestClient, corpus: Built, allowed: Path
) -> None:
    job_id = post(client, allowed, method="probe", sample={"size": 20, "clusters": 2})
    assert attempt(job_id) == EXIT_DONE
    result = client.get(f"/train-jobs/{job_id}").json()["result"]
    report = client.get(f"/adapters/{result['adapter_id']}/report").json()
    assert [fold["rows"] for fold in report["folds"]] == [20, 20]
    assert [fold["drawn"] for fold in report["sampling"]["folds"]] == [20, 20]
    assert report["sampling"]["asked"]["strategy"] == "stratified"


def test_a_recorded_sample_and_wrong_ones(client: TestClient, corpus: Built, allowed: Path) -> None:
    sample = draw(client, "letters", size=30, seed=2)
    asked = {"corpus": "letters", "base_model": str(allowed), "folds": 2}
    preview = client.post("/train-jobs?dry_run=true", json=asked | {"sample": sample["id"]}).json()
    assert preview["rows"] == 30
    whole = client.post("/train-jobs?dry_run=true", json=asked | {"sample": {"size": 30}}).json()
    assert whole["rows"] == 60, "drawn by the trainer; the rest is held out and read"
    for given, field, slug in (
        ({"size": 61}, "/sample/size", "sample-too-large"),
        ({"size": 1}, "/sample/size", "invalid"),
        (7, "/sample", "invalid"),
        ({"size": 9, "strategy": "uncertainty"}, "/sample/strategy", "invalid"),
    ):
        answer = client.post("/train-jobs", json=asked | {"sample": given})
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (422, f"urn:remand:problem:{slug}"), problem
        assert problem["field"] == field


def test_the_command_line_names_or_draws_a_sample(
    client: TestClient, corpus: Built, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number is a size, anything else the id of a recorded sample."""
    build()  # a verb's module that is first imported now would keep the replaced function for good
    monkeypatch.setattr("app.cli.client.connect", lambda timeout=60.0: nullcontext(client))
    words = ["train", "--corpus", "letters", "--model", str(allowed), "--folds", "2", "--sample"]
    assert "smp_x" in CliRunner().invoke(build(), [*words, "smp_x"]).output
    assert CliRunner().invoke(build(), [*words, "25"]).exit_code == 0
    (job,) = client.get("/train-jobs").json()["items"]
    assert job["params"]["sample"]["size"] == 25
