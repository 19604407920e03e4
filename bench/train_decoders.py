"""LoRA training of decoders: tokens per second beside HF Trainer, and the share of the measured matmul peak.

remand bench train_decoders --shape full --sequence 2048        on a GPU: Llama-2-7B and GPT-J-6B in size, random weights
remand bench train_decoders --shape small                       on a CPU
Needs torch, transformers, peft and accelerate only. Every measurement runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.decoder_shapes import SHAPES, Shape, flops_per_token, random_model
from bench.machine import matmul_gflops
from models.encoder.load import compute_dtype

WARM_STEPS = 3
TARGETS = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gptj": ["q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"],
}
RATE = 2e-4


def rows_of(shape: Shape, count: int, *, mixed: bool) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """The same random documents for everyone: int32 arrays as long as the sequence, or of an eighth of it to all of it."""
    draw = np.random.default_rng(0)
    lengths = (
        draw.integers(shape.sequence // 8, shape.sequence + 1, count) if mixed else [shape.sequence] * count
    )
    return [draw.integers(1, shape.vocabulary, length).astype(np.int32) for length in lengths]


def ours(given: argparse.Namespace, shape: Shape, device: torch.device) -> dict[str, Any]:
    """Train with models.generative and measure between two steps' beginnings."""
    from models.generative.blocks import Blocks, wrap
    from models.generative.causal import causal_task
    from models.generative.fit import FitSettings, Signals, fit
    from models.generative.load import Base, checkpoint_activations, prepare_attention
    from models.generative.lora import scaling_of, target_names, with_lora
    from models.generative.packing import Packing

    dtype = compute_dtype(device)
    model = random_model(given.family, shape, device, dtype)
    packing = Packing()
    prepare_attention(model, packing)
    trained = with_lora(model, given.rank, scaling_of("lora", given.rank), 0)
    base = Base("random", Path(), given.family, "", model, None, trained, target_names(trained), packing, device, dtype, shape.sequence, shape.vocabulary)  # fmt: skip
    if given.checkpointing:
        checkpoint_activations(model)
    steps = WARM_STEPS + given.steps + 1
    documents = rows_of(shape, 2 * steps * given.batch, mixed=given.mixed)
    blocks = wrap(documents, shape.sequence)
    whole = len(blocks.ids) // shape.sequence * shape.sequence
    blocks = Blocks(blocks.ids[:whole], blocks.begins[blocks.begins < whole], shape.sequence)
    task = causal_task(base, blocks, None)
    with torch.no_grad():
        alone = causal_task(base, wrap(documents[:1], shape.sequence), None)
        first = float(alone.loss([0])) / (len(documents[0]) - 1)
    if given.compile:
        for layer in model.model.layers if given.family == "llama" else model.transformer.h:  # type: ignore[union-attr]
            layer.compile()
    read, begins, told = 0, [], []

    def progress(tokens: int) -> None:
        nonlocal read
        read += tokens

    def step_begins() -> None:
        # at a step's beginning all its predecessor's work has been waited for: its loss was asked for
        if read % (given.batch * shape.sequence) == 0:
            begins.append((time.perf_counter(), time.process_time(), read))

    with tempfile.TemporaryDirectory() as folder:
        settings = FitSettings(steps, steps, given.batch, RATE, "cosine", 0, checkpoint_seconds=1e9)
        signals = Signals(
            lambda name, **data: told.append({"event": name, **data}), progress, step_begins, lambda: checkpoint_activations(model),
        )  # fmt: skip
        fit(task, trained, settings, min(given.micro, given.batch), Path(folder) / "fit.pt", signals)
    (start, cpu, before), (end, cpu_end, after) = begins[WARM_STEPS], begins[-1]
    return {
        "tokens_per_second": (after - before) / (end - start),
        "tokens_per_cpu_second": round((after - before) / (cpu_end - cpu), 1), "first_loss": first, "dtype": str(dtype).removeprefix("torch."),
        "out_of_memory": [event for event in told if event["event"] == "out_of_memory"],
    }  # fmt: skip


def hf_trainer(given: argparse.Namespace, shape: Shape, device: torch.device) -> dict[str, Any]:
    """Train with transformers.Trainer and peft: the same adapters, documents and precision, fused AdamW on a GPU.

    bf16 weights and autocast where bf16 is computed. Tuned: batches by length, and the quicker of transformers' attentions.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainerCallback, TrainingArguments

    dtype = compute_dtype(device)
    model: Any = random_model(given.family, shape, device, dtype, attention=given.attention or None)
    config = LoraConfig(task_type="CAUSAL_LM", r=given.rank, lora_alpha=2 * given.rank, target_modules=TARGETS[given.family])  # fmt: skip
    model = get_peft_model(model, config)
    steps = WARM_STEPS + given.steps
    documents = rows_of(shape, 2 * (steps + 1) * given.batch, mixed=given.mixed)
    first = _first_loss(model, documents[0].tolist(), device)
    if given.by_length:
        from bench.train_trainer import by_length

        order = by_length(np.array(list(map(len, documents))), 0, min(given.micro, given.batch))
        documents = [documents[row] for row in order]
    rows = [{"input_ids": row} for row in documents]
    times: list[tuple[float, float]] = []
    read: list[int] = []

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Padded to the longest, as everybody does who keeps documents apart."""
        parts = [torch.from_numpy(row["input_ids"].astype(np.int64)) for row in batch]
        read.append(sum(map(len, parts)))
        ids = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(part) for part in parts], batch_first=True)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Notes when each step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=min(given.micro, given.batch),
            gradient_accumulation_steps=max(1, given.batch // given.micro), max_steps=steps, learning_rate=RATE, bf16=dtype is torch.bfloat16,
            optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch", save_strategy="no", logging_strategy="no", report_to=[],
            use_cpu=device.type == "cpu", gradient_checkpointing=given.checkpointing, dataloader_num_workers=0, disable_tqdm=True, remove_unused_columns=False,
            train_sampling_strategy="sequential" if given.by_length else "random",
        )  # fmt: skip
        Trainer(
            model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]
        ).train()
    per_step = max(1, given.batch // given.micro)
    tokens = sum(read[WARM_STEPS * per_step : len(times) * per_step])
    (start, cpu), (end, cpu_end) = times[WARM_STEPS - 1], times[-1]
    return {
        "tokens_per_second": tokens / (end - start), "tokens_per_cpu_second": round(tokens / (cpu_end - cpu), 1), "first_loss": first,
        "dtype": str(dtype).removeprefix("torch."), "attention": model.config._attn_implementation,  # noqa: SLF001
    }  # fmt: skip


@torch.no_grad()
def _first_loss(model: nn.Module, ids: list[int], device: torch.device) -> float:
    """Loss of the first document before training, which both must agree on."""
    row = torch.tensor([ids], device=device)
    return float(model(input_ids=row, labels=row).loss)


def measure(given: argparse.Namespace, family: str, engine: str, *setting: str) -> dict[str, Any]:
    """One measurement in a fresh process; where memory runs out the micro-batch is halved, for either engine."""
    micro = given.micro
    while True:
        command = [
            sys.executable, "-m", "bench.train_decoders", "--child", engine, "--family", family, "--shape", given.shape,
            *("--device", given.device, "--batch", str(given.batch), "--micro", str(micro), "--steps", str(given.steps)),
            *("--rank", str(given.rank), "--sequence", str(given.sequence or 0), "--threads", str(given.threads)),
            *(f"--{name}" for name in ("checkpointing", "mixed", "compile") if getattr(given, name)), *setting,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})  # fmt: skip
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return found | {"micro_batch": micro}
        if "OutOfMemoryError" not in done.stderr or micro == 1:
            return {"error": done.stderr.strip()[-800:], "micro_batch": micro}
        micro //= 2


def contenders(given: argparse.Namespace, family: str) -> dict[str, tuple[str, ...]]:
    """Engine and setting of each: ours, HF Trainer as it comes, and tuned where there is something to tune.

    Where documents are padded, batches by length; on a CPU attention as plain products. GPT-J has no other than that.
    """
    tuned = ["--by-length"] if given.micro > 1 and given.mixed else []
    if family == "llama" and given.device == "cpu":
        tuned += ["--attention", "eager"]
    found: dict[str, tuple[str, ...]] = {"ours": ("ours",), "hf": ("hf",)}
    return found | ({"hf_tuned": ("hf", *tuned)} if tuned else {})


def compare(given: argparse.Namespace, family: str) -> dict[str, Any]:
    """Every contender on one model, turn by turn, the best of `rounds` each."""
    shape = shape_of(given, family)
    entered = contenders(given, family)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in entered}
    for _ in range(given.rounds):
        for name, found in runs.items():
            found.append(measure(given, family, *entered[name]))
    best = {
        name: max(found, key=lambda run: run.get("tokens_per_second", 0.0)) for name, found in runs.items()
    }
    dtype = str(compute_dtype(torch.device(given.device))).removeprefix("torch.")
    peak = 1e9 * matmul_gflops([dtype], 8192 if given.device.startswith("cuda") else 2048, device=given.device)[dtype]  # fmt: skip
    flops = flops_per_token(shape, family)
    for run in best.values():
        if "tokens_per_second" in run:
            run["share_of_peak"] = round(run["tokens_per_second"] * flops / peak, 4)
            run["tokens_per_second"] = round(run["tokens_per_second"], 1)
    return {
        "family": family, "shape": given.shape, "sequence": shape.sequence, "batch": given.batch, "rank": given.rank,
        "documents": "mixed" if given.mixed else "full", "compiled": given.compile,
        "flops_per_token": flops, "peak_dtype": dtype, "peak_tflops": round(peak / 1e12, 3), **best,
        "ratio": _ratios(best, "tokens_per_second"), "ratio_of_cpu_time": _ratios(best, "tokens_per_cpu_second"),
    }  # fmt: skip


def _ratios(best: dict[str, dict[str, Any]], name: str) -> dict[str, float | None]:
    """Ours over each of HF Trainer's; on a busy machine CPU time says more than the clock."""
    rate = best["ours"].get(name)
    return {
        other: round(rate / found[name], 3) if rate and found.get(name) else None
        for other, found in best.items()
        if other != "ours"
    }


def shape_of(given: argparse.Namespace, family: str) -> Shape:
    """The shape asked for, with the sequence asked for."""
    shape = SHAPES[family, given.shape]
    if not given.sequence:
        return shape
    return Shape(shape.layers, shape.hidden, shape.inner, shape.heads, shape.vocabulary, given.sequence)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=["full", "small", "tiny"], default="small")
    parser.add_argument(
        "--tiny", dest="shape", action="store_const", const="tiny", help="Only check that all of it runs."
    )
    parser.add_argument("--family", choices=["llama", "gptj", "both"], default="both")
    parser.add_argument("--sequence", type=int, default=0, help="Tokens of a document; default: the shape's.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="Documents of an optimizer step.")
    parser.add_argument(
        "--micro", type=int, default=0, help="Computed at once, at first; default: 8 on a GPU, 1 on a CPU."
    )
    parser.add_argument("--steps", type=int, default=10, help="Measured steps, after three to warm up.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--checkpointing", action="store_true", help="Activation checkpointing, for both.")
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="Documents of an eighth of the sequence to all of it: ours packs, HF pads.",
    )
    parser.add_argument("--compile", action="store_true", help="Ours only: torch.compile on every layer.")
    parser.add_argument("--by-length", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--attention", default="", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=["ours", "hf"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.micro = given.micro or (8 if given.device.startswith("cuda") else 1)
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.child:
        engine = {"ours": ours, "hf": hf_trainer}[given.child]
        print(json.dumps(engine(given, shape_of(given, given.family), torch.device(given.device))))
        return
    families = ["llama", "gptj"] if given.family == "both" else [given.family]
    device = torch.device(given.device)
    print(json.dumps({
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
        "models": [compare(given, family) for family in families],
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
