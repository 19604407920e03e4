"""Part `intervals` of `bench audit`: do intervals of annotators' quality hold who the simulated annotators of (c) truly are?

No text model is needed, so many crowds can be drawn: by draws of what may be true, as the service counts, beside the consensus
taken as fitted, and beside the truth itself, which shows what the rest of the interval is worth.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_annotators import ANNOTATORS, OVERLAPS, SITES, Crowd, simulated
from bench.audit_corpora import corpora
from models.audit.annotators.consensus import dawid_skene
from models.audit.annotators.posterior import possible_truths
from models.audit.annotators.quality import Right, hierarchy, imputed, right_by, right_votes
from models.audit.annotators.votes import counts
from models.scheme import YES, Labels

KINDS = ("drawn", "as fitted", "truth known")


def intervals(options: argparse.Namespace) -> dict[str, Any]:
    """Coverage and mean width by overlap, JSON-ready."""
    corpus = corpora(options.data, ["echr"], options.texts or None)[0]
    cells = []
    for overlap in OVERLAPS[1:]:
        for connected in (True, False):
            crowds = [simulated(corpus, overlap, connected, options.seed + 100 + number) for number in range(options.crowds)]  # fmt: skip
            found = np.mean([_covered(crowd, corpus.labels) for crowd in crowds], axis=0)
            cells.append({"overlap": overlap, "connected": connected} | dict(zip(KINDS, found.tolist(), strict=True)))  # fmt: skip
    return {"corpus": corpus.name, "texts": len(corpus.texts), "annotators": options.crowds * ANNOTATORS, "cells": cells}  # fmt: skip


def _covered(crowd: Crowd, truth: Labels) -> NDArray[np.float64]:
    """Share of annotators covered, and the mean width, of every kind: float64 (kinds, 2)."""
    votes = crowd.votes
    yes, no = counts(votes)
    shared = (yes + no > 1)[votes.texts].astype(np.float64)

    def counted(true: NDArray[np.bool_]) -> Right:
        each = ((votes.values == YES) == true[votes.texts]).astype(np.float64)
        return right_by(each, shared, votes.annotators, votes.annotator_count)

    drawn = imputed([counted(true) for true in possible_truths(votes)])
    kinds = (drawn, right_votes(votes, dawid_skene(votes)), counted(truth == YES))
    return np.array([_held(crowd, each) for each in kinds])


def _held(crowd: Crowd, right: Right) -> tuple[float, float]:
    found, _ = hierarchy(right, np.arange(ANNOTATORS) % SITES)
    inside = [each.low <= true <= each.high for each, true in zip(found, crowd.quality, strict=True)]
    return float(np.mean(inside)), float(np.mean([each.high - each.low for each in found]))


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text."""
    lines = [
        f"intervals of quality, {found['corpus']}, {found['texts']} texts, {found['annotators']} annotators a row: covered (mean width)",
        f"{'':24}" + "".join(f"{kind:>18}" for kind in KINDS),
    ]
    for cell in found["cells"]:
        told = "connected" if cell["connected"] else "not connected"
        figures = "".join(f"{cell[kind][0]:10.3f} ({cell[kind][1]:.3f})" for kind in KINDS)
        lines.append(f"{cell['overlap']:4.0%}, {told:18}{figures}")
    return lines
