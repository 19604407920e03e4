"""A replication package's scripts, run as whoever gets it would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def check_reproduced(folder: Path, numbers: int) -> None:
    """Both scripts find every one of so many estimates again, five figures of each; R's where there is R."""
    for command in ([sys.executable, "reproduce.py"], ["Rscript", "reproduce.R"]):
        if shutil.which(command[0]) is None:
            continue  # R is on no machine by itself
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("same\t") == 5 * numbers, done.stdout
