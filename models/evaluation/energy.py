"""Energy of a piece of work: counters of the processor and the GPU where they can be read, else power times time, called an estimate.

RAPL counts the whole package and NVML the whole board, so other work on the machine is in the figure. CUDA paths were
written by reading nvidia-ml-py's documentation and are tested with a stand-in only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAPL = Path("/sys/class/powercap")
WATTS_PER_CORE = 10.0
"""A busy core's share of a processor's thermal design power: 32 cores of 320 W, as server processors of 2021 to 2025 have."""
GPU_WATTS = 400.0
"""Thermal design power assumed of a GPU whose counter cannot be read (between an A100's 400 W and an H200's 700 W)."""

GpuJoules = Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Meter:
    """What the counters said when the work began."""

    wall: float
    cpu: float
    packages: dict[str, tuple[int, int]]
    """By RAPL domain: microjoules so far, and where its counter wraps round."""
    gpu: float | None
    """Joules of the board so far; None where it cannot be read."""
    on_gpu: bool


def start_meter(*, on_gpu: bool = False, root: Path = RAPL, gpu_joules: GpuJoules | None = None) -> Meter:
    """Read every counter there is.

    Args:
        on_gpu: whether the work runs on a GPU.
        root: where the kernel shows RAPL.
        gpu_joules: reads the board's counter; default NVML.
    """
    read = gpu_joules or nvml_joules
    return Meter(time.monotonic(), time.process_time(), rapl(root), read() if on_gpu else None, on_gpu)


def energy_since(meter: Meter, *, root: Path = RAPL, gpu_joules: GpuJoules | None = None) -> dict[str, Any]:
    """Watt hours since the meter was started: {watt_hours, estimate, method, seconds, cpu_seconds}.

    `estimate` is true as soon as one part rests on a constant instead of a counter.
    """
    seconds, cpu = time.monotonic() - meter.wall, time.process_time() - meter.cpu
    now = rapl(root)
    measured = meter.packages.keys() & now.keys()
    if measured:
        joules = sum(_since(meter.packages[name], now[name][0]) for name in measured) / 1e6
        parts = ["processor packages by RAPL"]
    else:
        joules, parts = WATTS_PER_CORE * cpu, [f"{WATTS_PER_CORE:.0f} W for every busy core × {cpu:.0f} s"]
    estimate = not measured
    if meter.on_gpu:
        after = (gpu_joules or nvml_joules)()
        if meter.gpu is not None and after is not None:
            joules, parts = joules + after - meter.gpu, [*parts, "GPU board by NVML"]
        else:
            joules, estimate = joules + GPU_WATTS * seconds, True
            parts.append(f"{GPU_WATTS:.0f} W of a GPU × {seconds:.0f} s")
    return {
        "watt_hours": round(joules / 3600, 4),
        "estimate": estimate,
        "method": " + ".join(parts),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
    }


def rapl(root: Path = RAPL) -> dict[str, tuple[int, int]]:
    """(microjoules so far, range of the counter) of each processor package that this user may read."""
    found = {}
    for folder in sorted(root.glob("intel-rapl:*")) if root.is_dir() else ():
        try:
            if folder.name.count(":") != 1 or not (folder / "name").read_text().startswith("package"):
                continue  # cores and memory are parts of a package
            energy = int((folder / "energy_uj").read_text())
            found[folder.name] = (energy, int((folder / "max_energy_range_uj").read_text()))
        except (OSError, ValueError):
            continue
    return found


def nvml_joules() -> float | None:
    """Joules of the first visible GPU since its driver was loaded; None without NVML or on boards that do not count."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

        pynvml.nvmlInit()
        try:
            board = pynvml.nvmlDeviceGetHandleByIndex(0)
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(board)) / 1000
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # noqa: BLE001  # a missing library, driver or counter: each means the same here
        return None


def _since(before: tuple[int, int], now: int) -> int:
    """Microjoules between two readings of a counter that may have wrapped round once."""
    start, range_ = before
    return now - start if now >= start else now + range_ - start
