"""The reload check: in a fresh process, load an adapter folder and compare its logits with those noted at training.

python -m models.adapters.verify FOLDER --base BASE_FOLDER --expected CHECK.npz
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adapters.folder import AdapterInvalidError, verify
from models.adapters.load import LoadedAdapter, load_adapter
from models.data.context import Context
from models.encoder.load import load_encoder

TOLERANCE = 2e-2
"""Largest difference of a logit that passes. Batches of another shape round differently in bf16."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is read before and after."""

    texts: Sequence[str]
    contexts: Sequence[Context] | None
    """Of the texts, where they have any: each is read alone and in its context."""


def note_expected(adapter: LoadedAdapter, checked: Checked, expected: Path) -> None:
    """Write what `check` compares with: an .npz file of logits, and a .json file of the same name with what was read."""
    np.savez(expected, **_readings(adapter, checked))  # type: ignore[arg-type]
    around = None if checked.contexts is None else [context.to_document() for context in checked.contexts]
    document = {"texts": list(checked.texts), "contexts": around}
    expected.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")


def _readings(adapter: LoadedAdapter, checked: Checked) -> dict[str, NDArray[np.float32]]:
    """Logits of every member, float32 (texts, options), by its name; in context with a word after it."""
    found = dict(zip(adapter.members, adapter.logits(checked.texts, adapter.members), strict=True))
    if checked.contexts is not None:
        beside = adapter.logits(checked.texts, adapter.members, contexts=checked.contexts)
        found |= {f"{name} in context": part for name, part in zip(adapter.members, beside, strict=True)}
    return found


def check(folder: Path, base: Path, expected: Path, device: str) -> dict[str, float | str]:
    """Compare logits of every member, by each of its readings, on the noted texts.

    Raises:
        AdapterInvalidError: a file is missing or changed, or a logit differs by more than TOLERANCE.
    """
    manifest = verify(folder)
    adapter = load_adapter(
        folder, load_encoder(base, device, quantization=manifest["base"].get("quantization"))
    )
    document = json.loads((expected.with_suffix(".json")).read_text(encoding="utf-8"))
    around = document["contexts"]
    contexts = None if around is None else [Context.from_document(entry) for entry in around]
    checked = Checked(document["texts"], contexts)
    worst = 0.0
    with np.load(expected, allow_pickle=False) as noted:
        for name, found in _readings(adapter, checked).items():
            difference = float(np.abs(found - noted[name]).max(initial=0.0))
            if not difference <= TOLERANCE:
                raise AdapterInvalidError(
                    f"member {name} answers otherwise after reloading: logits differ by {difference}"
                )
            worst = max(worst, difference)
    return {"digest": str(manifest["digest"]), "largest_difference": worst}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the outcome as one JSON line; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--expected", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    try:
        outcome = check(given.folder, given.base, given.expected, given.device)
    except AdapterInvalidError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(outcome) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
