"""Part (a) of `bench audit`: one of OPP-115's three annotators is given, the other two where they agree are the truth.

Cells on which the two do not agree are contested: counted, and left out of every figure. A text is wrong where any of its
cells is, and contested where none is wrong and any is contested. Development uses 50 fixed policies alone; the final table
scores all 75 and reads the figures off the 25 others.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_arms import arms
from bench.audit_data import OTHER, Segments, closed_rows, opp115, peer_round
from bench.audit_levels import Mask, Scored, as_table, fixed, level
from bench.audit_text_models import FOLDS, Reader, embeddings
from models.audit.evidence import Evidence
from models.audit.stack import annotated
from models.data.folds import assign_folds
from models.data.near_duplicates import signatures
from models.scheme import MISSING
from models.training.calibration import cross_fit
from models.training.logistic import logit

ROUNDS = 3
SOURCES = ("tfidf", "minilm")


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of the part, JSON-ready, by the text probabilities that every arm is given."""
    segments = opp115(options.data / "opp115" / "segments.jsonl")
    closed = closed_rows(segments)
    counted = closed if options.final else ~closed
    if not options.final:
        segments, counted = segments.of(~closed), counted[~closed]
    if options.without_other:
        segments = segments.without(OTHER)
    features = embeddings(segments.texts, options.cache)
    development = ~closed if options.final else counted
    found: dict[str, Any] = {
        "policies": len({p for p, used in zip(segments.policies, counted, strict=True) if used}),
        "final": options.final,
        "without_other": options.without_other,
    }
    readers = [_reader(segments, features, place, options.seed) for place in range(ROUNDS)]
    for source in SOURCES:
        rounds, macro = [], []
        for place, (folds, reader) in enumerate(readers):
            r = scored(segments, features, place, source, folds, reader, options.seed)
            r = Scored(r.wrong, r.agreed, r.arms, counted, development)
            rounds.append(r)
            if source == "tfidf":
                given = segments.annotations[:, place]
                truth = np.where(r.agreed, np.where(r.wrong, 1 - given, given), MISSING).astype(np.int8)
                macro.append(fixed(reader, r, given, truth, segments.scheme, folds, options.seed))
        found[source] = {
            name: level(rounds, segments.policies, name, options.draws, options.seed)
            for name in ("cells", "texts")
        }
        if macro:
            found["macro_f1"] = {name: float(np.mean([each[name] for each in macro])) for name in macro[0]}
        found["contested_cells"] = [int((~r.agreed[counted]).sum()) for r in rounds]
        found["agreed_cells"] = [int(r.agreed[counted].sum()) for r in rounds]
    return found


def _reader(
    segments: Segments, features: NDArray[np.float32], place: int, seed: int
) -> tuple[NDArray[np.int32], Reader]:
    folds = assign_folds(segments.policies, FOLDS, seed + place)
    return folds, Reader(segments.texts, folds, features)


def scored(
    segments: Segments,
    features: NDArray[np.float32],
    place: int,
    source: str,
    folds: NDArray[np.int32],
    reader: Reader,
    seed: int,
) -> Scored:
    """Every arm's scores with the annotators at `place` as given. Nothing here sees what the others gave."""
    round_ = peer_round(segments, place)
    evidence = judged(segments, round_.given, round_.annotators, features, source, folds, reader)
    everything: Mask = np.ones(len(segments.texts), dtype=np.bool_)
    return Scored(round_.wrong, round_.agreed, dict(arms(evidence, seed)), everything, everything)


def judged(
    segments: Segments,
    given: NDArray[np.int8],
    annotators: list[str],
    features: NDArray[np.float32],
    source: str,
    folds: NDArray[np.int32],
    reader: Reader,
) -> Evidence:
    """What one round is judged by: `source` gives the text probabilities, the other text models stand beside."""
    read = {view: reader.probabilities(view, given) for view in ("words", "embedded", "letters")}
    first, beside = ("words", "embedded") if source == "tfidf" else ("embedded", "words")
    first_logits = logit(read[first]).astype(np.float32)
    return Evidence(
        # Calibrated by the other folds, as an adapter's held-out probabilities are.
        cross_fit(first_logits, given, folds, segments.scheme).probabilities,
        given,
        segments.scheme,
        segments.policies,
        order=segments.order,
        embeddings=features,
        signatures=signatures(segments.texts),
        wide_logits=logit(read["letters"], 1e-3).astype(np.float32),
        probe_logits=logit(read[beside], 1e-3).astype(np.float32),
        annotations=annotated(range(len(segments.texts)), annotators, given),
    )


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text."""
    told = "closed" if found["final"] else "development"
    without = " without Other" if found["without_other"] else ""
    lines = [f"(a) peer disagreement, {found['policies']} policies ({told}){without}"]
    for source in SOURCES:
        for name in ("cells", "texts"):
            lines += ["", f"{source}, {name}", *as_table(found[source][name])]
    lines.append("macro-F1 after looking up as many cells as are wrong: " + _figures(found["macro_f1"]))
    lines.append(f"contested cells {found['contested_cells']}, agreed {found['agreed_cells']} (by round)")
    return lines


def _figures(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items())
