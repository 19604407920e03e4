"""A search: freeze the labels, keep trials coming as long as workers take them, choose, have the best trained, and say how it went.

It waits most of its time and holds no device. Whatever it does can be done again: proposals are stored before they are used, a job
is made once per number, studies and events are told once. So it goes on where it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.corpora.snapshots import freeze, read_snapshot
from app.db.session import WriteSession, reading
from app.db.tables import Job
from app.http.problems import Problem
from app.jobs.queries import lock_running
from app.jobs.rules import State, is_final
from app.settings import get_settings
from app.training.schemas import TrainJobRequest
from app.training.search_queries import make_part, part_jobs, study_name
from app.training.search_rules import trial_count
from app.training.search_schemas import SearchRequest
from models.data.folds import AUTO_FOLDS
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.search.choice import FINAL, choose, choosers, hopeless, refit_settings
from workers.search.studies import Told, open_storage, open_study, propose, tell

LOOK_SECONDS = 0.5
"""Between two looks at the trials."""


@dataclass(slots=True)
class Search:
    """A search under way."""

    context: JobContext
    request: TrainJobRequest
    settings: SearchRequest
    folds: int
    studies: dict[str, Any]
    """Optuna's studies by chooser."""
    splits: Mapping[str, tuple[str, ...]]
    """Inner splits by chooser."""

    @property
    def state(self) -> dict[str, Any]:
        """The checkpoint: snapshot_id, folds, began, ended (numbers of trials that were told of), and at last chosen."""
        assert self.context.checkpoint is not None
        return self.context.checkpoint


def run(context: JobContext) -> None:
    """One attempt; goes on where the last one ended."""
    search = _opened(context)
    _see_trials_through(search)
    refit = _refit(search)
    _finish(search, refit)


def _opened(context: JobContext) -> Search:
    request = TrainJobRequest.model_validate(
        {key: value for key, value in context.params.items() if key in TrainJobRequest.model_fields}
    )
    settings = request.search
    assert settings is not None
    url = get_settings().database_url
    assert url is not None
    if context.checkpoint is None:
        _begin(context, request)
    assert context.checkpoint is not None
    splits = choosers(settings, context.checkpoint["folds"])
    storage = open_storage(url)
    studies = {name: open_study(storage, study_name(context.job_id, name)) for name in splits}
    return Search(context, request, settings, context.checkpoint["folds"], studies, splits)


def _begin(context: JobContext, request: TrainJobRequest) -> None:
    """Freeze the labels that all trials and the train job learn from."""

    def body(session: WriteSession) -> str:
        assert context.corpus_id is not None
        snapshot = freeze(session, context.corpus_id, context.blobs)
        groups = len(set(read_snapshot(context.blobs.path(snapshot.blob_digest)).groups))
        folds = min(AUTO_FOLDS, groups) if request.folds == "auto" else request.folds
        told = {"texts": snapshot.text_count, "cells": snapshot.cell_count, "ties": snapshot.tie_count}
        context.emit("snapshot", {"snapshot_id": snapshot.id, **told})
        state = {"snapshot_id": snapshot.id, "folds": folds, "began": time.time(), "ended": []}
        context.save_checkpoint(state, session)
        return snapshot.id

    try:
        context.transaction(body)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem


def _see_trials_through(search: Search) -> None:
    """Make trials and hear of their ends until all that shall be are over."""
    total = trial_count(search.settings)
    while "chosen" not in search.state:
        trials = _parts(search, "trial")
        for number, job in trials.items():
            if is_final(job.state) and number not in search.state["ended"]:
                _hear(search, number, job)
        over = len(search.state["ended"])
        more = len(trials) < total and not _out_of_time(search) and not _hopeless(search, trials)
        if not more and over == len(trials):
            return
        search.context.progress(stage=f"trial {min(over + 1, total)} of {total}", done=over, total=total)
        if more and _may_begin(search.settings, trials):
            _make_trial(search, len(trials))
        else:
            _pause(search.context)


def _may_begin(settings: SearchRequest, trials: Mapping[int, Job]) -> bool:
    """One trial waits at any time, so that no device that is free has to wait for the parent; as many run as there are devices.

    With one worker a trial is thus proposed when the one before it begins: after the same ends in every repetition.
    """
    open_states = [job.state for job in trials.values() if not is_final(job.state)]
    if settings.parallel is not None and len(open_states) >= settings.parallel:
        return False
    return State.QUEUED not in open_states


def _make_trial(search: Search, number: int) -> None:
    """Ask every study for its proposal, then make the job; both are done once, however often this is called."""
    proposals = {
        chooser: propose(study, search.settings, number, search.request.seed)
        for chooser, study in search.studies.items()
    }
    base = search.request.model_dump(mode="json", exclude={"search"})
    params = {
        "search_id": search.context.job_id,
        "number": number,
        "snapshot_id": search.state["snapshot_id"],
        "prune": search.settings.prune,
        "runs": [
            {"chooser": chooser, "splits": list(search.splits[chooser]), "parameters": parameters}
            for chooser, parameters in proposals.items()
        ],
        "request": base | {"folds": search.folds, "time_budget_seconds": None},
    }

    def body(session: WriteSession) -> None:
        parent = lock_running(session, search.context.job_id, search.context.fence)
        make_part(session, parent, "trial", number, "trial", params)

    search.context.transaction(body)


def _hear(search: Search, number: int, job: Job) -> None:
    """Tell the studies how a trial ended, then note it with an event."""
    runs = (job.result or {}).get("runs", []) if job.state == State.SUCCEEDED else []
    by_chooser = {run["chooser"]: run for run in runs}
    for chooser, study in search.studies.items():
        outcome = by_chooser.get(chooser)
        if outcome is None:
            tell(study, number, Told(None))
        elif outcome["pruned_at"] is not None:
            tell(study, number, Told(None, pruned=True))
        else:
            tell(study, number, Told(outcome["score"]))
    told = {
        "trial": number,
        "job_id": job.id,
        "state": job.state,
        "parameters": [run["parameters"] for run in job.params["runs"]],
        "score": (job.result or {}).get("mean"),
        "pruned": [chooser for chooser, run in by_chooser.items() if run["pruned_at"] is not None],
        "seconds": (job.result or {}).get("seconds"),
        "error": job.error,
    }

    def body(session: WriteSession) -> None:
        if number not in search.state["ended"]:
            search.context.emit("trial_ended", told)
            search.context.save_checkpoint(
                search.state | {"ended": [*search.state["ended"], number]}, session
            )

    search.context.transaction(body)


def _refit(search: Search) -> Job:
    """Choose and make the train job of what was chosen, once; then wait for its end."""
    if "chosen" not in search.state:
        _choose(search)
    while True:
        job = _parts(search, "refit")[0]
        if is_final(job.state):
            return job
        done = len(search.state["ended"])
        search.context.progress(stage=f"training what was chosen ({job.id})", done=done, total=done)
        _pause(search.context)


def _choose(search: Search) -> None:
    trials = _parts(search, "trial")
    good = {
        number: job.result["runs"]
        for number, job in trials.items()
        if job.state == State.SUCCEEDED and job.result
    }
    chosen = choose(search.settings, search.folds, good)
    if chosen is None:
        raise _nothing_to_choose(trials)
    settings = refit_settings(chosen, search.folds, nested=search.settings.nested)
    params = search.request.model_dump(mode="json", exclude={"search"}) | chosen[FINAL].parameters
    refit = {"search_id": search.context.job_id, "snapshot_id": search.state["snapshot_id"]} | settings
    params |= {"folds": search.folds, "refit": refit}
    documents = {name: choice.to_document() for name, choice in chosen.items()}

    def body(session: WriteSession) -> None:
        parent = lock_running(session, search.context.job_id, search.context.fence)
        job = make_part(session, parent, "refit", 0, "train", params)
        search.context.emit("chosen", {"members": documents, "job_id": job.id})
        search.context.save_checkpoint(search.state | {"chosen": documents}, session)

    search.context.transaction(body)


def _finish(search: Search, refit: Job) -> None:
    if refit.state != State.SUCCEEDED:
        detail = (refit.error or {}).get("detail", "It was cancelled.")
        raise JobFailed(
            "refit-failed",
            f"The trials are done and kept, but the train job of what was chosen ({refit.id}) {refit.state}: {detail}",
            job_id=refit.id,
        )
    trials = _parts(search, "trial")
    result = {
        **(refit.result or {}),
        "job_id": refit.id,
        "nested": search.settings.nested,
        "chosen": search.state["chosen"],
        "trials": len(trials),
        "failed_trials": sum(job.state != State.SUCCEEDED for job in trials.values()),
    }
    search.context.transaction(lambda session: search.context.succeed(session, result))


def _nothing_to_choose(trials: Mapping[int, Job]) -> JobFailed:
    errors = [job.error for job in trials.values() if job.error]
    none = "No trial" if len(trials) == 1 else f"None of the {len(trials)} trials"
    first = f" The first error: {errors[0]['detail']}" if errors else ""
    return JobFailed(
        "no-trial-succeeded",
        f"{none} came to an end for every member, so there is nothing to choose from.{first}",
        **{"cause": errors[0]["code"], "field": errors[0].get("field")} if errors else {},
    )


def _parts(search: Search, role: str) -> dict[int, Job]:
    with reading() as session:
        return part_jobs(session, search.context.job_id, role)


def _hopeless(search: Search, trials: Mapping[int, Job]) -> bool:
    over = [job for job in trials.values() if is_final(job.state)]
    errors = [job.error for job in over if job.error is not None]
    return len(errors) == len(over) and hopeless(errors, search.settings.space)


def _out_of_time(search: Search) -> bool:
    budget = search.settings.time_budget_seconds
    return budget is not None and time.time() - search.state["began"] > budget


def _pause(context: JobContext) -> None:
    """Until it is worth looking again; JobStopped where this attempt shall end. Trials go on meanwhile."""
    if context.stop_reason() is not None:
        raise JobStopped
    time.sleep(LOOK_SECONDS)
