"""What a number was measured on: date, processor, cores, memory, versions, and the machine's own matmul peak."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.versions import installed

PACKAGES = ("torch", "transformers", "peft", "scikit-learn", "polars", "sqlalchemy", "fastapi")
TRIAL = 256
"""Rows of the matmul that is tried first."""
TRIALS = 20
"""How often: under a millisecond each with arithmetic, a tenth of a second without; a busy machine spoils some."""
SLOW = 5.0
"""Seconds that one matmul may take."""


def describe() -> dict[str, Any]:
    """Date (UTC), processor, cores, memory in GiB and package versions."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "versions": installed(PACKAGES),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def matmul_gflops(
    dtypes: Sequence[str] = ("float32", "bfloat16"), size: int = 2048, rounds: int = 5, device: str = "cpu"
) -> dict[str, float]:
    """GFLOP/s of a square matmul in each dtype, the best of `rounds`.

    A CPU without bf16 arithmetic takes minutes for what its fp32 does in a tenth of a second: a small matmul says first
    whether the large one would take longer than SLOW, and then is the measurement.
    """
    import torch

    rates: dict[str, float] = {}
    for name in dtypes:
        dtype = getattr(torch, name)
        rate = _rate(torch.randn(TRIAL, TRIAL, device=device).to(dtype), TRIALS)
        if 2 * size**3 / rate <= SLOW:
            rate = _rate(torch.randn(size, size, device=device).to(dtype), rounds)
        rates[name] = rate / 1e9
    return rates


def cpu_seconds() -> float:
    """Seconds of processor time of this process, all threads, and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _rate(matrix: Any, rounds: int) -> float:
    """Floating-point operations a second of a square matmul with itself, after one to warm up."""
    import torch

    def product() -> None:
        matrix @ matrix
        if matrix.is_cuda:
            torch.cuda.synchronize()

    product()
    return float(2 * len(matrix) ** 3 / min(_seconds(product) for _ in range(rounds)))


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
