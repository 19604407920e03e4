"""Signs of life, pace, memory and disk as a supervisor and a child judge them."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from app.settings import Settings
from models.training.estimate import Size
from workers import host_memory, vitals
from workers.endings import Watched, how_it_ended
from workers.failures import SIZE_FILE, machine_failure, memory_failure
from workers.heartbeat import FILE, RECORD, Heartbeat, allowed_silence, read_beat
from workers.host_memory import Sample
from workers.job_context import EXIT_DONE, EXIT_LEASE_LOST, EXIT_STOPPED
from workers.pace import Pace
from workers.stack_dump import ask_for_stack, dump_on_signal, frames
from workers.vitals import Silence, Vitals

SIZE = Size(
    texts=30_000, tokens=9_000_000, characters=40_000_000, options=10, hidden=384, layers=6, heads=12,
    base_bytes=90 << 20, trained_layers=6,
)  # fmt: skip


def test_beats_are_counted_and_belong_to_their_attempt(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, fence=2)
    for stage in ("trunk", "fold 1 of 2"):
        heart.beat(stage)
    beat = read_beat(tmp_path, 2)
    assert beat is not None
    assert (beat.count, beat.stage) == (3, "fold 1 of 2")
    assert beat.longest_seconds >= 0
    assert read_beat(tmp_path, 1) is None
    assert (tmp_path / FILE).stat().st_size == RECORD


def test_a_heartbeat_that_is_being_written_is_no_heartbeat(tmp_path: Path) -> None:
    assert read_beat(tmp_path, 1) is None
    (tmp_path / FILE).write_text('{"fence": 1, "cou')
    assert read_beat(tmp_path, 1) is None


def test_silence_is_measured_against_the_longest_step() -> None:
    assert allowed_silence(0.1, floor=900, factor=20) == 900
    assert allowed_silence(60, floor=900, factor=20) == 1200


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of vitals, in its one element."""
    now = [1000.0]
    monkeypatch.setattr(vitals.time, "monotonic", lambda: now[0])
    return now


def test_a_child_is_stuck_only_after_its_longest_step_many_times_over(
    tmp_path: Path, clock: list[float]
) -> None:
    settings = Settings(stuck_seconds=30, stuck_factor=10, _env_file=None)  # type: ignore[call-arg]
    watching = Vitals(os.getpid(), tmp_path, 1, settings, watched=True)
    clock[0] += 100
    watching.look()
    assert watching.silence() is None, "libraries take their time to load"
    said = {"fence": 1, "count": 7, "stage": "trunk", "longest": 5.0}
    (tmp_path / FILE).write_text(json.dumps(said))
    clock[0] += 2
    watching.look()
    assert watching.last is not None
    assert watching.seen() == {"memory_bytes": watching.last.taken, "peak_memory_bytes": watching.peak}
    clock[0] += 52
    watching.look()
    assert watching.silence() == Silence("trunk", 52.0, 50.0, 7)
    (tmp_path / FILE).write_text(json.dumps(said | {"count": 8}))
    clock[0] += 2
    watching.look()
    assert watching.silence() is None
    assert Vitals(os.getpid(), tmp_path, 1, settings, watched=False).silence() is None


def test_pace_is_the_median_of_stretches_that_grew() -> None:
    pace = Pace(expected=100.0)
    told = [pace.told(done, at) for done, at in ((0, 0), (100, 1), (200, 2), (200, 40), (300, 41))]
    assert told[-1] == {"per_second": 100.0, "expected_per_second": 100.0}
    slow = Pace(expected=100.0)
    assert [slow.told(10 * step, step).get("slow") for step in range(5)][-1] is True
    assert Pace().told(5, 1.0) == {}
    assert pace.told(None, 50.0) == {}


def test_the_control_group_of_this_process(tmp_path: Path) -> None:
    group = tmp_path / "system.slice" / "remand.service"
    group.mkdir(parents=True)
    membership = tmp_path / "cgroup"
    membership.write_text("0::/system.slice/remand.service\n")
    assert host_memory.cgroup_folder(tmp_path, membership) is None
    (group / "memory.events").write_text("low 0\noom 4\noom_kill 3\noom_group_kill 1\n")
    (group / "memory.max").write_text("1048576\n")
    assert host_memory.cgroup_folder(tmp_path, membership) == group
    assert (host_memory.oom_kills(group), host_memory.limit(group)) == (3, 1 << 20)
    (group / "memory.max").write_text("max\n")
    assert host_memory.limit(group) == host_memory.limit(None) > 1 << 20
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("pgfault 9\noom_kill 5\n")
    assert host_memory.oom_kills(None, vmstat) == 5


def test_evidence_of_starvation() -> None:
    def starved(kills: int, last: Sample | None) -> bool:
        return host_memory.starved(kills=kills, last=last, limit_bytes=1000)

    assert starved(1, None)
    assert starved(0, Sample(900, 0.5))
    assert starved(0, Sample(100, 0.01))
    assert not starved(0, Sample(100, 0.5))
    assert not starved(0, None)


class Unstarved:
    """Vitals of a child with memory to spare."""

    peak, limit_bytes = 10, 1000

    def starved(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("status", "watched", "code", "counted"),
    [
        (EXIT_STOPPED, Watched(asked="pause"), "pause", False),
        (-9, Watched(asked="cancel", killed=True), "cancel", False),
        (EXIT_STOPPED, Watched(), "stopped", False),
        (EXIT_DONE, Watched(), "no-result", True),
        (-9, Watched(), "child-died", True),
        (3, Watched(), "child-died", True),
        (-9, Watched(killed=True, silence=Silence("trunk", 9, 5, 3)), "stuck", True),
    ],
)
def test_how_attempts_end(status: int, watched: Watched, code: str, counted: bool, tmp_path: Path) -> None:
    ending = how_it_ended(status, watched, "words", Unstarved(), tmp_path)  # type: ignore[arg-type]
    assert ending is not None
    assert (ending.code, ending.counted, ending.hopeless) == (code, counted, None)


def test_an_attempt_that_lost_its_job_has_no_ending(tmp_path: Path) -> None:
    assert how_it_ended(EXIT_LEASE_LOST, Watched(), "", Unstarved(), tmp_path) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_want_of_memory_says_what_would_fit(error: Exception, tmp_path: Path) -> None:
    (tmp_path / SIZE_FILE).write_text(json.dumps(SIZE.to_document()))
    failure = machine_failure(error, tmp_path, taken=3 << 30, limit=4 << 30)
    assert failure is not None
    assert failure.code == "out-of-memory"
    assert set(failure.extra["would_fit"]) >= {"memory_bytes"}
    assert f"memory_bytes = {failure.extra['would_fit']['memory_bytes']}" in failure.detail
    assert "3.0 GiB of 4.0 GiB" in failure.detail


def test_a_machine_that_is_too_small_for_anything_is_told_so(tmp_path: Path) -> None:
    (tmp_path / SIZE_FILE).write_text(json.dumps(SIZE.to_document()))
    failure = memory_failure(tmp_path, taken=90 << 20, limit=100 << 20, killed=True)
    assert failure.extra["would_fit"] is None
    assert "Nothing smaller would fit" in failure.detail


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_found_behind_other_errors(error: Exception, tmp_path: Path) -> None:
    try:
        raise RuntimeError("checkpoint not written") from error
    except RuntimeError as outer:
        failure = machine_failure(outer, tmp_path, taken=1, limit=2)
    assert failure is not None
    assert (failure.code, failure.extra["folder"]) == ("disk-full", str(tmp_path))


def test_other_errors_are_nobodys_want(tmp_path: Path) -> None:
    short = OSError("100 requested and 7 written")  # numpy's words; here the disk has room
    for error in (ValueError("x"), OSError(errno.EACCES, "denied"), short):
        assert machine_failure(error, tmp_path, taken=1, limit=2) is None


def test_a_stack_names_places_and_no_values(tmp_path: Path) -> None:
    dump_on_signal(tmp_path)
    told: list[tuple[str, ...]] = []
    waiting = threading.Event()

    def ask() -> None:
        waiting.wait()
        told.append(ask_for_stack(os.getpid(), tmp_path))

    asking = threading.Thread(target=ask)
    asking.start()
    _wait_here(asking, waiting, "a secret of a text")
    assert any("test_vitals.py" in line and "_wait_here" in line for line in told[0])
    assert "secret" not in str(told)
    assert ask_for_stack(os.getpid(), tmp_path / "nowhere") == ()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def _wait_here(thread: threading.Thread, waiting: threading.Event, _text: str) -> None:
    waiting.set()
    while thread.is_alive():
        time.sleep(0.01)


def test_frames_without_folders() -> None:
    dump = (
        'Thread 0x00007f (most recent call first):\n  File "/home/ana/secret/fit.py", line 12 in step\n'
        'Current thread 0x00007e (most recent call first):\n  File "/x/run.py", line 3 in train\n'
    )
    assert frames(dump) == ("Current thread 0x00007e", "run.py:3 train", "Thread 0x00007f", "fit.py:12 step")
