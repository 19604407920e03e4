"""Label errors found in OPP-115 by the stacked suspicion and by cleanlab, from the same held-out TF-IDF probabilities.

    remand bench audit_sketch --data ../shared/data/opp115/segments.jsonl --seeds 3

Given: one of each segment's three annotators, drawn by seed. Wrong: the other two agree on the opposite. Probabilities:
TF-IDF and logistic regression, crossed over five folds by policy, calibrated on the other folds. Similar texts come from
the TF-IDF vectors reduced to 128 dimensions, so that no base model is needed. Real annotators, not flips.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cleanlab.multilabel_classification import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench.machine import describe
from models.audit.ranking import precision_at, ranking_precision, text_scores
from models.audit.suspicion import Evidence, score, self_confidence
from models.data.folds import assign_folds
from models.data.near_duplicates import signatures
from models.scheme import Labels, Option, Question, QuestionKind, Scheme
from models.training.calibration import cross_fit
from models.training.logistic import logit

FOLDS = 5
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


@dataclass(frozen=True, slots=True)
class Segments:
    """OPP-115 as arrays."""

    texts: list[str]
    policies: list[str]
    order: list[int]
    scheme: Scheme
    annotations: NDArray[np.int8]
    """int8 (segments, 3 annotators, options)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print one line per seed and method."""
    parser = argparse.ArgumentParser(prog="remand bench audit_sketch", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/opp115/segments.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    segments = read(options.data)
    print("average precision; p@100 = share of true errors among the 100 most suspicious cells")
    print(f"{'seed':>4}  {'method':42} {'text AP':>8} {'cell AP':>8} {'p@100':>6}")
    for seed in range(options.seeds):
        for method, numbers in run(segments, seed).items():
            print(f"{seed:>4}  {method:42} " + " ".join(_number(value) for value in numbers))
    print(json.dumps(describe()))
    return 0


def read(path: Path) -> Segments:
    """Segments, policies and what the three annotators gave."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    keys = sorted({label for row in rows for given in row["annotations"].values() for label in given})
    options = tuple(Option(key, place) for place, key in enumerate(keys))
    annotations = [[[key in given for key in keys] for given in row["annotations"].values()] for row in rows]
    return Segments(
        [row["text"] for row in rows],
        [row["policy"] for row in rows],
        [row["segment"] for row in rows],
        Scheme((Question("practice", QuestionKind.YES_NO_SET, options),)),
        np.array(annotations, dtype=np.int8),
    )


def run(segments: Segments, seed: int) -> dict[str, tuple[float, float, float]]:
    """(text AP, cell AP, precision at 100) of every method for one draw of given annotators."""
    given, others = draw(segments, seed)
    agreed = others[:, 0] == others[:, 1]
    wrong = agreed & (others[:, 0] != given)
    folds = assign_folds(segments.policies, FOLDS, seed)
    raw = probabilities(segments.texts, given, folds)
    calibrated = cross_fit(logit(raw).astype(np.float32), given, folds, segments.scheme).probabilities
    plain = Evidence(calibrated, given, segments.scheme, segments.policies)
    whole = Evidence(
        calibrated,
        given,
        segments.scheme,
        segments.policies,
        order=segments.order,
        embeddings=reduced(segments.texts, seed),
        signatures=signatures(segments.texts),
    )
    cells = {
        "self-confidence": self_confidence(raw, given, segments.scheme),
        "self-confidence, calibrated": self_confidence(calibrated, given, segments.scheme),
        "remand, probabilities and given values": score(plain, seed).scores,
        "remand, and neighbours": score(whole, seed).scores,
    }
    found = {
        f"cleanlab {method}": (_cleanlab(raw, given, wrong, method), np.nan, np.nan) for method in CLEANLAB
    }
    return found | {name: measured(scores, wrong, agreed) for name, scores in cells.items()}


def draw(segments: Segments, seed: int) -> tuple[Labels, NDArray[np.int8]]:
    """One annotator's values as given, int8 (segments, options), and the other two's, int8 (segments, 2, options)."""
    rows = np.arange(len(segments.texts))
    picked = np.random.default_rng(seed).integers(0, 3, len(rows))
    rest = np.stack([segments.annotations[rows, (picked + step) % 3] for step in (1, 2)], axis=1)
    return segments.annotations[rows, picked], rest


def probabilities(texts: Sequence[str], given: Labels, folds: NDArray[np.int32]) -> NDArray[np.float32]:
    """Held-out TF-IDF probabilities: float32 (texts, options)."""
    found = np.empty(given.shape, dtype=np.float32)
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        features = vectors.fit_transform([texts[row] for row in train])
        held_out = vectors.transform([texts[row] for row in test])
        for option in range(given.shape[1]):
            model = LogisticRegression(C=10, solver="liblinear").fit(features, given[train, option])
            found[test, option] = model.predict_proba(held_out)[:, 1]
    return found


def reduced(texts: Sequence[str], seed: int) -> NDArray[np.float32]:
    """TF-IDF vectors in 128 dimensions: float32 (texts, 128)."""
    features = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts)
    found: NDArray[np.float32] = (
        TruncatedSVD(128, random_state=seed).fit_transform(features).astype(np.float32)
    )
    return found


def measured(
    scores: NDArray[np.float32], wrong: NDArray[np.bool_], agreed: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Text AP (a text is wrong where any cell is), cell AP and precision at 100 over cells whose truth is agreed on."""
    audited = np.where(agreed, scores, np.nan).astype(np.float32)
    text = ranking_precision(wrong.any(axis=1), text_scores(scores))
    return text, ranking_precision(wrong, audited), precision_at(wrong, audited, 100)


def _cleanlab(raw: NDArray[np.float32], given: Labels, wrong: NDArray[np.bool_], method: str) -> float:
    """Text AP of cleanlab's label quality with its default aggregation."""
    labels = [np.flatnonzero(row).tolist() for row in given]
    quality = get_label_quality_scores(labels, raw, method=method)
    return ranking_precision(wrong.any(axis=1), 1 - np.asarray(quality))


def _number(value: float) -> str:
    return f"{value:8.3f}" if np.isfinite(value) else f"{'–':>8}"


if __name__ == "__main__":
    raise SystemExit(main())
