"""How good extractive summaries are, and how fast: Remand's methods beside sumy's, on the same sentences and the same length.

    remand bench summarize --data ../shared/data [--collections contracts,dialogues,t5] [--json FILE]

Contracts: 446 snippets of terms with a plain-English sentence each (legal_summarization). Dialogues: 500 of DialogSum's.
Every method gets the same sentences (`models.text.sentences`) and may use as many words as the collection's summaries have on
average. ROUGE-1, -2, -L, -Lsum (rouge-score, stemmed), F1 in percent with 95 % intervals from a bootstrap by document, and
differences to Lead. Seconds are per 1,000 words of source, one process, after a first text that is not counted. sumy is not
a package of Remand's: `.venv/bin/python -m pip install sumy`, else its rows are left out and the table says so.

The part t5 trains a small T5 on 400 dialogues as a train job does, and holds its summaries of the other 100 against its own
start, Lead, TextRank and LexRank at the same length.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As the inference worker does; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from numpy.typing import NDArray

from bench.machine import describe
from bench.summarize_sumy import sumy_methods
from bench.summarize_t5 import as_table as t5_table
from bench.summarize_t5 import small_t5
from models.catalog import locate
from models.encoder.forward import embed
from models.encoder.load import load_encoder
from models.evaluation.resampling import group_codes, group_draws
from models.generative.rouge import ROUGE as MEASURES
from models.generative.rouge import rouge_of_lines
from models.text.extractive import METHODS, Budget, Method, Unit, summarize
from models.text.sentences import split_sentences
from models.text.words import count_words

FILES = {
    "contracts": ("legal_contract_summaries/pairs.jsonl", "doc"),
    "dialogues": ("dialogsum_dev/dialogues.jsonl", "id"),
}
T5 = "t5"
"""The part that trains a small T5 on the dialogues (bench/summarize_t5.py)."""
DRAWS = 2000

Summarizer = Callable[[Sequence[str], Budget], Sequence[int]]
"""Places of the chosen sentences, given a text's sentences and a length."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A text in sentences, and what a person wrote of it."""

    sentences: list[str]
    reference: str
    document: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        prog="remand bench summarize", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--collections", default=",".join([*FILES, T5]), help=f"{', '.join(FILES)}, {T5}")
    parser.add_argument("--limit", type=int, help="the first so many pairs of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where all numbers go")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"machine": describe()}
    print(json.dumps(found["machine"]))
    methods = {**remand_methods(), **sumy_methods()}
    for name in options.collections.split(","):
        if name == T5:
            found[name] = small_t5(options.data / FILES["dialogues"][0], options.seed)
            print(t5_table(found[name]), flush=True)
            continue
        pairs = read_pairs(options.data / FILES[name][0], FILES[name][1])[: options.limit]
        found[name] = compared(pairs, methods, options.seed)
        print(as_table(name, found[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def read_pairs(path: Path, document: str) -> list[Pair]:
    """Pairs of a JSONL file; `document` names the column by which they are drawn in the bootstrap."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Pair(
            [row["text"][start:end] for start, end in split_sentences(row["text"])],
            row["summary"],
            row[document],
        )
        for row in rows
    ]


def remand_methods() -> dict[str, Summarizer]:
    """Every method of POST /summarize; `mmr` reads the sentences with MiniLM."""
    encoder = load_encoder(locate("minilm"), "cpu")

    def chosen(method: Method, sentences: Sequence[str], budget: Budget) -> list[int]:
        embeddings = embed(encoder, list(sentences)) if method == "mmr" else None
        return summarize(sentences, budget, method, embeddings=embeddings)

    def of(method: Method) -> Summarizer:
        return lambda sentences, budget: chosen(method, sentences, budget)

    return {method: of(method) for method in METHODS}


def compared(pairs: Sequence[Pair], methods: Mapping[str, Summarizer], seed: int) -> dict[str, Any]:
    """Scores, intervals, differences to Lead and seconds of every method, JSON-ready."""
    length = round(float(np.mean([count_words(pair.reference) for pair in pairs])))
    budget = Budget(Unit.WORDS, length)
    words = sum(count_words(sentence) for pair in pairs for sentence in pair.sentences)
    codes = group_codes([pair.document for pair in pairs])
    weights = group_draws(int(codes.max()) + 1, DRAWS, seed)[codes].T.astype(np.float64)
    rows: dict[str, Any] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    for name, method in methods.items():
        method(pairs[0].sentences, budget)
        began = time.perf_counter()
        chosen = [method(pair.sentences, budget) for pair in pairs]
        seconds = time.perf_counter() - began
        scores[name] = rouge(pairs, chosen)
        rows[name] = {
            "seconds_per_1000_words": seconds / words * 1000,
            "words": float(
                np.mean([_words(pair, places) for pair, places in zip(pairs, chosen, strict=True)])
            ),
        }
    for name, row in rows.items():
        row["scores"] = _spread(scores[name], weights)
        row["above_lead"] = _spread(scores[name] - scores["lead"], weights)
    documents = int(codes.max()) + 1
    return {"pairs": len(pairs), "documents": documents, "words_allowed": length, "methods": rows}


def rouge(pairs: Sequence[Pair], chosen: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """float64 (pairs, MEASURES): F1 in percent. For Lsum each sentence stands on a line of its own."""
    references = [
        "\n".join(pair.reference[start:end] for start, end in split_sentences(pair.reference))
        for pair in pairs
    ]
    written = [
        "\n".join(pair.sentences[place] for place in places)
        for pair, places in zip(pairs, chosen, strict=True)
    ]
    return 100 * rouge_of_lines(references, written)


def _words(pair: Pair, places: Sequence[int]) -> int:
    return sum(count_words(pair.sentences[place]) for place in places)


def _spread(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> dict[str, list[float]]:
    """[mean, low, high] by measure; the first row of weights is the sample itself."""
    means = weights @ scores / weights.sum(axis=1, keepdims=True)
    low, high = np.quantile(means[1:], (0.025, 0.975), axis=0)
    return {
        measure: [round(float(value), 2) for value in (means[0, column], low[column], high[column])]
        for column, measure in enumerate(MEASURES)
    }


def as_table(name: str, found: Mapping[str, Any]) -> str:
    """One collection as text."""
    lines = [
        f"\n{name}: {found['pairs']} pairs of {found['documents']} documents, {found['words_allowed']} words allowed",
        f"{'method':18}" + "".join(f"{measure:>24}" for measure in MEASURES) + f"{'Lsum − lead':>24}{'words':>8}{'s / 1,000 words':>18}",
    ]  # fmt: skip
    for method, row in found["methods"].items():
        figures = [row["scores"][measure] for measure in MEASURES] + [row["above_lead"]["rougeLsum"]]
        cells = "".join(f"{f'{mean:.1f} ({low:.1f} to {high:.1f})':>24}" for mean, low, high in figures)
        lines.append(f"{method:18}{cells}{row['words']:8.1f}{row['seconds_per_1000_words']:18.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
