"""The reload check: a fresh process loads a written adapter and has to answer as this one did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from models.training.errors import TrainingRefusedError

_ROOT = Path(__file__).parents[2]


def fresh_process(module: str, arguments: Sequence[str], seconds: float) -> float:
    """Run a check that prints its outcome as one JSON line; the largest difference of a logit that it found.

    Args:
        module: the check's (`python -m`).
        arguments: of its command line.
        seconds: after which it is given up.

    Raises:
        TrainingRefusedError: the fresh process answers otherwise, so the adapter must not be used.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=_ROOT)
    if done.returncode != 0:
        raise TrainingRefusedError(
            "reload-check-failed",
            "adapter",
            f"the adapter failed its reload check: {done.stderr.strip()[-500:]}",
        )
    return float(json.loads(done.stdout.splitlines()[-1])["largest_difference"])
