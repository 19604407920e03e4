"""What a number was measured on: date, processor, cores, memory, versions, and the machine's own matmul peak."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.versions import installed

PACKAGES = ("torch", "transformers", "peft", "scikit-learn", "polars", "sqlalchemy", "fastapi")


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


def matmul_gflops(size: int = 2048, rounds: int = 5, device: str = "cpu") -> dict[str, float]:
    """GFLOP/s of a square matmul in float32 and bfloat16, the best of `rounds`."""
    import torch

    rates: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(size, size, dtype=torch.float32, device=device).to(dtype)

        def product(matrix: torch.Tensor = matrix) -> None:
            matrix @ matrix
            if device != "cpu":
                torch.cuda.synchronize()

        product()
        best = min(_seconds(product) for _ in range(rounds))
        rates[str(dtype).removeprefix("torch.")] = 2 * size**3 / best / 1e9
    return rates


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
