"""The words of the wide branch: microseconds a text for counts and logits, beside the same by scikit-learn.

    remand bench wide

A vocabulary is made of ECHR's training paragraphs, the weights of its options are drawn. Paragraphs of val and letters of 200 words are
read one by one and 64 at a time, on one thread, by processor time; logits are compared bit for bit before.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from bench.loop import GIVEN
from bench.machine import describe
from bench.serve_model import texts_of
from models.adapters.wide import Wide, term_counter, vectorizer, wide_logits

BATCH = 64
Read = Callable[[Sequence[str]], NDArray[np.float32]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table in Markdown, and the machine as JSON."""
    options = _options(arguments)
    frame = pl.read_csv(options.data, schema_overrides=dict.fromkeys(GIVEN, pl.String))
    training = frame.filter(pl.col("split") == "train").get_column("text").to_list()
    vocabulary = vectorizer().set_params(max_features=options.terms).fit(training).get_feature_names_out().tolist()  # fmt: skip
    wide = _drawn(len(vocabulary), options.options, options.seed)
    arms = {"ours": _ours(vocabulary, wide), "scikit-learn": _scikit_learn(vocabulary, wide)}
    print(f"{len(vocabulary):,} terms, {options.options} options; µs of processor time a text\n")
    print("| texts | at once | " + " | ".join(arms) + " |\n|---|--:|--:|--:|")
    for kind in ("echr", "letters"):
        texts = texts_of(options.data, kind, options.texts, options.seed)
        ours, theirs = (read(texts) for read in arms.values())
        if not np.array_equal(ours, theirs):
            raise RuntimeError(f"{kind}: the logits differ by {np.abs(ours - theirs).max():.2g}")
        for size in (1, BATCH):
            found = [_microseconds(read, texts, size, options.rounds) for read in arms.values()]
            print(f"| {kind} | {size} | " + " | ".join(f"{each:.0f}" for each in found) + " |", flush=True)
    print(json.dumps(describe()))
    return 0


def _drawn(terms: int, options: int, seed: int) -> Wide:
    rng = np.random.default_rng(seed)
    return Wide(
        np.arange(terms, dtype=np.int32),
        rng.uniform(1, 10, terms).astype(np.float32),
        rng.normal(size=(terms, options)).astype(np.float32),
        rng.normal(size=options).astype(np.float32),
    )


def _ours(vocabulary: Sequence[str], wide: Wide) -> Read:
    counter = term_counter(vocabulary)
    return lambda texts: wide_logits(wide, counter.count(texts))


def _scikit_learn(vocabulary: Sequence[str], wide: Wide) -> Read:
    counter = vectorizer().set_params(vocabulary=list(vocabulary))

    def read(texts: Sequence[str]) -> NDArray[np.float32]:
        used = csr_matrix(counter.transform(texts)[:, wide.columns], dtype=np.float32)
        used.data = (1 + np.log(used.data)) * wide.idf[used.indices]
        logits: NDArray[np.float32] = normalize(used, copy=False) @ wide.weights + wide.bias
        return logits.astype(np.float32)

    return read


def _microseconds(read: Read, texts: Sequence[str], size: int, rounds: int) -> float:
    """A text's share of the fastest round."""
    batches = [texts[start : start + size] for start in range(0, len(texts), size)]
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        for batch in batches:
            read(batch)
        taken.append(time.process_time() - began)
    return min(taken) / len(texts) * 1e6


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench wide", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    parser.add_argument("--terms", type=int, default=50_000)
    parser.add_argument("--options", type=int, default=12)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
