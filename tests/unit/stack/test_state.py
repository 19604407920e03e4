"""The lock, the state file, the logs and the secrets of a data folder."""

import stat
from pathlib import Path

import pytest

from app.stack import logs
from app.stack.account import current_account
from app.stack.credentials import load_secrets
from app.stack.errors import AlreadyRunning, FolderUnusable
from app.stack.screen import duration
from app.stack.state import PartState, StackState, only_supervisor, read_state, running_pid, write_state

ME = current_account()


def example(pid: int) -> StackState:
    part = PartState("api", "ready", 12, 1.0, 0, "http://127.0.0.1:8100")
    return StackState(
        pid,
        "ready",
        1.0,
        "http://127.0.0.1:8100",
        "postgresql://x",
        "redis://y",
        (part,),
        ("12:00:00 api is back",),
    )


def test_the_state_file_is_private_and_reads_back(tmp_path: Path) -> None:
    write_state(tmp_path, example(7), ME)
    assert read_state(tmp_path) == example(7)
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1}', '{"parts": 3}'])
def test_a_damaged_state_file_is_no_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert read_state(tmp_path) is None


def test_a_second_supervisor_is_told_who_runs_and_where(tmp_path: Path) -> None:
    assert running_pid(tmp_path) is None
    with only_supervisor(tmp_path, ME):
        pid = running_pid(tmp_path)
        assert pid is not None
        write_state(tmp_path, example(pid), ME)
        expected = rf"running already at http://127.0.0.1:8100 \(process {pid}, data in {tmp_path}\)"
        with pytest.raises(AlreadyRunning, match=expected), only_supervisor(tmp_path, ME):
            pass
    assert running_pid(tmp_path) is None
    with only_supervisor(tmp_path, ME):
        assert running_pid(tmp_path) is not None


def test_a_grown_log_is_cut_and_the_newest_copies_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with logs.open_log(log, ME) as program:
        for number in range(4):
            program.write(b"%d" % number * 20)
            assert logs.rotate(log, largest=10, kept=2)
        program.write(b"new")
    assert log.read_bytes() == b"new"
    assert [path.read_bytes()[:1] for path in (tmp_path / "api.log.1", tmp_path / "api.log.2")] == [
        b"3",
        b"2",
    ]
    assert not (tmp_path / "api.log.3").exists()
    assert not logs.rotate(log, largest=10)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    made = load_secrets(tmp_path, ME)
    assert len(made.secret_key) >= 48
    assert load_secrets(tmp_path, ME) == made
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(FolderUnusable, match=r"secrets\.json is damaged"):
        load_secrets(tmp_path, ME)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600 * 3 + 1200, "3 h 20 min"),
        (86400 * 2 + 3600 * 4, "2 d 4 h"),
    ],
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
