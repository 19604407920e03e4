"""How fast texts are read offline: padded and flat batches, transformers' pipeline, ONNX Runtime, OpenVINO. Same cores, same precision.

    remand bench classify --data ../shared/data [--models minilm,roberta-base] [--peers /path/to/python] [--json FILE]

Each arm reads the same windows (the first 256 tokens of paragraphs of ECHR, or of letters of 160 to 240 words) and gives the
mean over tokens of the last layer; the arms' results are compared with the padded one's. Percent of peak is the arithmetic of
the windows' own tokens, padding not counted, over the machine's matmul peak in the same dtype, measured in the same run before
and after. Where a CPU computes in bf16, one arm reads in fp32 and says how far bf16 is off and how often labels stay the same; of the
peers OpenVINO then computes in bf16 too, ONNX Runtime, which cannot on x86, in fp32. Processor seconds stand beside wall seconds, because other programs' load falsifies these; with `--threads 1` percent
of peak is by processor seconds. ONNX Runtime and OpenVINO run in an environment of their own
(`pip install onnxruntime openvino onnx`), whose python `--peers` names; without it their arms are left out.

On a GPU the script needs torch, transformers and peft alone: `python -m bench.classify --models roberta-base,distilbert,llama-2-7b`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # as the inference worker does; read when torch is imported

import numpy as np
import torch
from numpy.typing import NDArray

from bench.classify_models import (
    MODELS,
    Matrix,
    Taken,
    agreement,
    base_model,
    labels_of,
    ours,
    ours_from_texts,
    pipeline_arm,
    plain_model,
    rounds_of,
    texts_of,
    windows_of,
    work_gflop,
)
from bench.machine import cpu_seconds, describe, matmul_gflops
from models.encoder.int8 import int8_encoder
from models.encoder.load import Encoder, compute_dtype, resolve_device
from models.encoder.pace import CPU_BUDGETS, GPU_BUDGETS, chosen_batching
from models.encoder.tokens import Windows
from models.families import FAMILIES

Arm = dict[str, Any]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PEERS = Path(__file__).with_name("classify_peers.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        prog="remand bench classify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", default="minilm,roberta-base", help=f"out of {', '.join(MODELS)}")
    parser.add_argument("--lengths", default="echr,letters")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="auto: what the hardware is fast in",
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", help="python of an environment with onnxruntime, openvino and onnx")
    parser.add_argument("--no-pipeline", action="store_true", help="leave transformers' pipeline out")
    parser.add_argument("--json", type=Path, help="where all numbers go")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {"machine": describe(), "threads": options.threads, "tables": []}
    print(json.dumps(found["machine"]), flush=True)
    device = resolve_device(options.device)
    dtype = _DTYPES.get(options.precision) or compute_dtype(device)
    for name in options.models.split(","):
        encoder = base_model(name, str(device), dtype)
        chosen = chosen_batching(encoder)
        for distribution in options.lengths.split(","):
            table = compared(encoder, name, distribution, options)
            table["worker_would_choose"] = [chosen.name, chosen.tokens]
            found["tables"].append(table)
            print(as_table(table), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def compared(encoder: Encoder, name: str, distribution: str, options: argparse.Namespace) -> dict[str, Any]:
    """All arms on one model and one distribution of lengths."""
    texts = texts_of(distribution, options.data, options.texts)
    windows = windows_of(encoder, texts, options.texts)
    dtype = str(encoder.dtype).removeprefix("torch.")
    peaks = [_peak(dtype, encoder.device.type, options.threads)]
    arms, reference = _our_arms(encoder, windows, texts, options.rounds)
    if encoder.device.type == "cpu" and FAMILIES[encoder.family].flat:
        labels = None if texts is None else labels_of(options.data, texts)
        other = _int8_arm if encoder.dtype == torch.float32 else _exact_arm
        arms.append(other(encoder, windows, labels, reference, options.rounds))
    if texts is not None and not options.no_pipeline and not FAMILIES[encoder.family].causal:
        plain = plain_model(encoder)
        for ordered in (False, True):
            run = pipeline_arm(encoder, plain, texts, ordered)
            label = "HF pipeline, batch 32" + (", sorted" if ordered else "")
            arms.append({"arm": label, "from": "texts", **_best(run, options.rounds, reference)})
    if options.peers and encoder.device.type == "cpu" and not FAMILIES[encoder.family].causal:
        arms += _peer_arms(encoder, windows, reference, options)
    peaks.append(_peak(dtype, encoder.device.type, options.threads))
    return {
        "model": name, "lengths": distribution if texts is not None else "drawn", "dtype": dtype, "texts": len(windows.lengths),
        "tokens": windows.tokens, "gflop": work_gflop(encoder, windows), "peaks_gflops": peaks, "threads": options.threads, "arms": arms,
    }  # fmt: skip


def _our_arms(
    encoder: Encoder, windows: Windows, texts: Sequence[str] | None, rounds: int
) -> tuple[list[Arm], Matrix]:
    """Ours by layout and budget, from ids, and the fastest from texts; with the padded means."""
    budgets = CPU_BUDGETS if encoder.device.type == "cpu" else GPU_BUDGETS
    reference = ours(encoder, windows, False, budgets[0]).means
    assert reference is not None
    arms: list[Arm] = []
    for flat in (False, True) if FAMILIES[encoder.family].flat else (False,):
        for budget in budgets:
            label = f"ours {'flat' if flat else 'padded'} {budget}"
            run = _bound(ours, encoder, windows, flat, budget)
            arms.append({"arm": label, "from": "ids", "flat": flat, "budget": budget, **_best(run, rounds, reference)})  # fmt: skip
    best = min(arms, key=lambda arm: float(arm["cpu_seconds"]))
    if texts is not None:
        run = _bound(ours_from_texts, encoder, texts, best["flat"], best["budget"])
        arms.append({"arm": f"{best['arm']}, tokenized", "from": "texts", **_best(run, rounds, reference)})
    return arms, reference


def _int8_arm(
    encoder: Encoder, windows: Windows, labels: NDArray[np.int8] | None, reference: Matrix, rounds: int
) -> Arm:
    """Ours in 8 bits, flat, with how often labels stay the same."""
    low = int8_encoder(encoder)
    run = _bound(ours, low, windows, True, CPU_BUDGETS[1])
    arm = {"arm": f"ours int8 flat {CPU_BUDGETS[1]}", "from": "ids, int8", **_best(run, rounds, reference)}
    means = run().means
    if labels is not None and means is not None:
        arm["labels"] = agreement(reference, means, labels)
    return arm


def _exact_arm(
    encoder: Encoder, windows: Windows, labels: NDArray[np.int8] | None, reference: Matrix, rounds: int
) -> Arm:
    """Ours in fp32, flat, with how often the labels of the reference, in bf16, are the same."""
    known = encoder.path.name not in MODELS  # random weights are drawn anew in another precision
    exact = base_model("minilm" if known else encoder.path.name, "cpu", torch.float32)
    run = _bound(ours, exact, windows, True, CPU_BUDGETS[1])
    arm = {"arm": f"ours fp32 flat {CPU_BUDGETS[1]}", "from": "ids, fp32", **_best(run, rounds, reference)}
    means = run().means
    if not known:
        arm["off"] = None
    elif labels is not None and means is not None:
        arm["labels"] = agreement(means, reference, labels)
    return arm


def _bound(function: Callable[..., Taken], *given: Any) -> Callable[[], Taken]:
    return lambda: function(*given)


def _best(run: Callable[[], Taken], rounds: int, reference: Matrix) -> Arm:
    taken = list(rounds_of(run, rounds))
    means = taken[-1].means
    off = None if means is None else float(np.abs(means - reference).max())
    return {
        "seconds": min(one.seconds for one in taken),
        "cpu_seconds": min(one.cpu_seconds for one in taken),
        "off": off,
    }


def _peak(dtype: str, device: str, threads: int) -> float:
    """GFLOP/s of a square matmul; with one thread per processor second, which other programs' load does not change."""
    size = 2048 if device == "cpu" else 8192
    if device != "cpu" or threads > 1:
        return matmul_gflops((dtype,), size, 5, device)[dtype]
    matrix = torch.randn(size // 2, size // 2).to(getattr(torch, dtype))
    best = float("inf")
    for _ in range(8):
        spent = cpu_seconds()
        matrix @ matrix
        matrix @ matrix
        best = min(best, (cpu_seconds() - spent) / 2)
    return 2 * len(matrix) ** 3 / best / 1e9


def _peer_arms(
    encoder: Encoder, windows: Windows, reference: Matrix, options: argparse.Namespace
) -> list[Arm]:
    """ONNX Runtime's and OpenVINO's fastest budget each; an arm with its reason where one cannot run."""
    arms: list[Arm] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            export(encoder, place, options.peers)
        except Exception as error:  # noqa: BLE001  # the other arms are none the worse
            return [{"arm": "ONNX Runtime, OpenVINO", "skipped": f"no export: {error}"[:300]}]
        np.save(place / "ids.npy", windows.ids.astype(np.int64))
        np.save(place / "starts.npy", windows.starts)
        for engine in ("onnxruntime", "openvino"):
            budgets = ",".join(map(str, CPU_BUDGETS))
            precision = "bf16" if encoder.dtype == torch.bfloat16 and engine == "openvino" else "f32"
            command = [options.peers, str(PEERS), folder, engine, budgets, str(options.rounds), str(options.threads), precision]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                arms.append({"arm": engine, "skipped": done.stderr.strip()[-300:]})
                continue
            found = json.loads(done.stdout)
            off = float(np.abs(np.load(place / f"{engine}.npy") - reference).max())
            for budget, (seconds, spent) in found["budgets"].items():
                arms.append({
                    "arm": f"{engine} {found['version'].split('-')[0]} {precision} sorted {budget}", "from": "ids", "seconds": seconds,
                    "cpu_seconds": spent, "off": off, "peer": True, "notes": done.stderr.strip()[-500:],
                })  # fmt: skip
    return arms


class _Hidden(torch.nn.Module):
    """What is exported: ids and mask in, last hidden states out."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.plain(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return found


def export(encoder: Encoder, folder: Path, python: str) -> None:
    """Write model.onnx and model.json; the package onnx, where it is not here, comes from the peers' environment."""
    import importlib.util
    import warnings

    if importlib.util.find_spec("onnx") is None:
        asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        sys.path.append(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    plain = plain_model(encoder).float()
    plain.set_attn_implementation("eager")
    ids = torch.randint(200, 1000, (2, 16))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    axes = {0: "batch", 1: "length"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Hidden(plain), (ids, mask), str(folder / "model.onnx"), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["hidden"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
        )  # fmt: skip
    config = encoder.model.config
    settings = {"heads": config.num_attention_heads, "hidden": encoder.hidden_size}
    (folder / "model.json").write_text(json.dumps(settings))


def as_table(found: dict[str, Any]) -> str:
    """One model and distribution as text."""
    peak, cores = max(found["peaks_gflops"]), found["threads"]
    alone = cores == 1
    runnable = [arm for arm in found["arms"] if "seconds" in arm]
    mine = [arm for arm in runnable if arm["arm"].startswith("ours")]
    key = "cpu_seconds" if alone else "seconds"
    best = {
        kind: min(arm[key] for arm in mine if arm["from"] == kind) for kind in {arm["from"] for arm in mine}
    }
    best["ids, int8"] = best["ids, fp32"] = best["ids"]
    lines = [
        f"\n{found['model']}, {found['dtype']}, {found['lengths']}: {found['texts']} texts, {found['tokens']} tokens, {cores} threads, matmul peak {peak:.0f} GFLOP/s{' per processor second' if alone else ''}",
        f"{'arm':38}{'texts/s':>10}{'tokens/s':>10}{'wall s':>9}{'cpu s':>9}{'% of peak':>11}{'ours is ×':>11}{'off':>10}",
    ]  # fmt: skip
    for arm in found["arms"]:
        if "skipped" in arm:
            lines.append(f"{arm['arm']:38}left out: {arm['skipped']}")
            continue
        seconds = arm[key]
        share = 100 * found["gflop"] / seconds / peak
        off = "" if arm["off"] is None else f"{arm['off']:.1e}"
        lines.append(
            f"{arm['arm']:38}{found['texts'] / seconds:10.1f}{found['tokens'] / seconds:10.0f}{arm['seconds']:9.2f}"
            f"{arm['cpu_seconds']:9.2f}{share:11.0f}{seconds / best[arm['from']]:11.2f}{off:>10}"
        )
        if "labels" in arm:
            same = arm["labels"]
            lines.append(
                f"    same labels {100 * same['same_labels']:.2f} %, probabilities off by {same['probability_off_99']:.3f} at most in 99 %, {same['probability_off_most']:.3f} in all"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
