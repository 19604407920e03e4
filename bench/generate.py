"""Generation: tokens per second beside transformers' generate() in static batches of the same prompts.

remand bench generate                                           on a CPU: FLAN-T5-small and decoders of its size, random weights
remand bench generate --shape full --prompt 32 1024             on a GPU: FLAN-T5-base, GPT-J-6B, Llama-2-7B in size
Lengths are mixed, and a text ends where its own length says. Needs torch, transformers and peft only. Every measurement runs
in a process of its own; greedy texts are compared token by token.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from bench.generate_shapes import FAMILIES, Load, load_of, random_writer
from bench.machine import describe

_WARM = 2


def ours(
    given: argparse.Namespace, load: Load, device: torch.device
) -> tuple[list[list[int]], dict[str, float]]:
    """One running batch that is refilled at every step."""
    from models.generative.decode.batch import Limits, RunningBatch
    from models.generative.decode.choice import Choice
    from models.generative.decode.load import joined
    from models.generative.decode.sequence import Sequence as Writing
    from models.generative.decode.wording import Wording

    dtype = _dtype(device)
    model = joined(random_writer(given.family, given.shape, device, dtype), dtype)
    wording = Wording(
        None, given.family, "summarize" if given.family == "t5" else "causal", (), 1 << 20, None, 1
    )
    limits = Limits(given.batch, 8192 if device.type == "cuda" else 512)

    def run(part: Load) -> list[list[int]]:
        asked = [
            Writing(prompt, wording, Choice(), most)
            for prompt, most in zip(part.prompts, part.mosts, strict=True)
        ]
        batch = RunningBatch(model, limits)
        for one in asked:
            batch.add(one)
        while not batch.idle:
            batch.advance(0.02)
        rows.append(batch.counted.rows / max(1, batch.counted.steps))
        return [one.tokens for one in asked]

    rows: list[float] = []
    texts, measured = timed(run, load, device)
    return texts, measured | {"rows_per_step": round(rows[-1], 1)}


def plain(
    given: argparse.Namespace, load: Load, device: torch.device
) -> tuple[list[list[int]], dict[str, float]]:
    """transformers' generate(): prompts in the order given, `batch` at a time, each row done at its own length."""
    dtype = _dtype(device)
    model = random_writer(given.family, given.shape, device, dtype)

    def run(part: Load) -> list[list[int]]:
        found: list[list[int]] = []
        for low in range(0, len(part.prompts), given.batch):
            found += _static(model, given.family, part, slice(low, low + given.batch), device)
        return found

    return timed(run, load, device)


def _static(model: Any, family: str, load: Load, rows: slice, device: torch.device) -> list[list[int]]:
    from transformers import StoppingCriteria, StoppingCriteriaList

    prompts, mosts = load.prompts[rows], load.mosts[rows]
    longest = max(map(len, prompts))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        # Decoders go on from the right end, an encoder reads from the left.
        place = slice(0, len(prompt)) if family == "t5" else slice(longest - len(prompt), longest)
        ids[row, place], mask[row, place] = torch.from_numpy(prompt).long(), 1
    begun = 1 if family == "t5" else longest
    ends = torch.tensor(mosts, device=device) + begun

    class Length(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            return ends <= input_ids.shape[1]

    out = model.generate(
        input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=max(mosts), do_sample=False, num_beams=1,
        pad_token_id=0, stopping_criteria=StoppingCriteriaList([Length()]),
    )  # fmt: skip
    return [row[begun : begun + most] for row, most in zip(out.tolist(), mosts, strict=True)]


def timed(
    run: Callable[[Load], list[list[int]]], load: Load, device: torch.device
) -> tuple[list[list[int]], dict[str, float]]:
    """What `run` writes, and its speed, after a short run that warms up."""
    with torch.inference_mode():
        run(Load(load.prompts[:_WARM], [4] * _WARM))
        _wait(device)
        began, cpu = time.perf_counter(), time.process_time()
        texts = run(load)
        _wait(device)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return texts, {
        "tokens_per_second": round(load.tokens / seconds, 1),
        "tokens_per_cpu_second": round(load.tokens / used, 1),
        "seconds": round(seconds, 2),
    }


def _dtype(device: torch.device) -> torch.dtype:
    """fp32 on a CPU, where equal texts show that both sides compute the same."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """One measurement in this process."""
    device = torch.device(given.device)
    if given.threads:
        torch.set_num_threads(given.threads)
    load = load_of(given.family, given.shape, given.count, tuple(given.prompt), tuple(given.written))
    texts, measured = (ours if given.who == "ours" else plain)(given, load, device)
    return measured | {"tokens": load.tokens, "texts": texts}


def measurements(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every family and batch size, both ways, each in a fresh process."""
    for family in given.families:
        for batch in given.batches:
            count = given.few if batch == 1 else given.texts or 4 * batch
            found = {who: _fresh(given, family, batch, count, who) for who in ("plain", "ours")}
            texts = [found[who].pop("texts") for who in ("plain", "ours")]
            equal = [a == b for a, b in zip(*texts, strict=True)]
            yield {
                "family": family, "shape": given.shape, "batch": batch, "prompts": count, **found,
                "times": round(found["ours"]["tokens_per_second"] / found["plain"]["tokens_per_second"], 2),
                "times_per_cpu_second": round(
                    found["ours"]["tokens_per_cpu_second"] / found["plain"]["tokens_per_cpu_second"], 2
                ),
                "equal_texts": f"{sum(equal)} of {len(equal)}",
            }  # fmt: skip


def _fresh(given: argparse.Namespace, family: str, batch: int, count: int, who: str) -> dict[str, Any]:
    words = [
        "--who", who, "--family", family, "--batch", str(batch), "--count", str(count), "--shape", given.shape, "--device", given.device,
        "--threads", str(given.threads), "--prompt", *map(str, given.prompt), "--written", *map(str, given.written),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench.generate", *words], check=True, stdout=subprocess.PIPE, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )  # fmt: skip
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per measurement and, with --json, all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument(
        "--texts", type=int, default=0, help="prompts of a batched run; 0: four times the batch"
    )
    parser.add_argument("--few", type=int, default=3, help="prompts of a run one by one")
    parser.add_argument(
        "--prompt", nargs=2, type=int, default=[8, 128], help="tokens of a prompt: least, most"
    )
    parser.add_argument("--written", nargs=2, type=int, default=[8, 128], help="tokens written: least, most")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    for name in ("--who", "--family"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--batch", "--count"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.who:
        sys.stdout.write(json.dumps(measure(given)) + "\n")
        return 0
    lines = []
    for line in measurements(given):
        sys.stderr.write(_words(line) + "\n")
        lines.append(line)
    if given.json:
        sys.stdout.write(json.dumps({"machine": describe(), "measurements": lines}, indent=1) + "\n")
    return 0


def _words(line: dict[str, Any]) -> str:
    own, other = line["ours"], line["plain"]
    return (
        f"{line['family']} {line['shape']}, batch {line['batch']}, {line['prompts']} prompts: {own['tokens_per_second']:.0f} tokens/s "
        f"beside {other['tokens_per_second']:.0f} of generate() (×{line['times']}; per CPU second ×{line['times_per_cpu_second']}; "
        f"{own['rows_per_step']} rows a step); equal: {line['equal_texts']}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
