"""How long it takes to judge 35,000 texts of 12 options again, and to find duplicates labelled differently. `remand bench refit`.

Probabilities, labels, annotators and embeddings are made up (the time depends on their shapes alone); duplicates are looked for among
real paragraphs where a file of them is given. Nothing is read or written but that: rows as COPY takes them are made, not sent.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.machine import describe
from models.audit.evidence import Annotations, Evidence
from models.audit.findings import conflicts, content_codes, near_contents, violations
from models.audit.learned import Decided, learned_shifts, reordered
from models.audit.neighbours import similar_texts
from models.audit.sample.calibration import Calibration, calibrate
from models.audit.sample.flags import budget_curve, flags_by_rate
from models.audit.suspicion import score
from models.data.near_duplicates import content_digests, signatures
from models.scheme import Labels, Option, Question, QuestionKind, Scheme
from workers.relabel.copying import real_arrays

T = TypeVar("T")
GROUP, DIMENSIONS, ANNOTATORS = 17, 384, 30
DECISIONS = 1000


class Clock:
    """Seconds by stage, of wall clock and of all processors."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, body: Callable[[], T]) -> T:
        """Run and time one stage."""
        wall, processor = time.monotonic(), time.process_time()
        found = body()
        self.stages[name] = {
            "seconds": round(time.monotonic() - wall, 2),
            "cpu_seconds": round(time.process_time() - processor, 2),
        }
        print(json.dumps({"stage": name} | self.stages[name]), file=sys.stderr, flush=True)
        return found


def main() -> None:
    """Print a JSON document: seconds by stage, and the machine."""
    arguments = argparse.ArgumentParser(prog="remand bench refit", description=__doc__)
    arguments.add_argument("--texts", type=int, default=35_000)
    arguments.add_argument("--options", type=int, default=12)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--paragraphs", type=Path, help="A CSV with `text` and columns of 0 and 1, such as ECHR's."
    )
    given = arguments.parse_args()
    clock = Clock()
    with threadpool_limits(1):
        _scores(clock, given.texts, given.options, given.threads, given.seed)
    told: dict[str, Any] = {"texts": given.texts, "options": given.options, "threads": given.threads}
    if given.paragraphs is not None:
        told |= _duplicates(clock, given.paragraphs)
    stages = clock.stages
    again = [stages[name]["seconds"] for name in ("score again", "learn, calibrate, flag, curve", "rows")]
    first = [stages[name]["seconds"] for name in ("similar texts", "score again", "rows")]
    told |= {"refit_seconds": round(sum(again), 2), "first_scoring_seconds": round(sum(first), 2)}
    print(json.dumps(told | {"stages": stages, "cores": os.cpu_count(), "machine": describe()}, indent=1))


def _scores(clock: Clock, texts: int, options: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((texts, options)) < 0.12
    labels: Labels = np.where(rng.random(truth.shape) < 0.03, ~truth, truth).astype(np.int8)
    logits = np.where(truth, 1.5, -2.5) + rng.normal(0, 1.2, truth.shape)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    embeddings = rng.normal(size=(texts, DIMENSIONS)).astype(np.float16)
    groups = [f"case {row // GROUP}" for row in range(texts)]
    people = np.arange(texts, dtype=np.int64) // GROUP % ANNOTATORS
    signed = rng.integers(0, 2**32, (texts, 64), dtype=np.uint32)
    scheme = Scheme(
        (
            Question(
                "q", QuestionKind.YES_NO_SET, tuple(Option(f"o{place}", place) for place in range(options))
            ),
        )
    )
    with threadpool_limits(threads, user_api="blas"):
        similar = clock("similar texts", lambda: similar_texts(embeddings, labels, groups, signed))
    evidence = Evidence(
        probabilities, labels, scheme, groups, order=list(range(texts)), similar=similar,
        annotations=Annotations(np.arange(texts, dtype=np.int64), people, labels),
    )  # fmt: skip
    found = clock("score again", lambda: score(evidence, threads=threads))
    every = np.stack(list(found.every.values()))
    wrong = labels != truth
    clock("learn, calibrate, flag, curve", lambda: _after(found.scores, wrong, options, rng))
    clock("rows", lambda: (real_arrays(every[0]), real_arrays(every.transpose(1, 0, 2).reshape(texts, -1))))


def _after(
    scores: NDArray[np.float32], wrong: NDArray[np.bool_], options: int, rng: np.random.Generator
) -> None:
    """What follows the scores: learning from decisions on the top, calibration on a random sample, flags and curve."""
    top = np.argsort(-scores.ravel())[:DECISIONS]
    decided = Decided(scores.ravel()[top].astype(np.float64), top % options, wrong.ravel()[top])
    moved = reordered(scores, learned_shifts(decided, options))
    rows = rng.choice(len(scores), DECISIONS // 4, replace=False)
    values = moved[rows].ravel().astype(np.float64)
    fit = calibrate(
        values, wrong[rows].ravel(), np.full(len(values), DECISIONS / 4 / len(scores)), rows.repeat(options)
    )
    assert isinstance(fit, Calibration)
    flags_by_rate(fit, moved)
    budget_curve(fit, moved, np.unique(np.geomspace(1, scores.size, 60).astype(np.int64)))


def _duplicates(clock: Clock, path: Path) -> dict[str, Any]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    options = [name for name in rows[0] if all(row[name] in {"0", "1"} for row in rows[:200])]
    labels: Labels = np.array([[int(row[name]) for name in options] for row in rows], dtype=np.int8)
    scheme = Scheme(
        (
            Question(
                "q", QuestionKind.YES_NO_SET, tuple(Option(name, place) for place, name in enumerate(options))
            ),
        )
    )
    signed = clock("signatures", lambda: signatures(texts))
    codes = clock("content digests", lambda: content_codes(content_digests(texts)))
    near = clock("near duplicates", lambda: near_contents(codes, signed))
    found = clock("conflicts", lambda: conflicts(codes, near, labels, scheme))
    clock("violations", lambda: violations(labels, scheme))
    return {
        "paragraphs": len(texts),
        "near_pairs": len(near),
        "exact_conflicts": sum(one.kind == "exact" for one in found),
        "near_conflicts": sum(one.kind == "near" for one in found),
    }


if __name__ == "__main__":
    main()
