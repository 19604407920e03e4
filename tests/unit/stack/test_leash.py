"""The leash ties a program to its parent and says plainly when it cannot start it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from app.stack.account import current_account
from app.stack.program import LEASH, Program, launch, stop

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def test_a_missing_program_is_named_with_the_reason() -> None:
    process = launch(Program(("/nowhere/postgres",), current_account(), ENVIRONMENT), subprocess.PIPE)
    output, _ = process.communicate()
    assert process.returncode == 127
    assert output == b"remand: cannot start /nowhere/postgres: No such file or directory\n"


def test_a_program_whose_parent_is_gone_already_is_never_started(tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = [sys.executable, "-I", "-S", str(LEASH), "parent=1", "signal=9", "--", "touch", str(made)]
    assert subprocess.run(command, check=False).returncode == 75
    assert not made.exists()


def test_the_program_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    launcher = (
        "import subprocess, sys, signal\n"
        "from app.stack.account import current_account\n"
        "from app.stack.program import Program, launch\n"
        "child = launch(Program(('sleep', '1000'), current_account(), {'PATH': '/usr/bin:/bin'}), subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", launcher],
        stdout=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs([child], timeout=20)
    assert gone
    assert not alive


def test_stop_kills_what_ignores_its_signal() -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done"
    program = Program(("sh", "-c", stubborn), current_account(), ENVIRONMENT, stop=((signal.SIGTERM, 0.2),))
    process = launch(program, subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert stop(process, program) == -signal.SIGKILL
    process.stdout.close()


def test_a_program_gets_only_the_environment_it_is_given() -> None:
    process = launch(
        Program(("env",), current_account(), {"PATH": "/usr/bin:/bin", "A": "b"}), subprocess.PIPE
    )
    output, _ = process.communicate()
    assert {line for line in output.decode().splitlines() if not line.startswith(("LC_CTYPE", "_="))} == {
        "PATH=/usr/bin:/bin",
        "A=b",
    }
