"""What a process loads: the api stays free of the machine-learning libraries."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "sklearn")


def test_importing_the_api_does_not_import_torch() -> None:
    program = f"import sys, app.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"


def test_the_command_line_starts_without_the_web_framework_and_torch() -> None:
    program = f"import sys, app.cli.main; print([name for name in {(*HEAVY, 'fastapi', 'sqlalchemy')!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"
