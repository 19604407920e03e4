"""What `bench.serve` makes of a run of the load generator: percentiles, goodput, errors, the server's own time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
import psutil

from bench.serve_load import Plan

GOOD_MILLISECONDS = 100.0
Numbers = dict[str, Any]


def processor_seconds(pids: Sequence[int]) -> float:
    """Processor time so far of processes and all their descendants that live."""
    seen: dict[int, float] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    used = process.cpu_times()
                    seen[process.pid] = used.user + used.system
    return sum(seen.values())


def measured(plan: Plan, pids: Sequence[int]) -> Numbers:
    """`generate`, with the servers' processor milliseconds per answered request: what a busy machine distorts least."""
    before = processor_seconds(pids)
    found = generate(plan)
    answered = max(1, found["requests"] - found["errors"])
    return found | {"cpu_ms": (processor_seconds(pids) - before) * 1000 / answered}


def generate(plan: Plan) -> Numbers:
    """Run the generator in a process of its own and sum up what happened."""
    made = subprocess.run(
        [sys.executable, "-m", "bench.serve_load"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"the load generator failed: {made.stderr[-1500:]}")
    return summed(json.loads(made.stdout), plan)


def summed(happened: Numbers, plan: Plan) -> Numbers:
    """Rates in requests a second, times in milliseconds.

    latency: from when a request was due (open loop) or sent (closed loop) to its whole answer; lag: from when it was due to
    when the generator wrote it; beyond: what of the time since then was not the worker's own (its Server-Timing `total`).
    """
    due, sent, done = (np.array(happened[name]) for name in ("due", "sent", "done"))
    status = np.array(happened["status"], dtype=int)
    good = status == 200
    took = (done - due) * 1000
    ended = float(done.max(initial=0.0)) if plan.rate == 0 else plan.seconds
    totals = np.array([stage(header, "total") for header in happened["timing"]])
    beyond = (done - sent)[good] * 1000 - totals[good]
    return {
        "requests": len(due), "errors": int((~good).sum()), "offered": plan.rate or None,
        "throughput": float(good.sum() / max(ended, 1e-9)), "latency": percentiles(took[good]),
        "good_share": float((good & (took <= GOOD_MILLISECONDS)).mean()) if len(due) else 0.0,
        "goodput": float((good & (took <= GOOD_MILLISECONDS)).sum() / max(ended, 1e-9)),
        "lag": percentiles((sent - due) * 1000), "beyond": percentiles(beyond[np.isfinite(beyond)]),
        "stages": {
            name: percentiles(np.array([stage(header, name) for header in happened["timing"]]))
            for name in ("queue", "tokenize", "forward", "total", "api")
        },
        "generator_cpu_seconds": happened["cpu_seconds"], "statuses": {str(code): int((status == code).sum()) for code in set(status.tolist())},
    }  # fmt: skip


def stage(header: str, name: str) -> float:
    """A stage's milliseconds in a Server-Timing header; NaN where it is not named."""
    for part in header.split(","):
        key, _, rest = part.strip().partition(";")
        if key == name and rest.startswith("dur="):
            return float(rest.removeprefix("dur="))
    return float("nan")


def percentiles(values: Any) -> dict[str, float] | None:
    """p50, p95, p99 of numbers that are there; None where there are none."""
    found = np.asarray(values, dtype=float)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    return {f"p{share}": float(np.percentile(found, share)) for share in (50, 95, 99)}


def goodput_within(rows: Sequence[Numbers]) -> float | None:
    """The highest offered rate of which p99 stayed within GOOD_MILLISECONDS without an error; None where there is none."""
    kept = [
        row["offered"] for row in rows
        if row["errors"] == 0 and row["latency"] is not None and row["latency"]["p99"] <= GOOD_MILLISECONDS
    ]  # fmt: skip
    return max(kept, default=None)


def cells(found: dict[str, float] | None) -> str:
    """Three percentiles as cells of a table."""
    return " | ".join("–" if found is None else f"{found[name]:.1f}" for name in ("p50", "p95", "p99"))


def closed_table(rows: Sequence[tuple[str, int, Numbers]]) -> str:
    """Rows of server, concurrency and numbers as Markdown."""
    lines = [
        "| server | under way | requests/s | processor ms per request | p50 ms | p95 ms | p99 ms | errors |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines.extend(
        f"| {name} | {under_way} | {row['throughput']:.1f} | {row['cpu_ms']:.1f} | {cells(row['latency'])} | {row['errors']} |"
        for name, under_way, row in rows
    )
    return "\n".join(lines)


def open_table(rows: Sequence[tuple[str, str, Numbers]]) -> str:
    """Rows of server, load and numbers as Markdown."""
    lines = [
        "| server | load | offered/s | answered/s | p50 ms | p95 ms | p99 ms | within 100 ms | errors | generator late p50 / p99 ms | beyond the worker p50 / p99 ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, load, row in rows:
        lag, beyond = row["lag"], row["beyond"]
        apart = "–" if beyond is None else f"{beyond['p50']:.2f} / {beyond['p99']:.2f}"
        late = "–" if lag is None else f"{lag['p50']:.2f} / {lag['p99']:.2f}"
        lines.append(
            f"| {name} | {load} | {row['offered'] or 0:.1f} | {row['throughput']:.1f} | {cells(row['latency'])} | {row['good_share']:.1%} "
            f"| {row['errors']} | {late} | {apart} |"
        )
    return "\n".join(lines)
