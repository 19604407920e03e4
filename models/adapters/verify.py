"""The reload check: in a fresh process, load an adapter folder and compare its logits with those noted at training.

python -m models.adapters.verify FOLDER --base BASE_FOLDER --expected CHECK.npz
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.adapters.folder import AdapterInvalidError, verify
from models.adapters.load import load_adapter
from models.encoder.load import load_encoder

TOLERANCE = 2e-2
"""Largest difference of a logit that passes. Batches of another shape round differently in bf16."""


def check(folder: Path, base: Path, expected: Path, device: str) -> dict[str, float | str]:
    """Compare logits of every member on the noted texts.

    Raises:
        AdapterInvalidError: a file is missing or changed, or a logit differs by more than TOLERANCE.
    """
    manifest = verify(folder)
    adapter = load_adapter(
        folder, load_encoder(base, device, quantization=manifest["base"].get("quantization"))
    )
    texts = json.loads((expected.with_suffix(".json")).read_text(encoding="utf-8"))
    worst = 0.0
    with np.load(expected, allow_pickle=False) as noted:
        for name, found in zip(adapter.members, adapter.logits(texts, adapter.members), strict=True):
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
