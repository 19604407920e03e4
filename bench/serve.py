"""Serving over HTTP: Remand's api, its inference worker alone, and other Python servers of the same model, under closed and open load.

    remand bench serve --data ../shared/data/echr_arguments/paragraphs.csv --peers FOLDER --json serve.json

All serve MiniLM in fp32 with the same head, texts of one window (the peers cut longer ones), on the same processor cores with as many threads, one text a request; their answers are
compared with the adapter's before anything is timed. Closed loops at several numbers of requests under way give each server's
capacity. Then an open loop (Poisson, latency from the intended send time) at shares of its own capacity. `--adapters 16,200` asks many
adapters, evenly and by Zipf's law; `--relabel N` measures people's latency while N texts are read again. bench/serve_peers.py says how the peers are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.machine import describe
from bench.serve_extra import beside_relabel, import_copies, many_adapters
from bench.serve_load import Plan
from bench.serve_measure import Numbers, closed_table, generate, goodput_within, measured, open_table
from bench.serve_model import Served, make_model, sequence_model, texts_of, whole_in_one_window
from bench.serve_peers import PEERS, Arm, asked, peer_server, version_of
from bench.stack import Stack, running

CHECKED = 12
"""Texts whose answers are compared."""
MOST_APART = {"fp32": 2e-4, "auto": 0.08, "int8": 0.25}
"""Between answers and the model's in fp32, by precision."""
LONGEST_OVERLOAD = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every server; prints tables in Markdown and, with --json, writes the numbers."""
    options = _options(arguments)
    if options.server_cores:
        os.sched_setaffinity(0, options.server_cores)  # every server is a child and inherits it
    served = make_model(options.data, options.work, options.threads)
    drawn = texts_of(options.data, options.texts, options.pool, options.seed)
    texts = whole_in_one_window(served, drawn)
    numbers: Numbers = {"machine": describe(), "options": _told(options), "arms": {}, "skipped": {}}
    if {"api", "worker"} & set(options.arms) or options.adapters or options.relabel:
        settings = settings_of(options)
        with running(**settings) as stack:
            for arm in ours(stack, served):
                if arm.name in options.arms:
                    measure(arm, served, texts, options, numbers)
            numbers |= _extras(stack, served, texts, options, numbers)
    for peer in PEERS:
        if peer.name not in options.arms:
            continue
        try:
            model = served.peer_folder if peer.is_adapter else sequence_model(served).parent
            with peer_server(peer, options.peers, model, options.threads, options.batch) as arm:
                measure(arm, served, texts, options, numbers)
                numbers["arms"][peer.name]["version"] = version_of(peer.name, options.peers)
        except (FileNotFoundError, RuntimeError, httpx.HTTPError) as error:
            numbers["skipped"][peer.name] = str(error)
            print(f"{peer.name}: skipped: {error}", file=sys.stderr)
    numbers["machine_after"] = describe()
    print(report(numbers))
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def settings_of(options: argparse.Namespace) -> dict[str, str]:
    """Of the Remand that is measured: the precision is the peers' unless another is asked for."""
    return {
        "REMAND_THREADS": str(options.threads), "REMAND_DEVICE": "cpu", "REMAND_INFERENCE_PRECISION": options.precision,
    }  # fmt: skip


def ours(stack: Stack, served: Served) -> Iterator[Arm]:
    """The api, and its worker alone."""
    (adapter,) = import_copies(stack, served, 1)
    digest, pids = adapter.blob, stack.processes()
    yield Arm(
        "api", f"{str(stack.client.base_url).rstrip('/')}/classify", lambda text: {"adapter": adapter.id, "text": text},
        lambda answer: [option["probability"] for option in answer["results"][0]["options"]],
        {"Authorization": f"Bearer {stack.key}"},
        (pids["api"], pids["inference"], pids["postgres"]),
    )  # fmt: skip
    yield Arm(
        "worker", f"{stack.inference}/classify", lambda text: {"adapter": digest, "texts": [text]},
        lambda answer: answer["results"][0]["probabilities"], {"Authorization": f"Bearer {stack.inference_token}"},
        (pids["inference"],),
    )  # fmt: skip


def measure(
    arm: Arm, served: Served, texts: Sequence[str], options: argparse.Namespace, numbers: Numbers
) -> None:
    """Check an arm's answers, then its closed and open loops."""
    ours = arm.name in {"api", "worker"}
    apart = check(arm, served, texts, MOST_APART[options.precision if ours else "fp32"])
    load = partial(_plan, arm, texts, options)
    generate(load(concurrency=4, seconds=options.warm))
    closed = {}
    for under_way in options.concurrency:
        closed[under_way] = measured(load(concurrency=under_way, seconds=options.seconds), arm.pids)
        print(f"{arm.name}: {under_way} under way: {closed[under_way]['throughput']:.1f}/s", file=sys.stderr)
    capacity = max(row["throughput"] for row in closed.values())
    opened = {}
    for share in options.shares:
        plan = load(rate=capacity * share / 100, seconds=options.open_seconds)
        opened[share] = measured(plan, arm.pids)
        latency = opened[share]["latency"] or {"p50": 0, "p99": 0}
        print(f"{arm.name}: {share} %: p50 {latency['p50']:.1f} p99 {latency['p99']:.1f} ms", file=sys.stderr)
    numbers["arms"][arm.name] = {
        "capacity": capacity, "closed": closed, "open": opened, "largest_difference": apart,
        "goodput_at_p99_100ms": goodput_within(list(opened.values())),
    }  # fmt: skip


def check(arm: Arm, served: Served, texts: Sequence[str], most_apart: float = MOST_APART["fp32"]) -> float:
    """Largest difference of an arm's answers to what they should be; RuntimeError when it is more than rounding."""
    chosen = list(texts[:CHECKED])
    expected = served.adapter.predict(chosen) if arm.checked else sequence_answers(served, chosen)
    with httpx.Client(timeout=120, trust_env=False) as client:
        found = np.array([asked(arm, text, client) for text in chosen])
    apart = float(np.abs(found - expected).max())
    if apart > most_apart:
        raise RuntimeError(f"its answers differ by {apart:.2g} from the model's")
    return apart


def sequence_answers(served: Served, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """What transformers answers for the model that infinity is given: float (texts, options)."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = sequence_model(served)
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
    )
    with torch.inference_mode():
        found = [
            torch.sigmoid(model(**tokenizer(text, truncation=True, return_tensors="pt")).logits)[0].numpy() for text in texts
        ]  # fmt: skip
    return np.stack(found)


def report(numbers: Numbers) -> str:
    """The numbers as tables."""
    arms = numbers["arms"]
    machine = numbers["machine"]
    closed = [
        (name, under_way, row) for name, found in arms.items() for under_way, row in found["closed"].items()
    ]
    opened = [
        (name, f"{share} %", row) for name, found in arms.items() for share, row in found["open"].items()
    ]
    lines = [
        f"{machine['date']}, {machine['processor']}, load {machine['load']} before and {numbers['machine_after']['load']} after; {numbers['options']}",
        closed_table(closed), open_table(opened),
    ]  # fmt: skip
    for name, found in arms.items():
        good = found["goodput_at_p99_100ms"]
        told = "none of the loads" if good is None else f"{good:.1f}/s"
        lines.append(
            f"{name} {found.get('version', '')}: capacity {found['capacity']:.1f}/s, p99 within 100 ms at {told}, answers within {found['largest_difference']:.1g}"
        )
    lines.extend(
        open_table([(title, name, row) for name, row in numbers[title].items() if isinstance(row, dict)])
        for title in ("adapters", "relabel")
        if numbers.get(title)
    )
    lines.extend(f"{name}: skipped: {reason}" for name, reason in numbers["skipped"].items())
    return "\n\n".join(lines)


def _extras(
    stack: Stack, served: Served, texts: Sequence[str], options: argparse.Namespace, numbers: Numbers
) -> Numbers:
    capacity = max((found["capacity"] for found in numbers["arms"].values()), default=options.capacity)
    found: Numbers = {}
    make = partial(
        Plan, cores=options.client_cores, seed=options.seed, headers={"Authorization": f"Bearer {stack.key}"}
    )
    if options.adapters:
        found["adapters"] = many_adapters(
            stack, served, texts, options.adapters, capacity / 2, options.open_seconds, make
        )
    if options.relabel:
        found["relabel"] = beside_relabel(stack, served, texts, options, capacity * 0.3, make)
    return found


def _plan(arm: Arm, texts: Sequence[str], options: argparse.Namespace, **rest: Any) -> Plan:
    bodies = [json.dumps(arm.body(text)) for text in texts]
    return Plan(arm.url, bodies, arm.headers, seed=options.seed, cores=options.client_cores, **rest)


def _told(options: argparse.Namespace) -> dict[str, Any]:
    names = ("texts", "threads", "server_cores", "client_cores", "seconds", "open_seconds", "batch", "seed")
    return {name: getattr(options, name) for name in names}


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def add_precision(parser: argparse.ArgumentParser) -> None:
    """The option `--precision` of Remand's own inference worker."""
    parser.add_argument(
        "--precision", choices=tuple(MOST_APART), default="fp32",
        help="of Remand's inference worker; the peers compute in fp32",
    )  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench serve", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    parser.add_argument(
        "--arms", type=lambda text: text.split(","), default=["api", "worker", *(peer.name for peer in PEERS)]
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(os.environ.get("REMAND_BENCH_PEERS", "peers")),
        help="folder of the peers' environments",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("bench-serve"),
        help="folder for the model; used again where it is there",
    )
    parser.add_argument("--texts", choices=("echr", "letters"), default="echr")
    parser.add_argument("--pool", type=int, default=400, help="different texts")
    parser.add_argument("--concurrency", type=_numbers, default=[1, 8, 32, 64])
    parser.add_argument(
        "--shares", type=_numbers, default=[10, 30, 50, 80, 100, 120], help="percent of the measured capacity"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each closed loop")
    parser.add_argument("--open-seconds", type=float, default=20.0, help="of each open loop")
    parser.add_argument("--warm", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=1)
    add_precision(parser)
    parser.add_argument("--batch", type=int, default=32, help="largest batch of the peers")
    parser.add_argument(
        "--server-cores", type=_numbers, default=[], help="cores of the servers, such as 0; default: all"
    )
    parser.add_argument(
        "--client-cores",
        type=_numbers,
        default=[],
        help="cores of the load generator, such as 1; default: all",
    )
    parser.add_argument("--adapters", type=_numbers, default=[], help="numbers of adapters, such as 1,16,200")
    parser.add_argument(
        "--relabel", type=int, default=0, help="texts of a corpus that is read again meanwhile"
    )
    parser.add_argument(
        "--capacity",
        type=float,
        default=20.0,
        help="requests a second taken for the extras when no arm is measured",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
