"""A trial of a search, on whichever machine takes it. `python -m workers.search.trial JOB FENCE`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from app.db.session import reading
from app.http.problems import Problem
from app.settings import get_settings
from app.training.folder import write_training_folder
from app.training.schemas import TrainJobRequest
from app.training.search_queries import study_name
from workers.job_context import JobContext, JobFailed, JobStopped, child_main
from workers.search.studies import open_storage, open_study, to_be_pruned
from workers.train import training_input


def run(context: JobContext) -> None:
    """One attempt; runs that an earlier one has finished are not repeated, and a fit goes on from its checkpoint."""
    shared = get_settings().work_root / context.params["search_id"] / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    _carry_out(context, _input_folder(context, shared), shared)
    outcomes = _done(context)
    result = {
        "runs": outcomes,
        "mean": fmean(outcome["score"] for outcome in outcomes),
        "seconds": round(sum(outcome["seconds"] for outcome in outcomes), 2),
    }
    context.transaction(lambda session: context.succeed(session, result))


def _input_folder(context: JobContext, shared: Path) -> Path:
    """The training folder of the search on this machine, written by the first trial that needs it."""
    from models.training.trunk_cache import locked

    folder = shared / "input"
    with locked(shared / "input.lock", lambda: _stop_if_asked(context)):
        if not folder.exists():
            request = TrainJobRequest.model_validate(context.params["request"])
            try:
                with reading() as session:
                    given = training_input(session, context, request, context.params["snapshot_id"])
            except Problem as problem:
                raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
            write_training_folder(folder, given)
    return folder


def _carry_out(context: JobContext, folder: Path, shared: Path) -> None:
    """Run the trial in this process; every epoch is reported to its study, every outcome becomes a checkpoint."""
    import torch

    from models.catalog import ModelUnavailableError
    from models.data.folds import TooFewGroupsError
    from models.training.errors import TrainingRefusedError, TrainingStoppedError
    from models.training.progress import Progress
    from models.training.trial import Listener, Outcome, Run, run_trial

    if threads := get_settings().threads:
        torch.set_num_threads(threads)
    wanted = context.params["runs"]
    ready = {outcome["chooser"] for outcome in _done(context)}
    runs = [
        Run(run["chooser"], tuple(run["splits"]), run["parameters"])
        for run in wanted
        if run["chooser"] not in ready
    ]

    def tell(event: dict[str, Any]) -> None:
        kind, data = event["event"], {key: value for key, value in event.items() if key != "event"}
        if kind == "progress":
            context.progress(stage=data["stage"], done=len(_done(context)), total=len(wanted))
        elif kind != "checkpoint":  # in the middle of an epoch: a file that only this machine knows
            context.emit(kind, data)
        if kind == "epoch":
            at = {"chooser": data["chooser"], "split": data["member"], "epoch": data["epoch"]}
            context.save_checkpoint({"runs": _done(context), "at": at})

    def done(outcome: Outcome) -> None:
        context.save_checkpoint({"runs": [*_done(context), asdict(outcome)]})

    progress = Progress(tell, lambda: context.stop_reason() is not None)
    try:
        run_trial(
            folder, runs, shared, context.work_dir / "checkpoints", Listener(progress, _judge(context), done)
        )
    except TrainingStoppedError as stopped:
        raise JobStopped from stopped
    except (TrainingRefusedError, ModelUnavailableError, TooFewGroupsError) as error:
        code = getattr(error, "code", "training-refused")
        raise JobFailed(code, str(error), field=getattr(error, "field", None)) from error


def _judge(context: JobContext) -> Any:
    """Reports a score to the study of a run and says whether to end it; without pruning it only reports."""
    url = get_settings().database_url
    assert url is not None
    storage = open_storage(url)
    names = [run["chooser"] for run in context.params["runs"]]
    studies = {name: open_study(storage, study_name(context.params["search_id"], name)) for name in names}

    def judged(chooser: str, step: int, score: float) -> bool:
        worse = to_be_pruned(studies[chooser], context.params["number"], step, score)
        return worse and context.params["prune"]

    return judged


def _done(context: JobContext) -> list[dict[str, Any]]:
    """Outcomes so far."""
    found: list[dict[str, Any]] = (context.checkpoint or {}).get("runs", [])
    return found


def _stop_if_asked(context: JobContext) -> None:
    if context.stop_reason() is not None:
        raise JobStopped


if __name__ == "__main__":
    child_main(run)
