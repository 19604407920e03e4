"""Which score finds wrong labels: Remand's beside cleanlab 2.9 on the same probabilities. Everything by default.

    remand bench audit [--parts peers injected annotators intervals scoring] [--texts 3000] [--json FILE]

(a) `peers`: OPP-115, one of three annotators given, the other two where they agree as truth (bench/audit_peers.py).
(b) `injected`: errors of five kinds put into ECHR, terms of service and veterans' appeals (bench/audit_injected.py).
(c) `annotators`: simulated annotators on ECHR (bench/audit_annotators.py).
`intervals`: of the quality of such annotators (bench/audit_intervals.py).
`scoring`: how long scoring takes on 35,433 × 12 (bench/audit_scoring.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import audit_annotators, audit_injected, audit_intervals, audit_peers, audit_scoring
from bench.audit_corpora import CORPORA
from bench.machine import describe
from models.training.metrics import plain

PARTS: dict[str, tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[[dict[str, Any]], list[str]]]]
PARTS = {
    "peers": (audit_peers.peers, audit_peers.as_lines),
    "injected": (audit_injected.injected, audit_injected.as_lines),
    "annotators": (audit_annotators.annotators, audit_annotators.as_lines),
    "intervals": (audit_intervals.intervals, audit_intervals.as_lines),
    "scoring": (audit_scoring.scoring, audit_scoring.as_lines),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    options = parser().parse_args(arguments)
    found: dict[str, Any] = {"machine": describe()}
    for name in options.parts:
        run, told = PARTS[name]
        found[name] = run(options)
        print("\n".join(told(found[name])), "\n", flush=True)
        if options.json:
            options.json.write_text(json.dumps(plain(found), indent=1))
    print(json.dumps(found["machine"]))
    return 0


def parser() -> argparse.ArgumentParser:
    """All options; each has a default."""
    made = argparse.ArgumentParser(
        prog="remand bench audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    made.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="the folder of all collections"
    )
    made.add_argument("--cache", type=Path, help="a folder for embeddings (~/.cache/remand-bench)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--draws", type=int, default=500, help="of the bootstrap by document")
    made.add_argument("--json", type=Path, help="where all numbers go")
    peers = made.add_argument_group("(a)")
    peers.add_argument("--without-other", action="store_true", help="leave the option Other out")
    which = peers.add_mutually_exclusive_group()
    which.add_argument("--development", action="store_true", help="50 policies (the default)")
    which.add_argument("--final", action="store_true", help="opens the 25 closed policies: once")
    made_up = made.add_argument_group("(b) and (c)")
    made_up.add_argument("--texts", type=int, default=4_000, help="about so many per collection; 0: all")
    made_up.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    made_up.add_argument(
        "--kinds", nargs="+", choices=audit_injected.KINDS, default=list(audit_injected.KINDS)
    )
    made_up.add_argument("--shares", nargs="+", type=float, default=list(audit_injected.SHARES))
    made_up.add_argument(
        "--sources", nargs="+", choices=audit_peers.SOURCES, default=list(audit_peers.SOURCES)
    )
    made_up.add_argument(
        "--macro-shares", nargs="*", type=float, default=list(audit_injected.SHARES),
        help="shares at which models are trained again on what was looked up, which takes most of the time",
    )  # fmt: skip
    made_up.add_argument(
        "--rounds", type=int, default=1, help="sets of errors and folds in (b), from --seed on; figures are their mean"
    )  # fmt: skip
    made_up.add_argument(
        "--choose-on", type=int, default=1_000, metavar="SEED",
        help="of other errors and folds, on all of which together cleanlab's scorer and pooling are chosen in (b)",
    )  # fmt: skip
    made_up.add_argument("--crowds", type=int, default=3, help="simulated sets of annotators in (c)")
    return made


if __name__ == "__main__":
    raise SystemExit(main())
