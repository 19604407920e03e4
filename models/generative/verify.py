"""The reload check: in a fresh process, by transformers and peft alone, compare an adapter's logits with those noted at training.

python -m models.generative.verify FOLDER --base BASE_FOLDER --expected CHECK.npz --device cpu --dtype float32
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.adapters.folder import AdapterInvalidError, verify

TOLERANCES = {"float32": 2e-4, "bfloat16": 4e-2}
"""Largest difference of a logit that passes, as a share of the largest logit."""


def logits_of(
    folder: Path, base: Path, ids: NDArray[np.int32], device: str, dtype: str, *, four_bit: bool
) -> NDArray[np.float32]:
    """float32 (tokens, vocabulary) of the reloaded adapter."""
    from peft import PeftModel

    from models.generative.load import load_model

    task = str(verify(folder)["task"])
    plain = load_model(base, task, getattr(torch, dtype), torch.device(device), four_bit=four_bit)
    model = PeftModel.from_pretrained(plain, str(folder), is_trainable=False).eval()
    row = torch.from_numpy(ids.astype(np.int64)).to(device).unsqueeze(0)
    inputs: dict[str, Any] = {"input_ids": row}
    if task == "summarize":
        inputs["decoder_input_ids"] = row
    with torch.no_grad():
        found: NDArray[np.float32] = model(**inputs, use_cache=False).logits[0].float().cpu().numpy()
    return found


def check(found: NDArray[np.float32], noted: NDArray[np.float32], dtype: str) -> float:
    """The largest difference, as a share of the largest logit.

    Raises:
        AdapterInvalidError: it is more than the dtype explains.
    """
    scale = max(1.0, float(np.abs(noted).max(initial=0.0)))
    difference = float(np.abs(found - noted).max(initial=0.0)) / scale
    if not difference <= TOLERANCES[dtype]:
        raise AdapterInvalidError(
            f"the adapter answers otherwise after reloading: logits differ by {difference}"
        )
    return difference


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the outcome as one JSON line; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--expected", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(TOLERANCES), default="float32")
    parser.add_argument("--four-bit", action="store_true")
    given = parser.parse_args(arguments)
    try:
        with np.load(given.expected, allow_pickle=False) as noted:
            ids, expected = noted["ids"], noted["logits"]
        found = logits_of(given.folder, given.base, ids, given.device, given.dtype, four_bit=given.four_bit)
        difference = check(found, expected, given.dtype)
    except AdapterInvalidError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"largest_difference": difference}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
