"""The verbs for training, adapters and jobs, against the app in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.cli.durations import duration
from app.cli.following import JobDisplay, told
from app.db.session import writing
from app.jobs import leases
from app.jobs.queries import append_event, finish
from app.jobs.rules import State
from models.adapters.folder import finish as finish_folder
from tests.command_line import Remand
from tests.integration.review_corpus import Built
from tests.small_corpus import TWO_ARGUMENTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter folder with a report; its weights are of no matter here."""
    place = tmp_path / "adapter"
    place.mkdir()
    option = {
        "key": "remorse",
        "positives": 24,
        "f1": 0.71,
        "threshold": 0.4,
        "beside": {"tfidf": {"f1": 0.65}},
    }
    macro = {"model": {"f1": 0.7}, "tfidf": {"f1": 0.6}}
    report = {
        "options": [option],
        "macro": macro,
        "micro": macro,
        "verdict": {"beats_baselines": True, "sentence": "It beats both."},
    }
    (place / "report.json").write_text(json.dumps(report))
    scheme = TWO_ARGUMENTS.to_document()
    finish_folder(
        place,
        {
            "task": "classify",
            "scheme": scheme,
            "option_keys": ["remorse", "dependants"],
            "base": {"name": "tiny"},
        },
    )
    return place


def test_a_dry_run_says_what_would_be_learned(remand: Remand, corpus: Built, allowed: Path) -> None:
    shown = remand("train", "--corpus", "letters", "--model", str(allowed), "--dry-run").output
    assert "60 of 60 texts are labelled, 120 labels, 30 groups." in shown
    assert "remorse: " in shown
    assert "No estimate yet: job_" in shown
    jobs = remand("jobs", "list").output
    assert "measure" in jobs
    assert "train" not in jobs


def test_a_job_is_paused_and_resumed(remand: Remand, corpus: Built, allowed: Path) -> None:
    job_id = remand("train", "--corpus", "letters", "--model", str(allowed)).output.split()[0]
    assert f"{job_id} is paused." in remand("jobs", "pause", job_id).output
    assert "paused" in remand("jobs", "list", "--state", "paused").output
    assert remand("jobs", "resume", job_id).output.strip() == f"{job_id} is queued."


def test_a_job_is_made_listed_shown_and_cancelled(remand: Remand, corpus: Built, allowed: Path) -> None:
    job_id = remand(
        "train", "--corpus", "letters", "--model", str(allowed), "--time_budget", "60"
    ).output.split()[0]
    assert f"{job_id}  train  queued" in " ".join(remand("jobs", "list").output.split(" ")).replace(
        "   ", "  "
    )
    shown = json.loads(remand("jobs", "show", job_id).output)
    assert shown["params"]["time_budget_seconds"] == 60
    assert remand("jobs", "cancel", job_id).output == f"{job_id} is cancelled.\n"
    assert "cancelled" in remand("jobs", "follow", job_id, status=1).output


def test_following_ends_with_the_result(remand: Remand, engine: Engine, corpus: Built, allowed: Path) -> None:
    job_id = remand("train", "--corpus", "letters", "--model", str(allowed)).output.split()[0]
    with writing(engine) as session:
        leases.claim(session, job_id, "w", 30)
        append_event(
            session, job_id, "progress", {"stage": "fold 1 of 2", "done": 1, "total": 2, "eta_seconds": 125.0}
        )
        append_event(session, job_id, "warning", {"detail": "Few positives."})
        result = {"adapter_id": "adp_1", "promotion": "Promoted: it beats both."}
        finish(session, job_id, 1, State.SUCCEEDED, result=result)
    shown = remand("jobs", "follow", job_id).output
    assert "note: Few positives." in shown
    assert "adp_1: Promoted: it beats both." in shown


def test_adapters_are_imported_listed_shown_promoted_and_exported(
    remand: Remand, corpus: Built, folder: Path, tmp_path: Path
) -> None:
    adapter_id = remand(
        "adapters", "import", str(folder), "--corpus", "letters", "--name", "guest"
    ).output.strip()
    listed = remand("adapters", "list", "--corpus", "letters").output
    assert adapter_id in listed
    assert "guest" in listed
    table = remand("adapters", "report", adapter_id).output
    assert "It beats both." in table
    assert [word for line in table.splitlines() if "remorse" in line for word in line.split()] == [
        "remorse", "24", "0.710", "0.650", "0.400",
    ]  # fmt: skip
    assert (
        json.loads(remand("adapters", "report", adapter_id, "--json").output)["macro"]["model"]["f1"] == 0.7
    )
    assert remand("adapters", "promote", adapter_id).output == f"{adapter_id} is promoted.\n"
    remand("adapters", "export", adapter_id, str(tmp_path / "out.tar"))
    again = remand("adapters", "import", str(tmp_path / "out.tar"), "--corpus", "letters").output
    assert again == f"{adapter_id} (known already)\n"
    assert "exists" in remand("adapters", "export", adapter_id, str(tmp_path / "out.tar"), status=1).output


def test_a_problem_is_said_in_words(remand: Remand, corpus: Built) -> None:
    assert "There is no corpus 'nowhere'" in remand("train", "--corpus", "nowhere", status=1).output


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("fold_finished", {"fold": 0, "folds": 3, "best_epoch": 2}, "fold 1 of 3 done, best epoch 2"),
        ("estimate", {"folds": 3, "epochs": 1, "estimated_seconds": 61.2, "epochs_cut": True}, "3 folds, 1 epoch, fewer than asked for to keep the time budget, about 1 min 01 s"),
        ("requeued", {"reason": "It was killed."}, "interrupted, will go on: It was killed."),
        ("estimate", {"of": "another version"}, "estimate"),
        ("epoch", {"loss": 0.1}, None),
    ],
)  # fmt: skip
def test_events_are_told_in_words(kind: str, data: dict[str, Any], line: str | None) -> None:
    assert told(kind, data) == line


def test_without_a_terminal_nothing_but_the_events_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with JobDisplay("reading") as display:
        display.show([("progress", {"stage": "reading", "done": 1}), ("refused", {"detail": "No labels."})])
    assert capsys.readouterr().out == "No labels.\n"


def test_durations_are_short() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 61)] == ["0 s", "1 min 00 s", "1 min 01 s"]


def test_evidence_from_the_command_line(
    remand: Remand, client: TestClient, corpus: Built, folder: Path, tmp_path: Path
) -> None:
    adapter = remand("adapters", "import", str(folder), "--corpus", "letters").output.strip()
    assert "remand jobs follow" in remand("evaluate", adapter, "--against", "nothing", "--no-follow").output
    (job,) = client.get("/evaluations").json()["items"]
    assert (job["params"]["adapter"], job["params"]["untrained"], job["kind"]) == (adapter, False, "evaluate")
    assert "Name the corpus" in remand("evaluate", "minilm", "--no-follow", status=1).output
    assert "--against is" in remand("evaluate", adapter, "--against", "them", status=1).output
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    remand("report", adapter, "--html", str(page), "--card", str(card))
    assert "<style>" in page.read_text()
    assert card.read_text().startswith("---\n")
    assert "exists" in remand("report", adapter, "--html", str(page), status=1).output
    assert "remorse" in remand("report", adapter).output
