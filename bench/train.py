"""How fast members are trained: tokens a second and percent of this machine's matmul peak, beside Hugging Face's Trainer.

    remand bench train --data ../shared/data/echr_arguments/paragraphs.csv

All train the same LoRA and head on the same texts with the same cores and in the same precision, bf16 where the hardware
computes it and else fp32: at full depth, and on the top layer alone, whose frozen trunk we compute once and the Trainer in
every step. The Trainer runs twice: as it comes, and with batches of like length and the attention that is quickest there.
Then a whole job of five held-out folds and a final fit, baselines, calibration, report and all, beside one fit by the
Trainer as it comes. Contenders take turns, so that a machine that others use is slow for all; each figure is the median of
the rounds, and ratios are given by the clock and by processor time. Padding is not counted as tokens.
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

from bench.machine import cpu_seconds, describe, matmul_gflops
from bench.train_ours import Speed, frozen_trunk, ours
from bench.train_setup import ROBERTA, Texts, base_model, flops_per_token, read_texts, windows_of
from bench.train_trainer import BATCH, STOCK, trainer, tuned
from models.catalog import DEFAULT
from models.encoder.load import Encoder, compute_dtype

RANK = 16
LARGE_STEPS = 2
"""Steps of the large model on a CPU, in one round: minutes instead of hours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; prints a Markdown table and, with --json, writes the numbers."""
    given = _options(arguments)
    if given.decoders:
        return subprocess.run([sys.executable, "-m", "bench.train_decoders"], check=False).returncode
    if given.threads:
        torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = read_texts(given.data, given.texts, given.seed)
    peaks = [matmul_peak(device)]
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
    numbers["dtype"], numbers["matmul_gflops"] = dtype_of(device), max(peaks)
    for row in numbers["speed"]:
        row["percent_of_peak"] = 100 * row["flops_per_token"] * row["tokens_per_second"] / max(peaks) / 1e9
    print(table(numbers))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return 0


def speeds(
    name: str, encoder: Encoder, texts: Texts, given: argparse.Namespace, peaks: list[float]
) -> list[dict[str, Any]]:
    """Rows of one model: all contenders at full depth and with only the top layer trained."""
    steps, rounds = given.steps, given.rounds
    if name == ROBERTA and encoder.device.type == "cpu":
        steps, rounds = min(steps, LARGE_STEPS), 1
        texts = texts.cut(BATCH * (2 * steps + 4))
    windows = windows_of(encoder, texts)
    tokens = int(steps * BATCH * windows.tokens / len(texts.contents))
    length = float((windows.lengths**2).sum() / windows.tokens)
    peers = [STOCK, tuned(encoder.device.type)]
    rows = []
    for layers in (encoder.depth, 1):
        found: dict[str, list[Speed]] = {"remand": [], **{peer.name: [] for peer in peers}}
        with tempfile.TemporaryDirectory() as folder:
            trunk, frozen = frozen_trunk(encoder, windows, layers, Path(folder))
            for turn in range(rounds):
                print(f"{name}, {layers} trained layers, round {turn + 1}", file=sys.stderr)
                found["remand"].append(ours(encoder, texts, trunk, tokens, RANK, given.seed))
                for peer in peers:
                    found[peer.name].append(trainer(encoder, texts, layers, tokens, RANK, given.seed, peer))
                peaks.append(matmul_peak(encoder.device.type))
        for contender, done in found.items():
            below = 0 if contender == "remand" else encoder.depth - layers
            rows.append({
                "model": name, "trained_layers": layers, "contender": contender, "dtype": dtype_of(encoder.device.type),
                "tokens_per_second": statistics.median(speed.rate for speed in done),
                "tokens_per_cpu_second": statistics.median(speed.cpu_rate for speed in done),
                "tokens": done[0].tokens, "padding": done[0].computed / done[0].tokens - 1, "trained_parameters": done[0].trained,
                "flops_per_token": flops_per_token(encoder, below, layers, RANK, length),
                "trunk_tokens_per_second": frozen if contender == "remand" else None,
                **ratios(found["remand"], done),
            })  # fmt: skip
    return rows


def ratios(remand: Sequence[Speed], others: Sequence[Speed]) -> dict[str, float]:
    """How many times as fast as a contender we were, the median of the rounds."""
    pairs = list(zip(remand, others, strict=True))
    return {
        "remand_is_times": statistics.median(one.rate / other.rate for one, other in pairs),
        "remand_is_times_by_cpu_time": statistics.median(
            one.cpu_rate / other.cpu_rate for one, other in pairs
        ),
    }


def folds(name: str, encoder: Encoder, texts: Texts, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A whole job beside one fit by the Trainer of as many epochs, at full depth and with the top layer trained."""
    from bench.train_folds import job

    few = texts.cut(given.fold_texts)
    tokens = windows_of(encoder, few).tokens * given.epochs
    rows = []
    for layers in (encoder.depth, 1):
        print(f"{name}, {layers} layers, five folds and final fit, then the Trainer", file=sys.stderr)
        used = cpu_seconds()
        done = job(encoder, few, layers, given.epochs, RANK, given.seed)
        done["cpu_seconds"] = cpu_seconds() - used
        one = trainer(encoder, few, layers, tokens, RANK, given.seed)
        seconds, cpu = tokens / one.rate, tokens / one.cpu_rate
        rows.append({
            "model": name, "trained_layers": layers, "texts": len(few.contents), "epochs": given.epochs, "trainer_seconds": seconds,
            "times_trainer": done["seconds"] / seconds, "times_trainer_by_cpu_time": done["cpu_seconds"] / cpu, **done,
        })  # fmt: skip
    return rows


def dtype_of(device: str) -> str:
    """What everything is computed in on a device."""
    return str(compute_dtype(torch.device(device))).removeprefix("torch.")


def matmul_peak(device: str) -> float:
    """GFLOP/s of a large matmul in that dtype at the moment; contenders are held against the best one of the run."""
    dtype = dtype_of(device)
    return matmul_gflops([dtype], 8192 if device == "cuda" else 2048, device=device)[dtype]


def table(numbers: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    machine = numbers["machine"]
    head = (
        f"{machine['date']}, {machine['processor']}, {numbers['threads']} threads, torch {machine['versions']['torch']}, load {machine['load']}; "
        f"all in {numbers['dtype']}, matmul peak {numbers['matmul_gflops']:.0f} GFLOP/s; texts: {numbers['texts']}"
    )
    lines = [
        head,
        "",
        "| model | trained layers | contender | padding, % | tokens/s | % of peak | tokens per CPU second | remand is × | by CPU time × | frozen trunk, tokens/s, once |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in numbers["speed"]:
        trunk = row["trunk_tokens_per_second"]
        lines.append(
            f"| {row['model']} | {row['trained_layers']} | {row['contender']} | {100 * row['padding']:.0f} | "
            f"{row['tokens_per_second']:,.0f} | {row['percent_of_peak']:.0f} | {row['tokens_per_cpu_second']:,.0f} | "
            f"{row['remand_is_times']:.2f} | {row['remand_is_times_by_cpu_time']:.2f} | "
            f"{'' if trunk is None else format(trunk, ',.0f')} |"
        )
    if numbers["folds"]:
        lines += ["", "| model | trained layers | texts | epochs | whole job, s | one Trainer fit, s | times | by CPU time | epochs chosen | macro-F1 (model, TF-IDF) |", "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in numbers["folds"]:
        f1 = row["macro_f1"]
        lines.append(
            f"| {row['model']} | {row['trained_layers']} | {row['texts']} | {row['epochs']} | {row['seconds']:.0f} | "
            f"{row['trainer_seconds']:.0f} | {row['times_trainer']:.2f} | {row['times_trainer_by_cpu_time']:.2f} | {row['best_epochs']} | "
            f"{f1['model']:.3f}, {f1['tfidf']:.3f} |"
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
        help=f"steps of 32 texts per contender and round; for the large model on a CPU {LARGE_STEPS}, in one round",
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
