"""A supervised part: starts, answers, dies, comes back later and later, and is given up on when it never answers."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.stack.account import current_account
from app.stack.errors import PartFailed
from app.stack.parts import SERVICES, Part
from app.stack.program import Program
from app.stack.running import RunningPart, ending, restart_pause
from app.stack.state import StackState
from app.stack.supervisor import StopRequested, Supervisor, stoppable

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


class Notes:
    """A screen that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.states: list[StackState] = []

    def report(self, message: str) -> None:
        self.messages.append(message)

    def show(self, state: StackState) -> None:
        self.states.append(state)


def part(
    name: str, script: str, answers: Callable[[], bool] = lambda: True, start_seconds: float = 30.0
) -> Part:
    program = Program(("sh", "-c", script), current_account(), ENVIRONMENT, stop=((signal.SIGTERM, 5.0),))
    return Part(name, program, answers, SERVICES, start_seconds=start_seconds)


def supervisor(folder: Path) -> tuple[Supervisor, Notes]:
    (folder / "logs").mkdir()
    notes = Notes()
    return Supervisor(folder, current_account(), notes, "http://127.0.0.1:1"), notes


def tick_until(one: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        one.tick()


def interrupted(one: Supervisor, parts: tuple[Part, ...], *signals: signal.Signals) -> None:
    one.start(parts)
    for number in signals:
        signal.raise_signal(number)
    one.run()


@pytest.mark.parametrize(
    ("failures", "pause"), [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (500, 30.0)]
)
def test_pauses_double_up_to_thirty_seconds(failures: int, pause: float) -> None:
    assert restart_pause(failures) == pause


def test_an_ending_is_told_in_words() -> None:
    assert ending(-9) == "was killed by signal 9"
    assert ending(3) == "ended with status 3"


def test_a_part_that_is_killed_comes_back_and_both_are_reported(tmp_path: Path) -> None:
    one, notes = supervisor(tmp_path)
    with stoppable(one):
        one.start((part("worker", "exec sleep 1000"),))
        worker = one.parts[0]
        assert worker.process is not None
        first = worker.process.pid
        worker.process.send_signal(signal.SIGKILL)
        tick_until(one, lambda: worker.restarts == 1 and worker.condition == "ready")
        assert worker.process.pid != first
    assert notes.messages[0].startswith("worker was killed by signal 9; starting it again in 0.5 s")
    assert notes.messages[1] == "worker is back"
    assert [state.condition for state in notes.states[-1].parts] == ["stopped"]


def test_a_part_that_dies_at_the_start_ends_the_start_with_its_own_words(tmp_path: Path) -> None:
    one, _ = supervisor(tmp_path)
    with (
        pytest.raises(PartFailed, match=r"(?s)broken ended with status 7.*cannot read the weights"),
        stoppable(one),
    ):
        one.start((part("broken", "echo cannot read the weights; exit 7", lambda: False),))


def test_a_part_that_never_answers_ends_the_start(tmp_path: Path) -> None:
    one, _ = supervisor(tmp_path)
    with pytest.raises(PartFailed, match="silent did not answer within 0 s"), stoppable(one):
        one.start((part("silent", "exec sleep 1000", lambda: False, start_seconds=0.2),))


def test_a_part_that_falls_silent_is_told_from_a_dead_one(tmp_path: Path) -> None:
    one, notes = supervisor(tmp_path)
    answer = threading.Event()
    answer.set()
    with stoppable(one):
        one.start((part("api", "exec sleep 1000", answer.is_set),))
        answer.clear()
        one.parts[0].next_action = 0.0
        tick_until(one, lambda: one.parts[0].condition == "not answering")
        answer.set()
        one.parts[0].next_action = 0.0
        tick_until(one, lambda: one.parts[0].condition == "ready")
    assert notes.messages[0].startswith("api does not answer")
    assert notes.messages[1] == "api is back"
    assert one.parts[0].restarts == 0


def test_a_probe_that_raises_is_no_answer(tmp_path: Path) -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError

    running = RunningPart(part("redis", "exec sleep 1000", refuse), tmp_path / "redis.log", current_account())
    running.start()
    with ThreadPoolExecutor(1) as probes:
        assert running.watch(probes) is None
        assert running.probe is not None
        assert running.probe.result(timeout=10) is False
    assert running.process is not None
    running.process.kill()
    running.process.wait()


def test_a_signal_ends_the_loop_and_stops_every_part(tmp_path: Path) -> None:
    one, notes = supervisor(tmp_path)
    with pytest.raises(StopRequested), stoppable(one):
        interrupted(one, (part("a", "exec sleep 1000"), part("b", "exec sleep 1000")), signal.SIGTERM)
    assert [running.process.returncode for running in one.parts if running.process] == [-signal.SIGTERM] * 2
    assert notes.states[-1].phase == "stopping"


def test_a_second_signal_does_not_wait_for_a_stubborn_part(tmp_path: Path) -> None:
    one, _ = supervisor(tmp_path)
    stubborn = "trap '' TERM; touch ready; while :; do sleep 1; done"
    program = Program(
        ("sh", "-c", stubborn), current_account(), ENVIRONMENT, tmp_path, stop=((signal.SIGTERM, 1000.0),)
    )
    with pytest.raises(StopRequested), stoppable(one):
        interrupted(
            one,
            (Part("stubborn", program, (tmp_path / "ready").exists, SERVICES),),
            signal.SIGINT,
            signal.SIGINT,
        )
    assert one.parts[0].process is not None
    assert one.parts[0].process.returncode == -signal.SIGKILL
