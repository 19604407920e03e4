"""Which score finds real annotators' errors: Remand's beside cleanlab 2.9 on the same probabilities (OPP-115).

    remand bench audit --data ../shared/data/opp115/segments.jsonl --cache FOLDER [--without-other] [--json FILE]

Given: each of the three annotators of a policy in turn. Wrong: the other two agree on the opposite. Cells on which they do
not agree are contested: counted in the table's last line, and left out of every figure. A text is wrong where any of its
cells is, and contested where none is wrong and any is contested. Development uses 50 fixed policies alone; `--final` scores
all 75 and reads the figures off the 25 others. It is run once, for the final table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_arms import Arm, arms
from bench.audit_data import OTHER, Round, Segments, closed_rows, opp115, peer_round
from bench.audit_measures import flag_f1, gains, ranked
from bench.audit_text_models import FOLDS, embeddings, text_models
from bench.machine import describe
from models.audit.evidence import Evidence
from models.audit.stack import annotated
from models.data.folds import assign_folds
from models.data.near_duplicates import signatures
from models.training.calibration import cross_fit
from models.training.logistic import logit

ROUNDS = 3
COLUMNS = ("ap", "auroc", "precision@100", "recall@100", "precision@t", "flag_f1")
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scored:
    """One round: an annotator as given, what is wrong with it, and every arm's scores."""

    peers: Round
    arms: dict[str, Arm]
    counted: Mask
    """bool (texts): the policies that figures are read off."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(prog="remand bench audit", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/opp115/segments.jsonl"))
    parser.add_argument("--cache", type=Path, required=True, help="a folder for embeddings")
    parser.add_argument("--without-other", action="store_true", help="leave the option Other out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=500, help="of the bootstrap by policy")
    parser.add_argument("--json", type=Path, help="where all numbers go")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--development", action="store_true", help="50 policies (the default)")
    which.add_argument("--final", action="store_true", help="opens the 25 closed policies: once")
    options = parser.parse_args(arguments)
    found = run(options)
    print(as_tables(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, JSON-ready."""
    segments = opp115(options.data)
    closed = closed_rows(segments)
    counted = closed if options.final else ~closed
    if not options.final:
        segments, counted = segments.of(~closed), counted[~closed]
    if options.without_other:
        segments = segments.without(OTHER)
    features = embeddings(segments.texts, options.cache)
    rounds = [scored(segments, features, place, options.seed, counted) for place in range(ROUNDS)]
    return {
        "policies": len({p for p, used in zip(segments.policies, counted, strict=True) if used}),
        "final": options.final,
        "contested_cells": [int((~r.peers.agreed[r.counted]).sum()) for r in rounds],
        "agreed_cells": [int(r.peers.agreed[r.counted].sum()) for r in rounds],
        "cells": level(rounds, segments.policies, "cells", options),
        "texts": level(rounds, segments.policies, "texts", options),
        "machine": describe(),
    }


def scored(segments: Segments, features: NDArray[np.float32], place: int, seed: int, counted: Mask) -> Scored:
    """Every arm's scores with the annotators at `place` as given. Nothing here sees what the others gave."""
    peers = peer_round(segments, place)
    folds = assign_folds(segments.policies, FOLDS, seed + place)
    models = text_models(segments.texts, features, peers.given, folds)
    # Calibrated by the other folds, as an adapter's held-out probabilities are.
    calibrated = cross_fit(
        logit(models.tfidf).astype(np.float32), peers.given, folds, segments.scheme
    ).probabilities
    evidence = Evidence(
        calibrated,
        peers.given,
        segments.scheme,
        segments.policies,
        order=segments.order,
        embeddings=features,
        signatures=signatures(segments.texts),
        probe_logits=logit(models.probe, 1e-3).astype(np.float32),
        annotations=annotated(range(len(segments.texts)), peers.annotators, peers.given),
    )
    return Scored(peers, dict(arms(evidence, seed)), counted)


def level(
    rounds: Sequence[Scored], policies: Sequence[str], name: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Figures of one level (`cells` or `texts`): means over rounds, and ΔAP against cleanlab's best."""
    triples = [
        {arm: triple for arm, found in r.arms.items() if (triple := _triple(r, found, name)) is not None}
        for r in rounds
    ]
    figures = {
        arm: _mean([_figures(r, arm, triple[arm], name) for r, triple in zip(rounds, triples, strict=True)])
        for arm in triples[0]
    }
    result: dict[str, Any] = {"arms": figures, "against": {}}
    for source in ("cleanlab, text", "cleanlab, stacked"):
        best = max((arm for arm in figures if arm.startswith(source)), key=lambda arm: figures[arm]["ap"])
        compared = [
            {arm: r[arm] for arm in r if arm == best or not arm.startswith("cleanlab")} for r in triples
        ]
        result["against"][best] = gains(compared, policies, best, options.draws, options.seed)
    return result


def _triple(r: Scored, arm: Arm, name: str) -> tuple[Mask, NDArray[np.floating], Mask] | None:
    """(wrong, scores, counted) of one arm at a level."""
    rows = r.counted
    if name == "cells":
        return None if arm.cells is None else (r.peers.wrong, arm.cells, r.peers.agreed & rows[:, None])
    wrong = r.peers.wrong.any(axis=1)
    counted = rows & (wrong | r.peers.agreed.all(axis=1))
    return None if arm.texts is None else (wrong, arm.texts, counted)


def _figures(
    r: Scored, name: str, triple: tuple[Mask, NDArray[np.floating], Mask], level_name: str
) -> dict[str, float]:
    wrong, scores, counted = triple
    arm = r.arms[name]
    flags = arm.flags
    if flags is not None and level_name == "texts":
        flags = flags.any(axis=1) if arm.flagged_texts is None else arm.flagged_texts
    found = ranked(wrong, scores, counted)
    return found if flags is None else found | {"flag_f1": flag_f1(wrong, flags, counted)}


def _mean(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([found[name] for found in rounds])) for name in rounds[0]}


def as_tables(found: dict[str, Any]) -> str:
    """Both levels as text."""
    lines = [f"{found['policies']} policies, {'closed' if found['final'] else 'development'}"]
    for name in ("cells", "texts"):
        part = found[name]
        lines.append(f"\n{name:52}" + "".join(f"{column:>15}" for column in COLUMNS))
        for arm, figures in part["arms"].items():
            row = "".join(f"{figures.get(column, float('nan')):15.3f}" for column in COLUMNS)
            lines.append(f"{arm:52}{row}")
        for best, compared in part["against"].items():
            lines.append(f"ΔAP against {best}")
            for arm, gain in compared.items():
                low, high = gain["interval"] or (float("nan"), float("nan"))
                lines.append(f"  {arm:50}{gain['gain']:+.3f} ({low:+.3f} to {high:+.3f})")
    lines.append(f"contested cells {found['contested_cells']}, agreed {found['agreed_cells']} (by round)")
    lines.append(json.dumps(found["machine"]))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
