"""How fast members are trained: tokens a second and percent of this machine's matmul peak, beside Hugging Face's Trainer.

    remand bench train --data ../shared/data/echr_arguments/paragraphs.csv

Both train the same LoRA and head on the same texts in bf16 with the same cores: at full depth, and on the upper layers alone,
whose frozen trunk we compute once and the Trainer in every step. Then a whole job of five held-out folds and a final fit,
baselines, calibration, report and all, beside one fit by the Trainer. Contenders take turns, so that a machine that others
use is slow for both; each figure is the median of the rounds. Padding is not counted as tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As train jobs do: spinning OpenMP threads halve the speed of a machine that runs anything else. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from bench.machine import describe, matmul_gflops
from bench.train_ours import Speed, frozen_trunk, ours
from bench.train_setup import ROBERTA, Texts, base_model, flops_per_token, read_texts, windows_of
from bench.train_trainer import BATCH, trainer
from models.catalog import DEFAULT
from models.encoder.load import Encoder

RANK = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; prints a Markdown table and, with --json, writes the numbers."""
    given = _options(arguments)
    if given.decoders:
        return subprocess.run([sys.executable, "-m", "bench.train_decoders"], check=False).returncode
    if given.threads:
        torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = read_texts(given.data, given.texts, given.seed)
    peaks = [peak_of(device)]
    numbers: dict[str, Any] = {"machine": describe(), "device": device, "threads": torch.get_num_threads(), "texts": texts.source}  # fmt: skip
    if device == "cuda":
        numbers["machine"]["processor"] = torch.cuda.get_device_name()
    with tempfile.TemporaryDirectory() as folder:
        models = given.model or ([ROBERTA] if device == "cuda" else [DEFAULT, ROBERTA])
        encoders = {name: base_model(name, texts, Path(folder), device) for name in models}
        numbers["speed"] = [
            row for name, encoder in encoders.items() for row in speeds(name, encoder, texts, given, peaks)
        ]
        numbers["folds"] = [
            row
            for name in given.folds
            for row in folds(name, encoders[name], texts, given)
            if name in encoders
        ]
    best = {dtype: max(peak[dtype] for peak in peaks) for dtype in peaks[0]}
    numbers["matmul_gflops"] = best
    for row in numbers["speed"]:
        row["percent_of_peak"] = (
            100 * row["flops_per_token"] * row["tokens_per_second"] / best["bfloat16"] / 1e9
        )
    print(table(numbers))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return 0


def speeds(
    name: str, encoder: Encoder, texts: Texts, given: argparse.Namespace, peaks: list[dict[str, float]]
) -> list[dict[str, Any]]:
    """Rows of one model: both contenders at full depth and with only the top layer trained."""
    steps = given.steps
    if name == ROBERTA and encoder.device.type == "cpu":
        steps = max(1, steps // 4)
        texts = texts.cut(BATCH * (2 * steps + 4))
    windows = windows_of(encoder, texts)
    tokens = int(steps * BATCH * windows.tokens / len(texts.contents))
    length = float((windows.lengths**2).sum() / windows.tokens)
    rows = []
    for layers in (encoder.depth, 1):
        found: dict[str, list[Speed]] = {"remand": [], "trainer": []}
        with tempfile.TemporaryDirectory() as folder:
            trunk, frozen = frozen_trunk(encoder, windows, layers, Path(folder))
            for turn in range(given.rounds):
                print(f"{name}, {layers} trained layers, round {turn + 1}", file=sys.stderr)
                found["remand"].append(ours(encoder, texts, trunk, tokens, RANK, given.seed))
                found["trainer"].append(trainer(encoder, texts, layers, tokens, RANK, given.seed))
                peaks.append(peak_of(encoder.device.type))
        ratio = statistics.median(
            one.rate / other.rate for one, other in zip(found["remand"], found["trainer"], strict=True)
        )
        for contender, done in found.items():
            below = 0 if contender == "remand" else encoder.depth - layers
            rows.append({
                "model": name, "trained_layers": layers, "contender": contender, "dtype": str(encoder.dtype),
                "tokens_per_second": statistics.median(speed.rate for speed in done),
                "tokens": done[0].tokens, "trained_parameters": done[0].trained,
                "flops_per_token": flops_per_token(encoder, below, layers, RANK, length),
                "trunk_tokens_per_second": frozen if contender == "remand" else None,
                "times_trainer": ratio if contender == "remand" else 1.0,
            })  # fmt: skip
    return rows


def folds(name: str, encoder: Encoder, texts: Texts, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A whole job beside one fit by the Trainer of as many epochs, at full depth and with the top layer trained."""
    from bench.train_folds import job

    few = texts.cut(given.fold_texts)
    tokens = windows_of(encoder, few).tokens * given.epochs
    rows = []
    for layers in (encoder.depth, 1):
        print(f"{name}, {layers} layers, five folds and final fit, then the Trainer", file=sys.stderr)
        done = job(encoder, few, layers, given.epochs, RANK, given.seed)
        one = trainer(encoder, few, layers, tokens, RANK, given.seed)
        seconds = tokens / one.rate
        rows.append({"model": name, "trained_layers": layers, "texts": len(few.contents), "epochs": given.epochs, "trainer_seconds": seconds, "times_trainer": done["seconds"] / seconds, **done})  # fmt: skip
    return rows


def peak_of(device: str) -> dict[str, float]:
    """The matmul peak of the moment; contenders are held against the best one of the run."""
    return matmul_gflops(8192 if device == "cuda" else 2048, device=device)


def table(numbers: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    machine, peak = numbers["machine"], numbers["matmul_gflops"]
    head = (
        f"{machine['date']}, {machine['processor']}, {numbers['threads']} threads, torch {machine['versions']['torch']}, load {machine['load']}; "
        f"matmul {peak['bfloat16']:.0f} GFLOP/s bf16, {peak['float32']:.0f} fp32; texts: {numbers['texts']}"
    )
    lines = [
        head,
        "",
        "| model | trained layers | contender | trained parameters | tokens/s | % of bf16 peak | × Trainer | frozen trunk, tokens/s, once |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in numbers["speed"]:
        trunk = row["trunk_tokens_per_second"]
        lines.append(
            f"| {row['model']} | {row['trained_layers']} | {row['contender']} | {row['trained_parameters']:,} | "
            f"{row['tokens_per_second']:,.0f} | {row['percent_of_peak']:.0f} | {row['times_trainer']:.2f} | "
            f"{'' if trunk is None else format(trunk, ',.0f')} |"
        )
    if numbers["folds"]:
        lines += ["", "| model | trained layers | texts | epochs | whole job, s | one Trainer fit, s | times | epochs chosen | macro-F1 (model, TF-IDF) |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in numbers["folds"]:
        f1 = row["macro_f1"]
        lines.append(
            f"| {row['model']} | {row['trained_layers']} | {row['texts']} | {row['epochs']} | {row['seconds']:.0f} | "
            f"{row['trainer_seconds']:.0f} | {row['times_trainer']:.2f} | {row['best_epochs']} | {f1['model']:.3f}, {f1['tfidf']:.3f} |"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="CSV with a text column and a 0/1 column per option; default: synthetic letters")  # fmt: skip
    parser.add_argument("--texts", type=int, default=2000, help="texts drawn")
    parser.add_argument("--model", action="append", help=f"{DEFAULT}, {ROBERTA} or a folder; may be repeated")
    parser.add_argument(
        "--steps",
        type=int,
        default=20,
        help="steps of 32 texts per contender and round; a quarter for the large model on a CPU",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folds", action="append", help="models to run a whole job of; default: the first")
    parser.add_argument("--fold-texts", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2, help="of the whole job and of the Trainer's fit")
    parser.add_argument("--no-folds", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--decoders", action="store_true", help="Llama's and GPT-J's sizes instead (needs CUDA)"
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    given = parser.parse_args(arguments)
    fallback = ROBERTA if torch.cuda.is_available() else DEFAULT
    given.folds = [] if given.no_folds else given.folds or [(given.model or [fallback])[0]]
    return given


if __name__ == "__main__":
    sys.exit(main())
