"""Are explanations faithful? What a model loses when the words or sentences that they name are deleted, against deleting at random.

    remand bench explain --data ../shared/data/echr_arguments/paragraphs.csv --rows 500 --texts 50

An adapter is trained on whole ECHR cases of the train split, once with and once without its TF-IDF branch, and explained on
paragraphs of val. Per text and option that the model decides yes (the two most probable), 10, 20, 30, 40 and 50 % of the words are
deleted in the order of each method, and the paragraph is read again. The curve is the drop of the option's logit; its area
(AOPC) is the mean over the five shares. Differences to random order (the mean of several) are paired, with 95 % intervals
by bootstrap over cases.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from bench.loop import GIVEN, read, scheme_of
from bench.machine import describe
from models.adapters.load import FINAL, LoadedAdapter, load_adapter
from models.catalog import DEFAULT, CatalogSettings, locate
from models.encoder.load import load_encoder
from models.text.explain import TextExplanation, explain
from models.training.run import train

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
SHOWN = (0, 1, 4)
"""Places of the shares in the table: 10, 20 and 50 %."""
RANDOM_ORDERS = 5
DRAWS = 2000
LEAST_WORDS, MOST_WORDS = 20, 250
LEAST_SENTENCES = 3
MOST_OPTIONS = 2
Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curves:
    """Drops of the logit, float64 (pairs of text and option, shares) per method, and the case of each pair."""

    words: dict[str, Curve]
    sentences: dict[str, Curve]
    """Drops when the first, and the first two, sentences of each order are deleted: (pairs, 2)."""
    word_cases: list[str]
    sentence_cases: list[str]
    errors: list[float]
    """Completeness errors, in logits."""
    steps: list[int]
    seconds: list[float]
    """Of each explanation."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, explain, delete; prints tables in Markdown and, with --json, writes the numbers."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    frame = pl.read_csv(options.data, schema_overrides=dict.fromkeys(GIVEN, pl.String))
    held = frame.filter(pl.col("split") == "val").sample(fraction=1.0, shuffle=True, seed=options.seed)
    numbers: dict[str, object] = {"rows": options.rows, "machine": describe()}
    for name, wide in (("with TF-IDF branch", True), ("encoder alone", False)):
        if options.adapter is not None and not wide:
            break
        with tempfile.TemporaryDirectory() as folder:
            made = options.adapter or trained(options.data, options.rows, options.seed, wide, Path(folder))
            adapter = load_adapter(made, load_encoder(locate(DEFAULT, CatalogSettings()), "cpu"))
            curves = measure(adapter, held, options.texts, options.seed)
        label = name if options.adapter is None else "the adapter given"
        numbers[label] = _print(label, curves, options.seed)
    print(json.dumps(numbers["machine"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def trained(data: Path, rows: int, seed: int, wide: bool, folder: Path) -> Path:
    """An adapter on whole cases of the train split: its folder."""
    frame = read(data, 10**9, seed).filter(pl.col("split") == "train").head(rows)
    names = [name for name in frame.columns if name not in GIVEN]
    source = folder / "in"
    source.mkdir()
    request = {
        "scheme": scheme_of(names).to_document(), "folds": 2, "epochs": 3, "max_tokens": 256, "device": "cpu",
        "wide": wide, "seed": seed,
    }  # fmt: skip
    (source / "request.json").write_text(json.dumps(request))
    table = {
        "key": frame.get_column("id"), "content": frame.get_column("text"), "group": frame.get_column("case"),
        "split": pl.Series([None] * len(frame), dtype=pl.String),
    }  # fmt: skip
    pl.DataFrame(table).write_ipc(source / "texts.arrow")
    np.save(source / "labels.npy", frame.select(names).to_numpy().astype(np.int8))
    train(source, folder / "work", folder / "out", lambda _event: None)
    return folder / "out"


def measure(adapter: LoadedAdapter, held: pl.DataFrame, texts: int, seed: int) -> Curves:
    """Explain texts until enough had an option decided yes, and delete."""
    draw = np.random.default_rng(seed)
    found = Curves({}, {}, [], [], [], [], [])
    explained = 0
    for text, case in held.select("text", "case").iter_rows():
        if explained >= texts:
            break
        if not LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
            continue
        probabilities = adapter.predict([text])
        decided = np.flatnonzero(adapter.decide(probabilities)[0] == 1)
        chosen = decided[np.argsort(-probabilities[0, decided], kind="stable")][:MOST_OPTIONS]
        if len(chosen):
            explained += 1
            _one(adapter, text, case, [adapter.option_keys[column] for column in chosen], draw, found)
    return found


def _one(
    adapter: LoadedAdapter, text: str, case: str, keys: Sequence[str], draw: np.random.Generator, found: Curves
) -> None:  # fmt: skip
    began = time.perf_counter()
    said = explain(adapter, text, keys)
    found.seconds.append(time.perf_counter() - began)
    for option in said.options:
        column = adapter.option_keys.index(option.key)
        found.errors.append(option.completeness_error)
        found.steps.append(option.steps)
        weights = {
            "words, all": option.weights,
            "words, encoder's part (integrated gradients)": option.encoder,
            "words, reversed": -option.weights,
        }
        if option.wide.any():
            weights["words, TF-IDF's part"] = option.wide
        sizes = [round(share * len(said.words)) for share in SHARES]
        _extend(found.words, _drops(adapter, text, column, said.words, weights, sizes, draw))
        found.word_cases.append(case)
        if len(said.sentences) >= LEAST_SENTENCES:
            spans = np.array(said.sentences, dtype=np.int32)
            left = {
                "sentences, left out one by one": option.delta_logit,
                "sentences, by the sum of their words": _by_sentence(said, option.weights),
                "sentences, reversed": -option.delta_logit,
            }
            _extend(found.sentences, _drops(adapter, text, column, spans, left, [1, 2], draw))
            found.sentence_cases.append(case)


def _drops(
    adapter: LoadedAdapter, text: str, column: int, spans: NDArray[np.int32], weights: Mapping[str, Curve],
    sizes: Sequence[int], draw: np.random.Generator,
) -> dict[str, list[float]]:  # fmt: skip
    """Drop of the option's logit per method and number of deleted spans; every method's readings in one batch."""
    orders = {name: [np.argsort(-weight, kind="stable")] for name, weight in weights.items()}
    orders["random"] = [draw.permutation(len(spans)) for _ in range(RANDOM_ORDERS)]
    texts = [text]
    texts.extend(
        deleted(text, spans[order[:size]]) for found in orders.values() for order in found for size in sizes
    )
    logits = adapter.logits(texts, [FINAL])[0][:, column].astype(np.float64)
    drops = iter((logits[0] - logits[1:]).reshape(-1, len(sizes)))
    return {name: np.mean([next(drops) for _ in found], axis=0).tolist() for name, found in orders.items()}


def deleted(text: str, spans: NDArray[np.int32]) -> str:
    """A text without some stretches of it."""
    parts, place = [], 0
    for start, end in sorted(map(tuple, spans.tolist())):
        parts.append(text[place:start])
        place = end
    return "".join([*parts, text[place:]])


def _by_sentence(said: TextExplanation, weights: Curve) -> Curve:
    starts = said.words[:, 0]
    return np.array([weights[(starts >= start) & (starts < end)].sum() for start, end in said.sentences])


def _extend(curves: dict[str, Curve], rows: Mapping[str, list[float]]) -> None:
    for name, row in rows.items():
        before = curves.get(name)
        curves[name] = np.array([row]) if before is None else np.vstack([before, row])


def _print(name: str, curves: Curves, seed: int) -> dict[str, object]:
    """Print the tables of one adapter; the numbers."""
    print(f"\n### {name}\n")
    print(
        f"{len(curves.word_cases)} pairs of text and option from {len(set(curves.word_cases))} cases, "
        f"{len(curves.sentence_cases)} of them with three sentences or more. Completeness error: median "
        f"{np.median(curves.errors):.4f}, largest {max(curves.errors):.4f} logits; steps {sorted(set(curves.steps))}; "
        f"{np.median(curves.seconds):.2f} s per text.\n"
    )
    sys.stdout.flush()
    words = table(curves.words, curves.word_cases, [f"{SHARES[place]:.0%}" for place in SHOWN], SHOWN, seed)
    print()
    sentences = table(curves.sentences, curves.sentence_cases, ["1 gone", "2 gone"], (0, 1), seed)
    return {"words": words, "sentences": sentences, "errors": curves.errors, "seconds": curves.seconds}


def table(
    curves: Mapping[str, Curve], cases: Sequence[str], heads: Sequence[str], shown: Sequence[int], seed: int
) -> dict[str, object]:
    """Print mean drops, areas and the paired difference to random with its interval and a verdict; the numbers."""
    print(f"| order of deletion | {' | '.join(heads)} | AOPC | more than random (95 %) | |")
    print("|---|" + "--:|" * (len(heads) + 2) + "---|")
    numbers: dict[str, object] = {}
    for name, drops in curves.items():
        area = drops.mean(axis=1)
        low, high = interval(area - curves["random"].mean(axis=1), cases, seed)
        gain = float((area - curves["random"].mean(axis=1)).mean())
        cells = " | ".join(f"{drops[:, place].mean():.2f}" for place in shown)
        more = "" if name == "random" else f"{gain:+.2f} ({low:+.2f} to {high:+.2f})"
        print(
            f"| {name} | {cells} | {area.mean():.2f} | {more} | {verdict(low, high) if name != 'random' else ''} |"
        )
        numbers[name] = {
            "drops": drops.mean(axis=0).tolist(), "aopc": float(area.mean()), "gain": gain, "interval": [low, high],
        }  # fmt: skip
    return numbers


def verdict(low: float, high: float) -> str:
    """What an interval of the difference to random says."""
    if low > 0:
        return "better than random"
    return "worse than random" if high < 0 else "NOT better than random"


def interval(values: Curve, cases: Sequence[str], seed: int) -> tuple[float, float]:
    """95 % interval of a mean by bootstrap over cases."""
    names, owner = np.unique(cases, return_inverse=True)
    sums, counts = np.bincount(owner, weights=values), np.bincount(owner)
    drawn = np.random.default_rng(seed).integers(0, len(names), (DRAWS, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="remand bench explain", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    parser.add_argument("--rows", type=int, default=500, help="Training rows, in whole cases.")
    parser.add_argument(
        "--adapter",
        type=Path,
        help="Folder of an adapter on minilm with these options, in place of training.",
    )
    parser.add_argument("--texts", type=int, default=50, help="Texts explained.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="File for the numbers.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
