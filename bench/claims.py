"""Do the intervals cover and does the stopping rule hold? Simulations of everything that an audit claims.

    remand bench claims [--draws 1000] [--parts totals,stopping,calibration,estimates,…] [--seed 0] [--json FILE]

Totals: every error rate × sample size × expectation × reader, plain and stratified. Stopping: false stops at the edge of the claim under
steering, peeking, skips and readers who err, beside what is usually done. Calibration: observed over expected after 200 decisions. Estimates:
coverage of every coefficient with labels as outcome and as covariate. Then what is harder: agreement (rare answers), clusters (of very unequal sizes),
pooled (two samples together), two_readers (the corrected total), clumps (texts of very different numbers of labels), held (annotators against
a sample), budget (the curve where errors come by the text), third_vote (annotators where texts have two votes). One core; every part is minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.claims_agreement import agreement
from bench.claims_budget import budget
from bench.claims_calibration import calibration
from bench.claims_clumps import clumps
from bench.claims_clusters import clusters
from bench.claims_estimates import estimates
from bench.claims_held import held
from bench.claims_pooled import pooled
from bench.claims_stopping import stopping
from bench.claims_third_vote import third_vote
from bench.claims_totals import totals
from bench.claims_two_readers import both
from bench.machine import describe

PARTS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "totals": totals, "stopping": stopping, "calibration": calibration, "estimates": estimates,
    "agreement": agreement, "clusters": clusters, "pooled": pooled, "two_readers": both, "clumps": clumps, "held": held,
    "budget": budget, "third_vote": third_vote,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulations and print their tables."""
    parser = argparse.ArgumentParser(prog="remand bench claims", description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where all numbers go")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"machine": describe(), "draws": options.draws, "seed": options.seed}
    print(json.dumps(found["machine"]))
    for name in options.parts.split(","):
        began = time.monotonic()
        found[name] = PARTS[name](options.draws, options.seed)
        found[name]["seconds"] = round(time.monotonic() - began, 1)
        print(f"({found[name]['seconds']:.0f} s)", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
