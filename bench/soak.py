"""A long time under load: does memory grow, do answers fail, does latency drift?

    remand bench soak --minutes 30 --load 0.8

The capacity of a throwaway Remand is measured with closed loops, then an open loop runs at a share of it, minute after minute. Memory
is each process's resident set, read every few seconds; its slope is least squares over the second part of the run, when caches are full,
with a 95 % interval that takes neighbouring readings for dependent (blocks of a minute are drawn again).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.machine import describe
from bench.serve import add_precision, ours, settings_of
from bench.serve_load import Plan
from bench.serve_measure import Numbers, generate
from bench.serve_model import make_model, texts_of
from bench.stack import running

WATCHED = ("api", "inference")
EVERY_SECONDS = 2.0
WARM_SHARE = 1 / 3
"""Of the run, left out of the slopes."""
DRAWS = 2000
MEBIBYTE = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run for as long as asked; prints what was found and, with --json, writes the numbers."""
    options = _options(arguments)
    served = make_model(options.data, options.work, options.threads)
    texts = texts_of(options.data, "echr", 400, options.seed)
    numbers: Numbers = {"machine": describe(), "minutes": options.minutes, "load": options.load}
    with running(**settings_of(options)) as stack:
        arm = next(arm for arm in ours(stack, served) if arm.name == "api")
        bodies = [json.dumps(arm.body(text)) for text in texts]

        def plan(**rest: float | int) -> Plan:
            return Plan(arm.url, bodies, arm.headers, **rest)  # type: ignore[arg-type]

        generate(plan(concurrency=4, seconds=5.0))
        capacity = max(generate(plan(concurrency=many, seconds=10.0))["throughput"] for many in (4, 16))
        pids = {name: pid for name, pid in stack.processes().items() if name in WATCHED}
        with Watch(pids) as watch:
            rounds = [
                generate(plan(rate=capacity * options.load, seconds=60.0, seed=minute))
                for minute in range(options.minutes)
            ]
        numbers |= {
            "capacity": capacity,
            "rounds": rounds,
            "memory": watch.slopes(options.seed),
            "same": pids == {name: pid for name, pid in stack.processes().items() if name in WATCHED},
        }
    numbers["machine_after"] = describe()
    print(report(numbers))
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


class Watch:
    """Reads processes' memory on a thread of its own for the length of a block."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._rows: list[tuple[float, ...]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def slopes(self, seed: int) -> dict[str, dict[str, float]]:
        """Per process first and last MiB, and MiB an hour with its interval."""
        rows = np.array(self._rows)
        kept = rows[rows[:, 0] >= rows[0, 0] + WARM_SHARE * (rows[-1, 0] - rows[0, 0])]
        hours = (kept[:, 0] - kept[0, 0]) / 3600
        found = {}
        for column, name in enumerate(self._pids, 1):
            slope, low, high = slope_of(hours, kept[:, column], 60 / 3600, seed)
            found[name] = {
                "first": float(rows[0, column]), "last": float(rows[-1, column]), "slope": slope, "low": low, "high": high,
            }  # fmt: skip
        return found

    def _watch(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            self._rows.append((time.monotonic(), *(resident(pid) for pid in self._pids.values())))


def resident(pid: int) -> float:
    """MiB that a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def slope_of(
    hours: NDArray[np.float64], values: NDArray[np.float64], block: float, seed: int
) -> tuple[float, float, float]:
    """Least-squares slope and its 95 % interval: residuals are drawn again by blocks of `block` hours."""
    slope, start = np.polyfit(hours, values, 1)
    fitted = start + slope * hours
    blocks = (hours / block).astype(int)
    names = np.unique(blocks)
    residuals = [(values - fitted)[blocks == name] for name in names]
    draw = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        chosen = np.concatenate([residuals[place] for place in draw.integers(0, len(names), len(names) + 1)])
        while len(chosen) < len(values):
            chosen = np.concatenate([chosen, chosen])
        drawn.append(np.polyfit(hours, fitted + chosen[: len(values)], 1)[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(slope), float(low), float(high)


def report(numbers: Numbers) -> str:
    """The numbers in words."""
    rounds = numbers["rounds"]
    sent, failed = sum(row["requests"] for row in rounds), sum(row["errors"] for row in rounds)
    lines = [
        (
            f"{numbers['minutes']} minutes at {numbers['load']:.0%} of {numbers['capacity']:.1f} requests/s; {sent:,} sent, {failed} failed, "
            f"processes {'the same' if numbers['same'] else 'RESTARTED'}; {numbers['machine']['date']}, load {numbers['machine']['load']} "
            f"before, {numbers['machine_after']['load']} after"
        )
    ]
    lines.extend(
        f"{name}: {found['first']:.0f} MiB at first, {found['last']:.0f} at last; {found['slope']:+.1f} MiB an hour "
        f"({found['low']:+.1f} to {found['high']:+.1f}) after the first third"
        for name, found in numbers["memory"].items()
    )
    half = max(1, len(rounds) // 2)
    for name in ("p50", "p99"):
        early, late = (
            np.median([row["latency"][name] for row in part]) for part in (rounds[:half], rounds[-half:])
        )
        lines.append(
            f"{name} of a minute, median: {early:.1f} ms in the first half, {late:.1f} ms in the second"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--load", type=float, default=0.8, help="share of the measured capacity")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("bench-serve"),
        help="folder for the model; used again where it is there",
    )
    parser.add_argument("--threads", type=int, default=1)
    add_precision(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
