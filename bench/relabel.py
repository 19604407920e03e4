"""Reading a corpus again: texts a second of the whole job's reading stage beside what the worker does with the same chunks and no database.

    remand bench relabel --data ../shared/data/echr_arguments/paragraphs.csv --sizes 1000,3000

For each size a corpus is imported into a throwaway Remand and read twice by the same adapter: cold (nothing tokenized, no embeddings
kept) and warm (token ids and embeddings of the run before). The worker's own rate is of the same bodies as the warm run's, two in
flight; the ratio says what Postgres and the job cost. The adapter's fold models have not seen the texts, so each text is read by all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.cli import loop
from app.relabelling.rules import chunk_ends
from bench.machine import cpu_seconds, describe
from bench.serve import add_precision, settings_of
from bench.serve_extra import Imported, import_copies, import_corpus
from bench.serve_measure import Numbers, stage
from bench.serve_model import make_model, texts_of
from bench.stack import Stack, running

IN_FLIGHT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every size; prints a table and, with --json, writes the numbers."""
    options = _options(arguments)
    served = make_model(options.data, options.work, options.threads)
    numbers: Numbers = {"machine": describe(), "threads": options.threads, "sizes": {}}
    with running(**settings_of(options)) as stack:
        (adapter,) = import_copies(stack, served, 1)
        for size in options.sizes:
            texts = texts_of(options.data, "echr", min(size, options.pool), options.seed)
            corpus = import_corpus(stack, served, texts, size)
            contents = [f"{texts[place % len(texts)]} ({place})" for place in range(size)]
            found = {name: relabelled(stack, corpus, adapter, size) for name in ("cold", "warm")}
            found["worker"] = asyncio.run(
                worker_rate(stack, adapter, corpus, contents[: options.alone], served.adapter.fold_members)
            )
            found["ratio"] = found["warm"]["read_per_second"] / found["worker"]["texts_per_second"]
            numbers["sizes"][size] = found
            print(row(size, found), flush=True)
    numbers["machine_after"] = describe()
    print(json.dumps({"machine": numbers["machine"], "load_after": numbers["machine_after"]["load"]}))
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def relabelled(stack: Stack, corpus: str, adapter: Imported, size: int) -> Numbers:
    """One relabel job: seconds by stage, texts a second while reading and over all."""
    began = time.perf_counter()
    job = loop.relabel(stack.client, corpus, lambda _job: None, adapter=adapter.id)
    whole = time.perf_counter() - began
    stages = job["result"]["seconds"]
    return {
        "seconds": whole, "stages": stages, "read_per_second": size / stages["read"], "per_second": size / whole,
    }  # fmt: skip


async def worker_rate(
    stack: Stack, adapter: Imported, corpus: str, contents: Sequence[str], members: Sequence[str]
) -> Numbers:
    """What the worker alone does with the chunks of a relabel run: texts a second, and the share of its time that tokenizing takes."""
    ends = [0, *chunk_ends([len(text) for text in contents])]
    bodies = [
        {
            "adapter": adapter.blob, "texts": contents[start:end], "members": [*members, "final"],
            "uses": [list(range(len(members)))] * (end - start), "embeddings": False, "corpus": corpus,
        }
        for start, end in pairwise(ends)
    ]  # fmt: skip
    waiting, stages = list(reversed(bodies)), []
    headers = {"Authorization": f"Bearer {stack.inference_token}"}
    async with httpx.AsyncClient(
        base_url=stack.inference, headers=headers, timeout=900, trust_env=False
    ) as client:

        async def caller() -> None:
            while waiting:
                answer = await client.post("/bulk", json=waiting.pop())
                answer.raise_for_status()
                stages.append(answer.headers["Server-Timing"])

        began, used = time.perf_counter(), cpu_seconds()
        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        seconds = time.perf_counter() - began
    spent = {
        name: float(np.nansum([stage(header, name) for header in stages])) / 1000
        for name in ("tokenize", "forward", "pool")
    }
    return {
        "texts_per_second": len(contents) / seconds, "texts": len(contents), "seconds": seconds, "stages": spent,
        "own_cpu_seconds": cpu_seconds() - used,
    }  # fmt: skip


def row(size: int, found: dict[str, Any]) -> str:
    """The numbers of one size in a line."""
    cold, warm, alone = found["cold"], found["warm"], found["worker"]
    return (
        f"{size:,} texts: cold {cold['seconds']:.1f} s (reading {cold['read_per_second']:.1f}/s), warm {warm['seconds']:.1f} s "
        f"(reading {warm['read_per_second']:.1f}/s); the worker alone {alone['texts_per_second']:.1f}/s: ratio {found['ratio']:.0%}; "
        f"stages, cold {cold['stages']}, warm {warm['stages']}, the worker's {alone['stages']}"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="remand bench relabel", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/echr_arguments/paragraphs.csv"))
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("bench-serve"),
        help="folder for the model; used again where it is there",
    )
    parser.add_argument(
        "--sizes", type=lambda text: [int(part) for part in text.split(",")], default=[1000, 3000]
    )
    parser.add_argument("--alone", type=int, default=1000, help="texts that the worker alone reads")
    parser.add_argument(
        "--pool", type=int, default=3581, help="different paragraphs; more texts repeat them, with a number"
    )
    parser.add_argument("--threads", type=int, default=2)
    add_precision(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
