"""How far each idea of the recipe carried: one thing changed at a time, on whole cases of ECHR drawn by seed.

    remand bench quality_ideas --data ../shared/data [--rows 3000] [--json FILE] [--arms "rank 4,4 epochs"]

Everything is held out by case within a sample of ECHR's train split, with the recipe's embargo, and thresholds come from the
other folds. A difference is that of the changed recipe to the recipe, with a 95 % interval from a paired bootstrap by case.
What only changes the start (convex fits on frozen features and words) is fitted on whole training parts. What changes LoRA
is fitted on the inner part, 88 % of it, once: the inner split chooses among its epochs (`chosen`), and the last one is shown
as well (`kept`), so that one sees what LoRA does where no training at all is chosen. The frozen encoder reads each text once.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As train jobs do; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from bench.machine import describe
from bench.quality import FILES
from bench.quality_arms import Logits, Tuned, held_out_by, on_unseen, starts, tune, tuned_arms
from bench.quality_ground import Ground, Unseen, draw_cases, lay_ground, unseen_cases
from models.catalog import locate
from models.encoder.load import load_encoder
from models.evaluation.paired import Side, compare_sides
from models.scheme import Labels
from models.training.calibration import CrossFitted, cross_fit, fit_calibration

ROWS, UNSEEN_ROWS = 3000, 1000
MAX_TOKENS = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    options = _parser().parse_args(arguments)
    found: dict[str, Any] = {
        "machine": describe(), "arguments": {name: str(value) for name, value in vars(options).items()},
        "seconds": {}, "processor_seconds": {}, "start": [], "lora": [], "averaging": [],
    }  # fmt: skip
    print(json.dumps(found["machine"]), flush=True)
    clock = Clock(found, options.json)
    read, place = FILES["echr"]
    collection = read(options.data / place)
    rows = draw_cases(collection, np.flatnonzero(~collection.held_out), options.rows, options.seed)
    asked = {"folds": options.folds, "epochs": 1, "seed": options.seed, "max_tokens": MAX_TOKENS}
    ground = lay_ground(collection, rows, load_encoder(locate("minilm"), "cpu"), asked)
    found["sample"] = _sample(ground)
    clock.lap("ground: tokens, frozen encoder, wide branches")
    print(json.dumps(found["sample"]), flush=True)
    table = Table(ground, options.seed)
    if "start" in options.tables:
        _starts(table, found["start"], clock, options.arms)
    if "averaging" in options.tables:
        _averaging(ground, found["averaging"], options)
        clock.lap("averaging")
    if "lora" in options.tables:
        _lora(table, found["lora"], clock, options.arms)
    for name in ("seconds", "processor_seconds"):
        print(f"{name}: {found[name]}, together {sum(found[name].values()):.0f}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="remand bench quality_ideas", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=ROWS, help="texts of the sample, at least")
    parser.add_argument("--unseen-rows", type=int, default=UNSEEN_ROWS, help="texts of val, for the average of folds")  # fmt: skip
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", default="start,averaging,lora", help="which of them")
    parser.add_argument("--arms", type=lambda told: told.split(","), help="only these ideas, by name")
    parser.add_argument("--json", type=Path, help="where all numbers go, after each idea")
    return parser


class Clock:
    """Seconds by stage, on the wall and of all cores, written out with everything found so far."""

    def __init__(self, found: dict[str, Any], path: Path | None) -> None:
        self._found, self._path = found, path
        self._last, self._used = time.monotonic(), time.process_time()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now, used = time.monotonic(), time.process_time()
        self._found["seconds"][stage] = round(now - self._last, 1)
        self._found["processor_seconds"][stage] = round(used - self._used, 1)
        self._last, self._used = now, used
        if self._path:
            self._path.write_text(json.dumps(self._found, indent=1))


@dataclass(frozen=True, slots=True)
class Table:
    """Readings of the sample's held-out rows beside a reference."""

    ground: Ground
    seed: int

    def crossed(self, logits: Logits) -> CrossFitted:
        """Calibrated and decided by the other folds."""
        material = self.ground.material
        return cross_fit(logits, self.ground.labels, material.folds, material.data.scheme)

    def row(self, idea: str, logits: Logits, reference: Logits) -> dict[str, Any]:
        """Macro scores of the counted options and how far they are from the reference's; printed, too."""
        first, second = (self.crossed(part) for part in (logits, reference))
        sides = [Side(part.probabilities, part.decisions) for part in (first, second)]
        groups = list(self.ground.material.data.groups)
        row = compared(idea, self.ground, self.ground.labels, groups, sides[0], sides[1], self.seed)
        print(line(row), flush=True)
        return row


def compared(
    idea: str, ground: Ground, labels: Labels, groups: Sequence[str], first: Side, second: Side, seed: int
) -> dict[str, Any]:
    """Macro-F1 and average precision of the counted options: values, differences and intervals by case."""
    counted = slice(0, ground.collection.counted)
    keys = ground.collection.scheme.option_keys[counted]
    cut = [Side(side.probabilities[:, counted], side.decisions[:, counted]) for side in (first, second)]
    return {"idea": idea} | compare_sides(labels[:, counted], *cut, groups, keys, seed=seed)["macro"]


def line(row: dict[str, Any]) -> str:
    """A row of a table: idea, macro-F1, its difference and interval, macro average precision, the same."""
    parts = [f"  {row['idea']:44}"]
    for name in ("f1", "average_precision"):
        low, high = row[name]["interval"]
        parts.append(f"{row[name]['first']:.3f} {row[name]['difference']:+.3f} ({low:+.3f} to {high:+.3f})")
    return " | ".join(parts) + f" | {row.get('note', '')}"


def _starts(table: Table, rows: list[dict[str, Any]], clock: Clock, wanted: Sequence[str] | None) -> None:
    print(
        "start, no LoRA: held out by case | macro-F1, difference to the recipe's start | macro AP, difference"
    )
    reference = None
    for idea, start in starts(table.ground).items():
        if reference is None or not wanted or idea in wanted:
            logits = held_out_by(table.ground, start)
            reference = logits if reference is None else reference
            rows.append(table.row(idea, logits, reference))
            clock.lap(idea)


def _lora(table: Table, rows: list[dict[str, Any]], clock: Clock, wanted: Sequence[str] | None) -> None:
    print("LoRA, fitted on the inner part: the same, difference to the recipe as its inner split chooses")
    recipe = None
    for idea, arm in tuned_arms(table.ground.material.encoder.depth).items():
        if recipe is None or not wanted or idea in wanted:
            tuned = tune(table.ground, arm)
            recipe = tuned.as_chosen() if recipe is None else recipe
            rows += [table.row(*found, recipe) for found in _epochs(idea, tuned)]
            rows[-1]["best_epochs"] = tuned.best
            print(f"    epochs chosen by fold: {tuned.best}", flush=True)
            clock.lap(idea)


def _epochs(idea: str, tuned: Tuned) -> list[tuple[str, Logits]]:
    """An idea's readings: its start, the epochs that are kept whatever happens (1, 2, 4 …), and the chosen one."""
    last = len(tuned.epochs) - 1
    shown = [epoch for epoch in (1, 2, 4) if epoch <= last]
    found = [(f"{idea}: start", tuned.at(0))]
    found += [(f"{idea}: kept, epoch {epoch} of {last}", tuned.at(epoch)) for epoch in shown]
    return [*found, (f"{idea}: chosen", tuned.as_chosen())]


def _averaging(ground: Ground, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The mean of the fold models beside the final fit, on cases of val that none of them saw."""
    start = held_out_by(ground, next(iter(starts(ground).values())))
    unseen: Unseen = unseen_cases(ground, options.unseen_rows, options.seed)
    final, folds = on_unseen(ground, unseen)
    material = ground.material
    shipped = fit_calibration(start, ground.labels, material.data.scheme)
    crossed = cross_fit(start, ground.labels, material.folds, material.data.scheme).calibrations
    mean = np.mean([own.apply(part) for own, part in zip(crossed, folds, strict=True)], axis=0).astype(np.float32)  # fmt: skip
    alone = shipped.apply(final)
    print(f"averaging, {len(unseen.labels)} texts of val, starts without LoRA | difference to the final fit")
    sides = {"final fit": alone, "mean of the fold models": mean}
    reference = Side(alone, shipped.decide(alone))
    for name, probabilities in sides.items():
        side = Side(probabilities, shipped.decide(probabilities))
        rows.append(compared(name, ground, unseen.labels, unseen.groups, side, reference, options.seed))
        print(line(rows[-1]), flush=True)


def _sample(ground: Ground) -> dict[str, Any]:
    material = ground.material
    return {
        "texts": len(ground.labels),
        "cases": len(set(material.data.groups)),
        "tokens": ground.read.windows.tokens,
        "positives": ground.labels.sum(axis=0)[: ground.collection.counted].tolist(),
        "contexts": [part.choice.context for part in ground.parts],
        "penalties": [part.task.penalty for part in ground.parts],
    }


if __name__ == "__main__":
    raise SystemExit(main())
