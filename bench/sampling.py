"""Is stratified sampling worth it? Fidelity of labels and macro-F1 of TF-IDF + LR, stratified beside random, on the ECHR paragraphs.

`remand bench sampling --seeds 5`. Both samples are drawn of the train split alone with the same seeds; the model trained on each
is read on the val split at 0.5. Differences are paired by seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bench.machine import describe
from models.adapters.wide import wide_logits
from models.data.sampling import SMALLEST, Design, draw_sample
from models.data.sampling_report import cardinality_shares, prevalences
from models.sampling.clusters import count_words, fit_clusters
from models.scheme import Labels
from models.training.wide import count_vocabulary, fit_wide

ARGUMENTS = 7
"""The first seven options are the arguments that macro-F1 is over; the other five say who speaks."""
DESIGNS = ("random", "stratified", "merged", "equal", "neyman")
"""`stratified` as it is by default; `merged`: strata that proportion gives less than one text are merged, so that the minimum adds none."""


def read(path: Path) -> tuple[list[str], list[str], NDArray[np.bool_], Labels]:
    """Keys, texts, whether of the train split, labels int8 (texts, options)."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    options = list(rows[0])[4:]
    labels = np.array([[int(row[option]) for option in options] for row in rows], dtype=np.int8)
    train = np.array([row["split"] == "train" for row in rows])
    return [row["id"] for row in rows], [row["text"] for row in rows], train, labels


def main() -> None:
    """Draw, train, compare; a JSON document and a Markdown table on standard output."""
    arguments = argparse.ArgumentParser(prog="remand bench sampling", description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    arguments.add_argument("--sizes", type=int, nargs="+", default=[500, 2000, 6000])
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--designs", nargs="+", choices=DESIGNS, default=["random", "stratified"])
    arguments.add_argument("--json", type=Path, help="Write every single result to this file.")
    given = arguments.parse_args()
    keys, texts, train, labels = read(given.data)
    fit, check = np.flatnonzero(train).astype(np.int64), np.flatnonzero(~train).astype(np.int64)
    began = time.monotonic()
    words = count_words(texts)[1]
    counted = time.monotonic() - began
    counts = count_vocabulary(texts)[1]
    results = []
    for seed in range(1, given.seeds + 1):
        began = time.monotonic()
        clusters = fit_clusters(words, fit, None, seed).of[fit]
        clustered = time.monotonic() - began
        for size in given.sizes:
            for design in given.designs:
                found = _one(design, size, seed, [keys[row] for row in fit], labels[fit], clusters)
                found["seconds"] += counted + clustered if design != "random" else 0.0
                found |= _score(counts, labels, fit[found.pop("rows")], check)
                results.append(found)
                print(json.dumps(found), file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps({"machine": describe(), "results": results}, indent=1))
    print(_table(results, given.sizes, given.designs))
    print(json.dumps(describe()))


def _one(
    design: str, size: int, seed: int, keys: list[str], labels: Labels, clusters: NDArray[np.int32]
) -> dict[str, Any]:
    """Draw one sample; how far its labels are from those of the whole."""
    allocation: Any = design if design in {"equal", "neyman"} else "proportional"
    least_size = -(-len(keys) // size) if design == "merged" else SMALLEST
    asked = Design(size, seed, allocation, smallest=least_size)
    began = time.monotonic()
    drawn = draw_sample(asked, keys) if design == "random" else draw_sample(asked, keys, labels, clusters)
    seconds = time.monotonic() - began
    numbers = list(range(int(labels.sum(axis=1).max()) + 1))
    part = labels[drawn.rows]
    return {
        "design": design, "size": size, "seed": seed, "seconds": seconds, "rows": drawn.rows, "strata": len(drawn.taken),
        "prevalence": float(np.abs(prevalences(labels) - prevalences(part)).mean()),
        "cardinality": float(np.abs(cardinality_shares(labels, numbers) - cardinality_shares(part, numbers)).mean()),
    }  # fmt: skip


def _score(
    counts: csr_matrix, labels: Labels, rows: NDArray[np.int64], check: NDArray[np.int64]
) -> dict[str, float]:
    """Macro-F1 over the arguments on the val split of TF-IDF + balanced logistic regression, at 0.5; and of the rarest three."""
    arguments = np.ascontiguousarray(labels[:, :ARGUMENTS])
    logits = wide_logits(fit_wide(counts, arguments, rows, 0), csr_matrix(counts[check]))
    said, truth = logits > 0, arguments[check] == 1
    hits = (said & truth).sum(axis=0)
    f1 = 2 * hits / np.maximum(said.sum(axis=0) + truth.sum(axis=0), 1)
    rare = np.argsort(arguments.sum(axis=0))[:3]
    return {"macro_f1": float(f1.mean()), "rare_f1": float(f1[rare].mean())}


def _table(results: list[dict[str, Any]], sizes: list[int], designs: list[str]) -> str:
    """Means over seeds, with the standard deviation of macro-F1 and its paired difference to random (± standard error)."""
    lines = [
        "| size | design | strata | prevalence off, points | numbers of labels off, points | macro-F1 (sd) | difference to random | F1 of the 3 rarest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        of = {d: [r for r in results if r["size"] == size and r["design"] == d] for d in designs}
        for design, found in of.items():
            mean = {
                name: np.mean([one[name] for one in found])
                for name in ("prevalence", "cardinality", "macro_f1", "rare_f1", "strata")
            }
            scores = np.array([one["macro_f1"] for one in found])
            beside = np.array([one["macro_f1"] for one in of.get("random", found)])
            change = scores - beside
            error = change.std(ddof=1) / len(change) ** 0.5 if len(change) > 1 else float("nan")
            told = "" if design == "random" else f"{change.mean():+.4f} ± {error:.4f}"
            lines.append(
                f"| {size:,} | {design} | {mean['strata']:.0f} | {mean['prevalence'] * 100:.2f} | {mean['cardinality'] * 100:.2f} | "
                f"{mean['macro_f1']:.3f} ({scores.std(ddof=1) if len(scores) > 1 else 0:.3f}) | {told} | {mean['rare_f1']:.3f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
