"""The whole loop through HTTP on real paragraphs with labels flipped on purpose: seconds per stage, quality beside baselines, errors found.

    remand bench loop --data ../shared/data/echr_arguments/paragraphs.csv --rows 3581

Whole cases are drawn by seed until the rows are reached. A seeded share of the cells is flipped (only flips that leave the options of a
paragraph possible together), the file is imported, trained on, relabelled, and the disagreements are compared with the flips. The curators'
labels have errors of their own, which count as false alarms here: the precision is a lower bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.cli import loop
from bench.machine import describe
from bench.stack import running_stack
from models.audit.injection import Injected, inject_noise
from models.scheme import Dependency, Option, Question, QuestionKind, Scheme

GIVEN = ("id", "case", "split", "text")
SPEAKER = "actor_"


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """The rows of one run."""

    frame: pl.DataFrame
    scheme: Scheme
    injected: Injected


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; prints a table and, with --json, writes the numbers."""
    options = _options(arguments)
    paragraphs = flip(read(options.data, options.rows, options.seed), options.flip, options.seed)
    with tempfile.TemporaryDirectory() as folder, running_stack() as client:
        file = Path(folder) / "paragraphs.csv"
        write(paragraphs, file)
        numbers = run(client, paragraphs, file, options)
    numbers["machine"] = describe()
    print(table(numbers))
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def read(path: Path, rows: int, seed: int) -> pl.DataFrame:
    """Whole cases in an order drawn by seed, cut at `rows`; within a case in the file's order."""
    frame = pl.read_csv(path, schema_overrides=dict.fromkeys(GIVEN, pl.String))
    cases = frame.get_column("case").unique(maintain_order=True).to_numpy()
    order = {case: place for place, case in enumerate(np.random.default_rng(seed).permutation(cases))}
    drawn = frame.with_columns(pl.col("case").replace_strict(order).alias("_order")).sort(
        "_order", maintain_order=True
    )
    return drawn.drop("_order").head(rows)


def scheme_of(names: Sequence[str]) -> Scheme:
    """Two questions, arguments and speakers; no argument without a speaker."""
    options = [Option(name, place) for place, name in enumerate(names)]
    speakers = tuple(option for option in options if option.key.startswith(SPEAKER))
    arguments = tuple(option for option in options if not option.key.startswith(SPEAKER))
    needs = tuple(option.key for option in speakers)
    return Scheme(
        (
            Question("argument", QuestionKind.YES_NO_SET, arguments),
            Question("actor", QuestionKind.YES_NO_SET, speakers),
        ),
        tuple(Dependency(option.key, needs) for option in arguments),
    )


def flip(frame: pl.DataFrame, share: float, seed: int) -> Paragraphs:
    """The rows with that share of cells flipped."""
    names = [name for name in frame.columns if name not in GIVEN]
    scheme = scheme_of(names)
    return Paragraphs(
        frame, scheme, inject_noise(frame.select(names).to_numpy().astype(np.int8), scheme, share, seed)
    )


def write(paragraphs: Paragraphs, file: Path) -> None:
    """The file that is imported: the flipped labels in wide columns."""
    given = paragraphs.frame.select(GIVEN)
    labels = pl.DataFrame(
        paragraphs.injected.labels, schema=list(paragraphs.scheme.option_keys), orient="row"
    )
    pl.concat([given, labels], how="horizontal").write_csv(file)


def run(client: Any, paragraphs: Paragraphs, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Walk the loop; the numbers."""
    seconds: dict[str, float] = {}
    corpus = loop.create_corpus(client, "bench-loop", fold_group="case")

    def stage(name: str, job: Any) -> dict[str, Any]:
        start = time.perf_counter()
        found: dict[str, Any] = job()
        seconds[name] = time.perf_counter() - start
        print(f"{name}: {seconds[name]:.1f} s", file=sys.stderr)
        return found

    imported = stage(
        "import", lambda: loop.import_file(client, corpus, file, mapping_of(paragraphs.scheme), _quiet)
    )
    asked = {"folds": options.folds, "limit": options.train_rows, "time_budget_seconds": options.time_budget}
    training = {name: value for name, value in asked.items() if value is not None}
    trained = stage("train", lambda: loop.train(client, corpus, _progress, seed=options.seed, **training))
    relabelled = stage(
        "relabel", lambda: loop.relabel(client, corpus, _progress, adapter=trained["result"]["adapter_id"])
    )
    start = time.perf_counter()
    suspects = list(loop.disagreements(client, corpus))
    seconds["read disagreements"] = time.perf_counter() - start
    report = client.get(f"/adapters/{trained['result']['adapter_id']}/report").json()
    return {
        "rows": len(paragraphs.frame),
        "cells": int(paragraphs.injected.flipped.size),
        "flipped": int(paragraphs.injected.flipped.sum()),
        "seconds": seconds | {"total": sum(seconds.values())},
        "macro": report["macro"],
        "always_no": report["always_no"],
        "verdict": report["verdict"],
        "import": imported["result"],
        "relabel": relabelled["result"],
        **found_errors(paragraphs, suspects),
    }


def mapping_of(scheme: Scheme) -> dict[str, Any]:
    """The import mapping that says what the columns are."""
    return {
        "id": "id",
        "text": "text",
        "groups": ["case"],
        "split": "split",
        "questions": [
            {
                "key": question.key,
                "kind": question.kind.value,
                "columns": [option.key for option in question.options],
            }
            for question in scheme.questions
        ],
        "dependencies": [{"option": d.option, "needs_any": list(d.needs_any)} for d in scheme.dependencies],
    }


def found_errors(paragraphs: Paragraphs, suspects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How well the disagreements, in their order, name the flipped cells."""
    rows = {identifier: row for row, identifier in enumerate(paragraphs.frame.get_column("id"))}
    columns = {cell.option: column for column, cell in enumerate(paragraphs.scheme.cells)}
    flipped = paragraphs.injected.flipped
    hits = np.array(
        [flipped[rows[item["external_id"]], columns[item["option"]]] for item in suspects], dtype=bool
    )
    return {
        "flagged": len(hits),
        "flagged_that_were_flipped": int(hits.sum()),
        "average_precision": average_precision(hits, int(flipped.sum())),
        "precision_at_100": float(hits[:100].mean()) if len(hits) else 0.0,
        "random_precision": float(flipped.mean()),
    }


def average_precision(hits: NDArray[np.bool_], positives: int) -> float:
    """Of a ranked list that may end before all positives are found; those left out count as never found."""
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / positives) if positives else float("nan")


def table(numbers: dict[str, Any]) -> str:
    """The numbers in words and columns."""
    machine = numbers["machine"]
    lines = [
        (
            f"{numbers['rows']} paragraphs, {numbers['cells']} cells, {numbers['flipped']} flipped on purpose; "
            f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, torch {machine['versions']['torch']}"
        ),
        "seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in numbers["seconds"].items()),
        "held-out macro-F1 against the flipped labels: "
        + ", ".join(f"{name} {macro['f1']:.3f}" for name, macro in numbers["macro"].items())
        + f"; always-no accuracy {numbers['always_no']['macro_accuracy']:.3f}, model's {numbers['macro']['model']['accuracy']:.3f}",
        (
            f"flagged {numbers['flagged']} cells, {numbers['flagged_that_were_flipped']} of them flipped; average precision "
            f"{numbers['average_precision']:.3f}, precision@100 {numbers['precision_at_100']:.2f} "
            f"(reading at random finds {numbers['random_precision']:.2f})"
        ),
    ]
    return "\n".join(lines)


def _quiet(job: dict[str, Any]) -> None:
    """Shows nothing."""


def _progress(job: dict[str, Any]) -> None:
    progress = job.get("progress") or {}
    if progress and sys.stderr.isatty():
        print(f"\r{job['kind']}: {progress}"[:100].ljust(100), end="", file=sys.stderr)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench loop", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="paragraphs.csv of the ECHR arguments")
    parser.add_argument("--rows", type=int, default=3581)
    parser.add_argument("--flip", type=float, default=0.05, help="share of cells flipped on purpose")
    parser.add_argument("--folds", type=int, default=None, help="default: chosen by Remand")
    parser.add_argument(
        "--train-rows", type=int, default=None, help="train on so many of the rows; default: all"
    )
    parser.add_argument(
        "--time-budget",
        type=float,
        default=None,
        help="seconds the training may take; cuts epochs, never folds",
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, default=None, help="write the numbers here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
