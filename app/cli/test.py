"""`remand test`: every check of the project: ruff, mypy, import contracts, tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("test", context_settings=ARGUMENTS)(check_everything)


def check_everything(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="`checks` or `tests`; default both.")] = "both",
) -> None:
    """Run every check: ruff, mypy, import contracts, then pytest (further arguments go to pytest). Fails if any of them does."""
    failed = [] if only == "tests" else run_checks()
    status = 0 if only == "checks" else run_tests(context.args)
    raise typer.Exit(1 if failed or status else 0)


def run_checks() -> list[str]:
    """The static checks, side by side; prints what failed and gives its names."""
    commands = {
        "ruff check": [sys.executable, "-m", "ruff", "check", ".", "remand"],
        "ruff format": [sys.executable, "-m", "ruff", "format", "--check", ".", "remand"],
        "mypy": [sys.executable, "-m", "mypy"],
        "import contracts": [str(Path(sys.executable).with_name("lint-imports"))],
    }
    running = {name: _start(command) for name, command in commands.items()}
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode != 0:
            failed.append(name)
            typer.echo(f"--- {name} ---\n{output.rstrip()}")
    words = [f"{name} {'FAILED' if name in failed else 'passed'}" for name in commands]
    typer.echo(f"checks: {', '.join(words)}")
    sys.stdout.flush()
    return failed


def run_tests(arguments: list[str]) -> int:
    """pytest, two test files at a time; its closing line is the last that is printed. Gives its exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS), "--dist", "loadfile", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _start(command: list[str]) -> subprocess.Popen[str]:
    """Start a check in the checkout, keeping its output."""
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
