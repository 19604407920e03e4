"""Run one train job: `python -m models.training --input IN --work WORK --output OUT`, one JSON event a line on stdout."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from models.catalog import ModelUnavailableError
from models.data.folds import TooFewGroupsError
from models.training.errors import TrainingRefusedError, TrainingStoppedError

REFUSED, STOPPED = 2, 3
"""Exit statuses: the request cannot be trained on; asked to stop, and resumable."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, printing events; SIGTERM and SIGINT stop it at the next step, leaving its checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    stop = threading.Event()

    def stopped(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)
    # Spinning threads that wait for each other halve the speed of a machine that runs anything else; OpenMP reads this
    # when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from models.training.run import train

    try:
        train(given.input, given.work, given.output, _print, stop.is_set)
    except TrainingStoppedError as error:
        _print({"event": "stopped", "detail": str(error)})
        return STOPPED
    except (TrainingRefusedError, ModelUnavailableError, TooFewGroupsError, FileExistsError) as error:
        code, field = getattr(error, "code", "refused"), getattr(error, "field", None)
        _print({"event": "refused", "code": code, "field": field, "detail": str(error)})
        return REFUSED
    return 0


def _print(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
