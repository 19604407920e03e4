"""A search written straight into the tables, at any stage: its trials with epochs, what was chosen, the train job and its adapter."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from app.db.session import WriteSession, writing
from app.db.tables import Adapter, Job, JobPart
from app.ids import new_id
from app.jobs.queries import append_event
from models.training.search_report import NESTED
from tests.evidence import report_of, two_adapters
from tests.integration.review_corpus import Built

FOLDS = 3
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 3e-3, "log": True, "steps": None},
    "lora_rank": {"type": "int", "low": 4, "high": 64, "log": True, "step": 1},
    "loss": {"type": "choice", "values": [{"kind": "bce"}, {"kind": "focal", "gamma": 2.0}]},
}
SEARCH = {
    "strategy": "random", "trials": 8, "space": SPACE, "prune": True, "nested": True, "folds": None, "parallel": None,
    "time_budget_seconds": None,
}  # fmt: skip


def parameters_of(number: int) -> dict[str, Any]:
    """What a trial tries."""
    return {
        "learning_rate": 1e-4 * 1.5**number,
        "lora_rank": 4 * 2 ** (number % 4),
        "loss": SPACE["loss"]["values"][number % 2],  # type: ignore[index]
    }


def outcome(number: int, fold: int, *, pruned: bool = False) -> dict[str, Any]:
    """What a trial's fit on a fold's inner split came to."""
    score = 0.5 + 0.03 * number - 0.005 * number**2 + 0.02 * fold - (0.1 if pruned else 0)
    epochs = 2 if pruned else 5
    return {
        "chooser": f"fold{fold}", "parameters": parameters_of(number), "score": score, "loss": 1 - score, "best_epoch": epochs - 1,
        "epochs": epochs, "seconds": 3.5 + number, "pruned_at": epochs if pruned else None,
        "folds": [{"fold": f"fold{fold}", "score": score, "loss": 1 - score, "best_epoch": epochs - 1, "epochs": epochs}],
    }  # fmt: skip


def a_search(engine: Engine, built: Built, trials: int = 6, *, over: bool = True, **search: Any) -> str:
    """Id of a search: trial 1 given up everywhere, trial 2 on one fold, trial 3 failed, the last one running where it is not over."""
    adapter_id = two_adapters(engine, built)[0] if over else None
    with writing(engine) as session:
        params = {"corpus": "letters", "seed": 7, "search": SEARCH | {"trials": trials} | search}
        job = _job(session, built, "search", params, state="running", lease_owner="test")
        job.progress = {"stage": f"trial {trials} of {trials}", "done": trials - 1, "total": trials}
        for number in range(trials):
            _trial(session, built, job.id, number, running=not over and number == trials - 1)
        chosen = {
            name: {"trial": number, "parameters": parameters_of(number), "score": 0.55, "best_epoch": 4}
            for name, number in (("fold0", 0), ("fold1", trials - 1), ("fold2", 0), ("final", trials - 1))
        }
        job.checkpoint = {"folds": FOLDS, "ended": [], "began": 0.0} | ({"chosen": chosen} if over else {})
        if adapter_id is not None:
            _end(session, built, job, adapter_id, chosen)
        return job.id


def _end(session: WriteSession, built: Built, job: Job, adapter_id: str, chosen: dict[str, Any]) -> None:
    """The train job, its adapter's report, and the search's end."""
    result = {"adapter_id": adapter_id, "promotion": "Not promoted. It is for show.", "promoted": False}
    refit = _job(session, built, "train", {}, state="succeeded", result=result)
    session.add(JobPart(parent_id=job.id, role="refit", number=0, job_id=refit.id))
    folds = [
        {
            "fold": fold,
            "best_epoch": 4,
            "inner": 0.58,
            "held_out": 0.55 - 0.01 * fold,
            "gap": 0.03 + 0.01 * fold,
        }
        for fold in range(FOLDS)
    ]
    adapter = session.get_one(Adapter, adapter_id)
    adapter.report = report_of() | {
        "search": {
            "search_id": job.id, "nested": True, "trials": [{}, {}], "sentence": NESTED, "chosen": chosen,
            "average_precision": {"inner": 0.58, "held_out": 0.54, "gap": 0.04, "folds": folds},
        }
    }  # fmt: skip
    job.state, job.lease_owner, job.result = "succeeded", None, result | {"job_id": refit.id}


def _trial(session: WriteSession, built: Built, search_id: str, number: int, *, running: bool) -> None:
    runs = [
        {"chooser": f"fold{fold}", "splits": [f"fold{fold}"], "parameters": parameters_of(number)}
        for fold in range(FOLDS)
    ]
    params = {"search_id": search_id, "number": number, "runs": runs, "request": {"device": "cpu"}}
    trial = _job(session, built, "trial", params)
    session.add(JobPart(parent_id=search_id, role="trial", number=number, job_id=trial.id))
    found = [
        outcome(number, fold, pruned=number == 1 or (number == 2 and fold == 2)) for fold in range(FOLDS)
    ]
    if running:
        trial.state, trial.lease_owner, trial.checkpoint = "running", "test", {"runs": found[:1]}
        found = found[:1]
    elif number == 3:
        trial.state, found = "failed", []
        trial.error = {
            "code": "out-of-memory",
            "detail": "No room for <b>rank</b> 32: ask for a lower lora_rank.",
        }
    else:
        trial.state, trial.result = "succeeded", {"runs": found, "mean": 0.5, "seconds": 10.0}
    for run in found:
        for epoch in range(1, run["epochs"] + 1):
            _epoch(session, trial.id, run["chooser"], epoch)


def _epoch(session: WriteSession, trial_id: str, split: str, epoch: int) -> None:
    data = {
        "chooser": split, "member": split, "epoch": epoch, "train_loss": 0.7 / epoch, "inner_loss": 0.6 / epoch,
        "inner_average_precision": 0.4 + 0.03 * epoch, "seconds": 1.25,
    }  # fmt: skip
    append_event(session, trial_id, "epoch", data)


def _job(session: WriteSession, built: Built, kind: str, params: dict[str, Any], **columns: Any) -> Job:
    job = Job(
        id=new_id("job"), corpus_id=built.corpus_id, kind=kind, params=params, created_by="ada", **columns
    )
    session.add(job)
    session.flush()
    return job
