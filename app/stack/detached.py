"""A stack in the background: starting one, handing its key over, and stopping the one that runs."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from app.settings import Settings
from app.stack.account import service_account
from app.stack.connection import Access
from app.stack.embedded import log_end
from app.stack.errors import AlreadyRunning, StackError
from app.stack.folders import home_folder, private_file, private_folder
from app.stack.logs import open_log
from app.stack.parts import ROOT
from app.stack.state import read_state, running_pid
from app.stack.up import open_home

HANDOVER = "handover.json"
LONGEST_STOP_SECONDS = 45.0


def start_detached(settings: Settings) -> Access:
    """Start `remand up` in a session of its own and wait until all of it answers.

    Gives the admin key and a sign-in link. AlreadyRunning, or StackError with the reason and exit code of the start.
    """
    account = service_account()
    folder = open_home(home_folder(settings.home), account)
    if (pid := _wait_while_starting(folder)) is not None:
        raise AlreadyRunning(f"Remand is running already (process {pid}, data in {folder}).")
    handover = folder / HANDOVER
    handover.unlink(missing_ok=True)
    log = private_folder(folder / "logs", account) / "up.log"
    log.unlink(missing_ok=True)
    with closing(open_log(log, account)) as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "up", "--background"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ) | {"PYTHONPATH": str(ROOT), "REMAND_HOME": str(folder)},
            start_new_session=True,
        )
    try:
        return _wait_for_handover(process, handover, log)
    except BaseException:
        if process.poll() is None:
            process.terminate()
            process.wait(LONGEST_STOP_SECONDS)
        raise


def hand_over(folder: Path, access: Access) -> None:
    """Called in the background process once everything answers: leave the key for the one who started it (0600)."""
    private_file(folder / HANDOVER, json.dumps(asdict(access)), service_account())


def stop_running(folder: Path) -> bool:
    """Ask the stack of this folder to stop and wait for its end; False when none runs. StackError when it cannot be stopped."""
    pid = running_pid(folder)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise StackError(
            f"Remand runs as another user (process {pid}); stop it as that user or as root."
        ) from error
    deadline = time.monotonic() + LONGEST_STOP_SECONDS
    while running_pid(folder) is not None:
        if time.monotonic() > deadline:
            raise StackError(
                f"Remand (process {pid}) has not stopped after {LONGEST_STOP_SECONDS:.0f} s; its logs are in {folder / 'logs'}."
            )
        time.sleep(0.1)
    return True


def running_url(folder: Path) -> str | None:
    """The api's address of the stack that runs on this folder, ready; None when there is none."""
    pid, state = running_pid(folder), read_state(folder)
    return state.url if pid is not None and state is not None and state.phase == "ready" else None


def _wait_while_starting(folder: Path) -> int | None:
    """The process of the stack that runs here, once it is ready; None when none runs."""
    while (pid := running_pid(folder)) is not None and running_url(folder) is None:
        time.sleep(0.1)
    return pid


def _wait_for_handover(process: subprocess.Popen[bytes], handover: Path, log: Path) -> Access:
    """Poll until the background process has handed its key over; its death is an error with its own words."""
    while not handover.exists():
        if process.poll() is not None:
            words = log_end(log, lines=14).removeprefix("remand: ")
            failure = StackError(f"{words or 'The start failed'}\n(whole log: {log})")
            failure.exit_code = process.returncode or 1
            raise failure
        time.sleep(0.1)
    document = json.loads(handover.read_text(encoding="utf-8"))
    handover.unlink()
    return Access(**document)
