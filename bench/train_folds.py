"""A whole job, five held-out folds and the final fit with everything around them, beside one fit by the Trainer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from bench.train_setup import MAX_TOKENS, Texts
from models.encoder.load import Encoder
from models.training.run import train


def job(
    encoder: Encoder, texts: Texts, trained_layers: int, epochs: int, rank: int, seed: int
) -> dict[str, Any]:
    """Run a train job from its input folder to its adapter folder; seconds by stage, and what it says of the model.

    Everything counts: tokens, trunk, baselines, calibration, report and the reload check in a fresh process.
    """
    request = {
        "scheme": texts.scheme.to_document(), "base_model": str(encoder.path), "folds": 5, "epochs": epochs,
        "trained_layers": trained_layers, "lora_rank": rank, "max_tokens": MAX_TOKENS, "seed": seed,
        "device": str(encoder.device), "catalog": {"allowed_dirs": [str(encoder.path.parent)]},
    }  # fmt: skip
    stages: list[tuple[str, float]] = []

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "progress" and (not stages or stages[-1][0] != event["stage"]):
            stages.append((event["stage"], time.perf_counter()))

    with TemporaryDirectory() as folder:
        place = Path(folder)
        write_input(place / "in", texts, request)
        began = time.perf_counter()
        train(place / "in", place / "work", place / "out", note)
        ended = time.perf_counter()
        report = json.loads((place / "out" / "report.json").read_text(encoding="utf-8"))
    ends = [start for _, start in stages[1:]] + [ended]
    return {
        "seconds": ended - began,
        "stages": {name: round(end - start, 1) for (name, start), end in zip(stages, ends, strict=True)},
        "best_epochs": [fold["best_epoch"] for fold in report["folds"]],
        "macro_f1": {name: macro["f1"] for name, macro in report["macro"].items()},
        "always_no_accuracy": report["always_no"]["macro_accuracy"],
    }


def write_input(folder: Path, texts: Texts, request: Mapping[str, Any]) -> None:
    """The folder that a train job reads (docs/architecture.md)."""
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    keys = [f"text-{row}" for row in range(len(texts.contents))]
    columns = {"key": keys, "content": texts.contents, "group": texts.groups, "split": [None] * len(keys)}
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_ipc(folder / "texts.arrow")
    np.save(folder / "labels.npy", texts.labels)
