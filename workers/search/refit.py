"""What the train job after a search is told beside its request."""

from __future__ import annotations

from typing import Any

from app.db.session import ReadSession
from app.db.tables import Job
from app.training.search_queries import part_jobs
from app.training.search_view import trial_answer


def refit_fields(session: ReadSession, params: dict[str, Any]) -> dict[str, Any]:
    """Fields of `models.training.request.TrainRequest` for a job that a search made; none for any other."""
    refit = params.get("refit")
    if refit is None:
        return {}
    return {
        "fold_overrides": refit["fold_overrides"],
        "final_epochs": refit["final_epochs"],
        "search": search_document(session, refit["search_id"]),
    }


def search_document(session: ReadSession, search_id: str) -> dict[str, Any]:
    """A search as the report of its adapter shows it: how it was made, every trial, and what was chosen for each member."""
    job = session.get_one(Job, search_id)
    search, chosen = job.params["search"], (job.checkpoint or {})["chosen"]
    trials = [
        trial_answer(number, trial, chosen)
        for number, trial in part_jobs(session, search_id, "trial").items()
    ]
    return {
        "search_id": search_id,
        "strategy": search["strategy"],
        "nested": search["nested"],
        "pruned": search["prune"],
        "seed": job.params["seed"],
        "space": search["space"],
        "chosen": chosen,
        "trials": [trial.model_dump(mode="json") for trial in trials],
    }
