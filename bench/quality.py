"""How good an adapter is on real legal texts, beside TF-IDF and logistic regression.

    remand bench quality --data ../shared/data [--collections echr,vetclaims,tos] [--epochs 1] [--folds 3] [--json FILE]

ECHR: trained on the train split alone, folds by case within it; thresholds chosen on those folds; read once on val. The
peer is scikit-learn's TF-IDF (1-2-grams) and balanced logistic regression on the same rows, at 0.5 and at thresholds
chosen on the same folds. VetClaims and ToS have no split: their figures are held out by document. Nothing of val chooses
anything in this command; that the recipe was made while looking at ECHR before is said in docs/adr/0012. How far each idea
of the recipe carried is `remand bench quality_ideas`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As train jobs do: spinning OpenMP threads halve the speed of a machine that runs anything else. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from numpy.typing import NDArray

from app.training.folder import TrainingInput, write_training_folder
from bench.machine import describe
from bench.quality_data import Collection, echr, tos, vetclaims
from bench.quality_tables import ladder, on_val, questions
from models.adapters.load import load_adapter
from models.catalog import locate
from models.encoder.load import load_encoder
from models.training.run import train

FILES = {
    "echr": (echr, "echr_arguments/paragraphs.csv"),
    "vetclaims": (vetclaims, "vetclaims_roles/sentences.jsonl"),
    "tos": (tos, "tos_unfair_clauses/sentences.jsonl"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(prog="remand bench quality", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--collections", default="echr,vetclaims,tos")
    parser.add_argument(
        "--rows", type=int, help="so many texts alone, spread evenly, to train on and of val (a quick look)"
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--request", type=json.loads, default={}, help="further fields of the train request")
    parser.add_argument("--work", type=Path, help="keep all folders here; the same call goes on where it was stopped")  # fmt: skip
    parser.add_argument("--json", type=Path, help="where all numbers go")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {
        "machine": describe(),
        "arguments": {k: str(v) for k, v in vars(options).items()},
    }
    print(json.dumps(found["machine"]), flush=True)
    for name in options.collections.split(","):
        read, place = FILES[name]
        found[name] = measure(name, read(options.data / place), options)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    return 0


def measure(name: str, collection: Collection, options: argparse.Namespace) -> dict[str, Any]:
    """Train on what is not held out, and compare."""
    rows, check = (
        _spread(np.flatnonzero(part), options.rows) for part in (~collection.held_out, collection.held_out)
    )
    folder = options.work / name if options.work else Path(tempfile.mkdtemp(prefix="remand-quality-"))
    clock = Clock()
    try:
        if not (folder / "input").exists():
            _write(folder / "input", collection, rows, options)
        train(folder / "input", folder / "work", folder / "adapter", clock.hear)
        report = json.loads((folder / "adapter/report.json").read_text())
        result: dict[str, Any] = {"train_seconds": clock.so_far, "rows": len(rows)}
        print(f"\n## {collection.name}: {len(rows)} texts, trained in {clock.so_far:.0f} s")
        clock.enter("tables")
        result["ladder"] = ladder(folder, report, collection, options.seed)
        result["questions"] = questions(report)
        if len(check):
            clock.enter("val, and the peer's fits")
            adapter = load_adapter(folder / "adapter", load_encoder(locate("minilm"), "cpu"))
            result["val"] = on_val(adapter, collection, rows, check, options.folds, options.seed)
        result["stages"] = clock.stages()
        result["seconds"] = clock.so_far
        print(f"seconds by stage: {result['stages']}\neverything in {clock.so_far:.0f} s", flush=True)
    finally:
        if not options.work:
            shutil.rmtree(folder)
    return result


class Clock:
    """Seconds by stage of a train job, as its events tell them, and of what comes after."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._entered: list[tuple[str, float]] = [("reading", self._began)]

    @property
    def so_far(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._began, 1)

    def enter(self, stage: str) -> None:
        """Begin a stage."""
        self._entered.append((stage, time.monotonic()))

    def stages(self) -> dict[str, float]:
        """Seconds by stage."""
        ends = [began for _, began in self._entered[1:]] + [time.monotonic()]
        return {name: round(end - began, 1) for (name, began), end in zip(self._entered, ends, strict=True)}

    def hear(self, event: dict[str, Any]) -> None:
        """Note where the job is and print what is worth it."""
        if event["event"] == "progress" and event["stage"] != self._entered[-1][0]:
            self.enter(event["stage"])
        if event["event"] in {"estimate", "epoch", "fold_finished", "report"}:
            kept = {k: v for k, v in event.items() if k in {"member", "epoch", "seconds", "tokens", "best_epoch", "estimated_seconds"}}  # fmt: skip
            print(f"  {self.so_far:6.0f} s {event['event']} {kept}", flush=True)


def _spread(rows: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """All rows, or so many of them at equal distances: of every group some."""
    if count is None or count >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _write(
    folder: Path, collection: Collection, rows: NDArray[np.int64], options: argparse.Namespace
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    request = {
        "scheme": collection.scheme.to_document(), "folds": options.folds, "epochs": options.epochs,
        "seed": options.seed, **options.request,
    }  # fmt: skip
    around = collection.contexts()
    write_training_folder(
        folder,
        TrainingInput(
            request=request,
            keys=[str(row) for row in rows],
            contents=[collection.texts[row] for row in rows],
            groups=[collection.groups[row] for row in rows],
            splits=[None] * len(rows),
            labels=collection.labels[rows],
            corpus_groups=[collection.groups[row] for row in rows],
            contexts=[around[row] for row in rows],
        ),
    )


if __name__ == "__main__":
    raise SystemExit(main())
