"""`remand train --search`: the file is sent as it is, and trials are printed as they end."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine

from app.cli.following import told
from app.cli.search_space import USUAL_SPACE
from app.db.session import writing
from app.jobs import leases
from app.jobs.queries import append_event, finish
from app.jobs.rules import State
from app.training.schemas import TrainJobRequest
from app.training.search_rules import check_search
from tests.command_line import Remand
from tests.integration.review_corpus import Built
from tests.integration.train.conftest import remand

__all__ = ["remand"]

SPACE = {"lora_rank": {"type": "choice", "values": [2, 4]}}


def test_a_file_with_a_space_or_a_whole_search(
    remand: Remand, corpus: Built, allowed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "space.json"
    file.write_text(json.dumps(SPACE))
    words = ("train", "--corpus", "letters", "--model", str(allowed), "--search", str(file))
    job = json.loads(remand("jobs", "show", remand(*words, "--trials", "2").output.split()[0]).output)
    assert (job["kind"], job["params"]["search"]["trials"], list(job["params"]["search"]["space"])) == (
        "search",
        2,
        ["lora_rank"],
    )
    file.write_text(json.dumps({"strategy": "grid", "space": SPACE}))
    job = json.loads(remand("jobs", "show", remand(*words).output.split()[0]).output)
    assert (job["params"]["search"]["strategy"], job["params"]["search"]["trials"]) == ("grid", None)
    file.write_text("[]")
    assert "holds no JSON object" in remand(*words, status=1).stderr
    assert "is no JSON file" in remand(*words[:-1], str(tmp_path / "absent.json"), status=1).stderr


def test_the_usual_space_is_a_valid_one() -> None:
    check_search(TrainJobRequest.model_validate({"corpus": "c", "search": {"space": USUAL_SPACE}}))


def test_following_prints_trials_as_they_end(
    remand: Remand, engine: Engine, corpus: Built, allowed: Path
) -> None:
    words = ("train", "--corpus", "letters", "--model", str(allowed), "--trials", "2")
    job_id = remand(*words).output.split()[0]
    same = {"parameters": [{"lora_rank": 2}, {"lora_rank": 2}], "job_id": "job_t", "error": None}
    with writing(engine) as session:
        leases.claim(session, job_id, "w", 30)
        append_event(
            session,
            job_id,
            "trial_ended",
            {"trial": 0, "state": "succeeded", "score": 0.5, "pruned": [], "seconds": 61} | same,
        )
        append_event(
            session, job_id, "chosen", {"job_id": "job_r", "members": {"final": {"trial": 0, "score": 0.5}}}
        )
        finish(session, job_id, 1, State.SUCCEEDED, result={"adapter_id": "adp_1", "promotion": "Promoted."})
    shown = remand("jobs", "follow", job_id).output
    assert "trial 0: 0.5000 in 1 min 01 s (lora_rank 2)" in shown
    assert "  final: trial 0, 0.5000" in shown
    assert "adp_1: Promoted." in shown


def test_words_for_trials() -> None:
    other = {
        "trial": 3,
        "state": "failed",
        "parameters": [{"lora_rank": 2}, {"lora_rank": 4}],
        "error": {"detail": "no"},
    }
    assert told("trial_ended", other) == "trial 3 failed (settings of its own for each fold): no"
    given_up = {
        "trial": 4, "state": "succeeded", "score": 0.25, "seconds": 2.0, "pruned": ["fold1"],
        "parameters": [{"learning_rate": 0.00123, "loss": {"kind": "focal"}}],
    }  # fmt: skip
    assert (
        told("trial_ended", given_up)
        == "trial 4: 0.2500 in 2 s, given up in fold1 (learning_rate 0.00123, loss focal)"
    )
