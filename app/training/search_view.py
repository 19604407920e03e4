"""A trial as the API and the report show it: from its job's row alone."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from app.db.tables import Job
from app.training.search_schemas import MemberScore, TrialAnswer, TrialState


def trial_answer(number: int, job: Job, chosen: Mapping[str, Any] | None) -> TrialAnswer:
    """A trial of a search.

    chosen: by member, what was chosen (the search's checkpoint); None as long as nothing was.
    """
    outcomes = (job.result or job.checkpoint or {}).get("runs") or []
    done = {outcome["chooser"]: outcome for outcome in outcomes}
    members = [_member(run, done.get(run["chooser"])) for run in job.params["runs"]]
    scores = [member.score for member in members if member.score is not None]
    tried = [run["parameters"] for run in job.params["runs"]]
    return TrialAnswer(
        number=number,
        job_id=job.id,
        state=_state(job, outcomes),
        parameters=tried[0] if all(parameters == tried[0] for parameters in tried) else None,
        members=members,
        mean=fmean(scores) if scores else None,
        seconds=sum(outcome["seconds"] for outcome in outcomes) if outcomes else None,
        chosen_for=sorted(
            (name for name, choice in (chosen or {}).items() if choice["trial"] == number), key=member_order
        ),
        error=job.error,
    )


def member_order(name: str) -> tuple[bool, int, str]:
    """Folds in their order, `final` after them."""
    return name == "final", len(name), name


def _state(job: Job, outcomes: list[dict[str, Any]]) -> TrialState:
    if job.state != "succeeded":
        return job.state  # type: ignore[return-value]  # the column's check names the same states
    return "pruned" if all(outcome["pruned_at"] is not None for outcome in outcomes) else "complete"


def _member(run: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> MemberScore:
    if outcome is None:
        return MemberScore(member=run["chooser"], parameters=run["parameters"], score=None)
    names = ("score", "loss", "best_epoch", "epochs", "seconds", "pruned_at")
    several = outcome["folds"] if run["chooser"] == "all" else []
    return MemberScore(
        member=run["chooser"],
        parameters=run["parameters"],
        folds=several,
        **{name: outcome[name] for name in names},
    )
