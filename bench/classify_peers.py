"""ONNX Runtime and OpenVINO on the same ids, for `bench.classify`; runs alone in an environment of theirs, with numpy.

    PYTHON bench/classify_peers.py FOLDER ENGINE BUDGETS ROUNDS THREADS PRECISION

FOLDER holds model.onnx (input_ids, attention_mask → last hidden states), ids.npy, starts.npy. Windows go through sorted by
length, padded to the longest of a batch, as these engines take them; of the budgets the fastest counts. Prints a JSON
document, writes the means over tokens to ENGINE.npy.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[Any, Any], Any]


def main() -> int:
    """Run one engine."""
    folder, engine = Path(sys.argv[1]), sys.argv[2]
    budgets, rounds, threads = (
        [int(part) for part in sys.argv[3].split(",")],
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
    ids, starts = np.load(folder / "ids.npy"), np.load(folder / "starts.npy")
    run, version = ENGINES[engine](folder, threads, sys.argv[6])
    found: dict[str, Any] = {"version": version, "budgets": {}}
    means = np.zeros((len(starts) - 1, 1), dtype=np.float32)
    for budget in budgets:
        best = (float("inf"), float("inf"))
        for _ in range(rounds + 1):  # the first warms up, for each shape
            wall, spent = time.perf_counter(), _cpu()
            means = _means(run, ids, starts, budget)
            best = min(best, (time.perf_counter() - wall, _cpu() - spent))
        found["budgets"][budget] = best
    np.save(folder / f"{engine}.npy", means)
    print(json.dumps(found))
    return 0


def _means(run: Run, ids: Any, starts: Any, budget: int) -> Any:
    """Means over tokens, float32 (windows, hidden)."""
    lengths = np.diff(starts)
    order = np.argsort(-lengths, kind="stable")
    means, first = None, 0
    while first < len(order):
        longest = int(lengths[order[first]])
        rows = order[first : first + max(1, budget // longest)]
        place = np.arange(longest)[None, :]
        mask = place < lengths[rows][:, None]
        given = np.where(mask, ids[np.where(mask, starts[rows][:, None] + place, 0)], 0).astype(np.int64)
        hidden = run(given, mask.astype(np.int64))
        if means is None:
            means = np.zeros((len(order), hidden.shape[2]), dtype=np.float32)
        means[rows] = np.einsum("wth,wt->wh", hidden, mask.astype(np.float32)) / lengths[rows][:, None]
        first += len(rows)
    return means


def _onnxruntime(folder: Path, threads: int, _precision: str) -> tuple[Run, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(_fused(folder)), options, providers=["CPUExecutionProvider"])

    def run(ids: Any, mask: Any) -> Any:
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return run, onnxruntime.__version__


def _fused(folder: Path) -> Path:
    """The model with attention, GELU and norms fused by ONNX Runtime's own tool for transformers, where it can be."""
    settings = json.loads((folder / "model.json").read_text())
    try:
        from onnxruntime.transformers import optimizer

        fused = optimizer.optimize_model(
            str(folder / "model.onnx"), model_type="bert", num_heads=settings["heads"],
            hidden_size=settings["hidden"], opt_level=0,
        )  # fmt: skip
        print(json.dumps(fused.get_fused_operator_statistics()), file=sys.stderr)
        fused.save_model_to_file(str(folder / "fused.onnx"))
    except Exception as error:  # noqa: BLE001  # then its session's own optimisations have to do
        print(f"not fused: {error}", file=sys.stderr)
        return folder / "model.onnx"
    return folder / "fused.onnx"


def _openvino(folder: Path, threads: int, precision: str) -> tuple[Run, str]:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY",
    }  # fmt: skip
    compiled = core.compile_model(str(folder / "model.onnx"), "CPU", settings)

    def run(ids: Any, mask: Any) -> Any:
        return compiled({"input_ids": ids, "attention_mask": mask})[0]

    return run, openvino.__version__


def _cpu() -> float:
    used = os.times()
    return used.user + used.system


ENGINES = {"onnxruntime": _onnxruntime, "openvino": _openvino}

if __name__ == "__main__":
    raise SystemExit(main())
