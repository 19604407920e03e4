"""The state machine of jobs, as pure rules.

Every edge, who takes it, and what it needs (docs/jobs.md draws it):

    (new)   -> queued     the api                 in the transaction that stores the request
    queued  -> running    a jobs worker, `claim`  still queued; fence + 1, attempts + 1, a lease
    queued  -> cancelled  the api                 cancel asked for before anybody claimed it
    queued  -> paused     the api                 pause asked for before anybody claimed it
    running -> running    the worker, `renew`     same fence, expired or not, as long as nobody took the lease
    running -> succeeded  the child               same fence, in the transaction that writes the results
    running -> failed     the child               same fence; the job's own fault, so no retry
    running -> cancelled  worker or dispatcher    the attempt ended and cancel had been asked for
    running -> paused     worker or dispatcher    the attempt ended and pause had been asked for
    running -> queued     worker or dispatcher    the attempt ended early, attempts are left
    running -> failed     worker or dispatcher    the attempt ended early, none are left since the last new checkpoint
    paused  -> queued     the api                 resume
    paused  -> cancelled  the api                 cancel

succeeded, failed and cancelled are final. Whatever is written for a running job checks its fence under the job row's lock.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL: frozenset[State] = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
"""States that a job never leaves; the event stream ends with an event of that name."""

EDGES: frozenset[tuple[State, State]] = frozenset(
    {
        (State.QUEUED, State.RUNNING),
        (State.QUEUED, State.CANCELLED),
        (State.QUEUED, State.PAUSED),
        (State.RUNNING, State.QUEUED),
        (State.RUNNING, State.SUCCEEDED),
        (State.RUNNING, State.FAILED),
        (State.RUNNING, State.CANCELLED),
        (State.RUNNING, State.PAUSED),
        (State.PAUSED, State.QUEUED),
        (State.PAUSED, State.CANCELLED),
    }
)
"""The allowed changes of state."""


class LeaseLost(Exception):
    """Another worker holds the job, or it has ended: the writer must stop and write nothing."""


def is_final(state: str) -> bool:
    """Whether nothing more will happen to a job in this state."""
    return State(state) in FINAL


def check_edge(before: str, after: str) -> None:
    """Refuse a change of state that the machine does not have; LeaseLost because somebody else was faster."""
    if (State(before), State(after)) not in EDGES:
        raise LeaseLost(f"a job that is {before} cannot become {after}")


def after_early_end(
    *,
    cancel_requested: bool,
    counted: bool,
    attempts_since_checkpoint: int,
    max_attempts: int,
    pause_requested: bool = False,
) -> State:
    """What a running job becomes when its attempt ended without a result.

    counted: False where the worker shut down in good order, which is nobody's failure.
    attempts_since_checkpoint: claims since the last new checkpoint, this one included.
    """
    if cancel_requested:
        return State.CANCELLED
    if counted and attempts_since_checkpoint >= max_attempts:
        return State.FAILED
    return State.PAUSED if pause_requested else State.QUEUED


def eta_seconds(done: float, total: float, elapsed_seconds: float) -> float | None:
    """Seconds left at the pace so far; None before anything is done."""
    if done <= 0 or total <= 0 or elapsed_seconds <= 0:
        return None
    return max(0.0, (total - done) * elapsed_seconds / done)
