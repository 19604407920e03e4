"""What runs and whether it answers now: the state file beside live probes."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from app.stack.parts import celery_answers, dispatcher_leads, http_answers
from app.stack.postgres import postgres_answers
from app.stack.redis_server import redis_answers
from app.stack.state import StackState, read_state, running_pid


@dataclass(frozen=True, slots=True)
class Status:
    """A stack as it answers at this moment; `answers` by part, also for servers of one's own."""

    pid: int
    state: StackState
    answers: Mapping[str, bool]

    @property
    def healthy(self) -> bool:
        """Whether everything has started and answers."""
        return self.state.phase == "ready" and all(self.answers.values())


def look(folder: Path) -> Status | None:
    """Probe every part of the stack that runs on this folder; None when none runs."""
    pid = running_pid(folder)
    state = read_state(folder)
    if pid is None or state is None:
        return None
    inference = next((part.address for part in state.parts if part.name == "inference"), "")
    probes: dict[str, Callable[[], bool]] = {
        "postgres": lambda: postgres_answers(state.database_url),
        "redis": lambda: redis_answers(state.redis_url),
        "inference": lambda: http_answers(f"{inference}/readyz"),
        "jobs": lambda: celery_answers(state.redis_url),
        "dispatcher": lambda: dispatcher_leads(state.database_url),
        "api": lambda: http_answers(f"{state.url}/livez"),
    }
    with ThreadPoolExecutor(len(probes)) as pool:
        answers = dict(zip(probes, pool.map(_safely, probes.values()), strict=True))
    return Status(pid, state, answers)


def as_document(status: Status) -> dict[str, object]:
    """The status for programs, without passwords."""
    known = {part.name: part for part in status.state.parts}
    return {
        "running": True,
        "healthy": status.healthy,
        "pid": status.pid,
        "phase": status.state.phase,
        "url": status.state.url,
        "up_seconds": round(time.time() - status.state.started, 1),
        "parts": [
            {
                "name": name,
                "answers": answers,
                "condition": part.condition if (part := known.get(name)) else "not ours",
                "pid": part.pid if part else None,
                "restarts": part.restarts if part else None,
            }
            for name, answers in status.answers.items()
        ],
        "events": list(status.state.events),
    }


def _safely(probe: Callable[[], bool]) -> bool:
    """A probe's answer; whatever it raises means no answer."""
    try:
        return probe()
    except Exception:  # noqa: BLE001  (a server that is down fails in every possible way)
        return False
