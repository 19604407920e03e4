"""What an evaluation answers: a report in the shape of a train job's, with how much was held out and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.paired import Side
from models.training.metrics import plain
from models.training.report import MODEL, build_report
from models.training.report_evidence import twin_section
from workers.evaluate.readers import Readers
from workers.evaluate.scope import Scope

IDS_NAMED = 1000
"""Most external ids of left-out rows that the answer names; it counts all."""


@dataclass(frozen=True, slots=True)
class Part:
    """One reading of the scope."""

    side: Side
    readers: Readers | None
    """None: an untrained base model, which has seen nothing of it."""
    thresholds: str
    """In words, where its thresholds come from."""


def document_of(scope: Scope, parts: Mapping[str, Part], seed: int, **details: Any) -> dict[str, Any]:
    """The evaluation, ready for JSON.

    Every number is about the rows that the reading under evaluation holds out. Others stand beside it on the same rows, a second
    adapter on those of them that it holds out as well (`read_of_these`); what is paired is on the cells that both have read.

    Args:
        scope: the rows.
        parts: by name; MODEL is the one under evaluation, "untrained" and "compared" stand beside it.
        seed: of the bootstrap.
        details: further parts, kept under their names; `scope_asked` as `scope`.
    """
    main = parts[MODEL]
    rows = np.flatnonzero(np.ones(len(scope.keys), bool) if main.readers is None else main.readers.held_out)
    sides = {
        name: Side(part.side.probabilities[rows], part.side.decisions[rows]) for name, part in parts.items()
    }
    labels, groups = scope.labels[rows], [scope.groups[row] for row in rows.tolist()]
    thresholds = np.full(len(scope.scheme.option_keys), np.nan, dtype=np.float32)
    twins = None
    if main.readers is not None and main.readers.twin is not None:
        twins = plain(twin_section(scope.scheme, labels, sides[MODEL], main.readers.twin[rows]))
    document = build_report(
        scope.scheme, labels, sides, thresholds, groups, seed,
        corpus_id=scope.corpus_id,
        synthetic=scope.synthetic,
        snapshot_id=scope.snapshot_id,
        scope=details.pop("scope_asked"),
        held_out={name: held_out_words(scope, part.readers, rows) for name, part in parts.items()},
        decided_by={name: part.thresholds for name, part in parts.items()},
        twins=twins,
        **details,
    )  # fmt: skip
    document["verdict"] = {"sentence": _sentence(document)}
    return document


def held_out_words(scope: Scope, readers: Readers | None, rows: NDArray[np.int64]) -> dict[str, Any]:
    """How many rows were read by whom, and which were left out because every model has seen them.

    `rows` are those that the evaluation is about; `read_of_these` of them have an answer by this reading.
    """
    total = len(scope.keys)
    if readers is None:
        return {
            "rows": total,
            "asked": total,
            "share": 1.0,
            "read_of_these": len(rows),
            "left_out": 0,
            "left_out_ids": [],
            "by": {"untrained": total},
        }
    kept = readers.held_out
    left = np.flatnonzero(~kept)
    counts = readers.uses[kept][:, 1:].sum(axis=1)
    by = {"final": int(readers.uses[:, 0].sum())}
    by |= {
        f"{number} fold models": int((counts == number).sum())
        for number in np.unique(counts[counts > 0]).tolist()
    }
    return {
        "rows": int(kept.sum()),
        "asked": total,
        "share": float(kept.mean()),
        "read_of_these": int(kept[rows].sum()),
        "left_out": len(left),
        "left_out_ids": [scope.keys[row] for row in left[:IDS_NAMED].tolist()],
        "by": by,
    }


def _sentence(document: Mapping[str, Any]) -> str:
    macro, always = document["macro"][MODEL], document["always_no"]
    held = document["held_out"][MODEL]
    words = [
        f"Macro-F1 {_shown(macro['f1'])}, average precision {_shown(macro['pr_auc'])}, accuracy {_shown(macro['accuracy'])} "
        f"(always no: {_shown(always['macro_accuracy'])}) on {held['rows']:,} of {held['asked']:,} texts, all held out"
        + (
            f"; {held['left_out']:,} left out, because every model had seen them."
            if held["left_out"]
            else "."
        )
    ]
    for name, title in (("untrained", "the untrained base model"), ("compared", "the other adapter")):
        found = document["paired"].get(name, {}).get("macro", {}).get("f1")
        if found and found["difference"] is not None:
            words.append(f"Against {title}: {_difference(found)} macro-F1.")
    return " ".join(words)


def _difference(found: Mapping[str, Any]) -> str:
    within = found["interval"]
    if within is None:
        return f"{found['difference']:+.3f} (no interval, because all texts are of one group)"
    sure = within[0] > 0 or within[1] < 0
    return f"{found['difference']:+.3f} (95 % interval {within[0]:+.3f} to {within[1]:+.3f}{'' if sure else ', within chance'})"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
