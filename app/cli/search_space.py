"""The search of `remand train --search FILE --trials N`: read from a file, or a usual one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

USUAL_SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 5e-5, "high": 3e-3, "log": True},
    "lora_rank": {"type": "choice", "values": [4, 8, 16, 32]},
    "dropout": {"type": "float", "low": 0.0, "high": 0.4},
    "weight_decay": {"type": "choice", "values": [0.0, 0.01, 0.1]},
}
"""What is searched where only a number of trials is given."""


def search_of(file: Path | None, trials: int | None) -> dict[str, Any] | None:
    """The `search` of a train request; None where nothing was asked for.

    file: JSON, either a search with its `space` or the space alone. Ends the command for a file that cannot be read.
    """
    from app.cli.client import fail

    if file is None and trials is None:
        return None
    given: dict[str, Any] = {"space": USUAL_SPACE}
    if file is not None:
        try:
            given = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            fail(f"{file} is no JSON file that can be read: {error}")
        if not isinstance(given, dict):
            fail(f"{file} holds no JSON object: give a search with its space, or a space.")
        given = given if "space" in given else {"space": given}
    return given if trials is None else given | {"trials": trials}
