"""The command line starts quickly and ends expected errors with one message."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HEAVY = (
    "torch",
    "transformers",
    "sqlalchemy",
    "fastapi",
    "celery",
    "polars",
    "numpy",
    "httpx",
    "pydantic_settings",
    "app.db",
    "app.main",
)


def remand(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
    )


def test_building_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys; from app.cli.main import build; build(); print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout == "[]\n"


def test_the_verbs_of_the_stack_are_there() -> None:
    words = remand("--help").stdout.split()
    assert {"up", "down", "status", "backup", "restore", "test"} <= set(words)


def test_an_expected_error_is_one_message_and_an_exit_code() -> None:
    refused = remand("up", REMAND_HOME="/proc/remand")
    assert (refused.returncode, refused.stdout) == (73, "")
    assert refused.stderr.startswith("remand: Cannot use the folder /proc/remand")
    assert "Traceback" not in refused.stderr


def test_status_of_nothing_is_exit_code_4(tmp_path: Path) -> None:
    assert remand("status", "--json", REMAND_HOME=str(tmp_path)).stdout == '{"running": false}\n'
    words = remand("status", REMAND_HOME=str(tmp_path))
    assert (words.returncode, words.stderr) == (
        4,
        f"Remand is not running on {tmp_path}. Start it with `remand up`.\n",
    )


def test_down_of_nothing_says_so(tmp_path: Path) -> None:
    assert remand("down", REMAND_HOME=str(tmp_path)).stdout == f"Remand is not running on {tmp_path}.\n"
