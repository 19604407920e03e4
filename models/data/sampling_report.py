"""What a sample is made of: its strata one by one, and how near its labels come to those of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.sampling import NO_LABEL, Drawn, Part, cardinalities
from models.scheme import MISSING, YES, Labels


def strata_report(
    drawn: Drawn,
    labels: Labels,
    option_keys: Sequence[str],
    characters: NDArray[np.int64] | None = None,
    top_terms: Sequence[Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """One JSON-ready entry a stratum: parts, texts (N_h), drawn (n_h), inclusion (π), positives of every option, mean length.

    Args:
        drawn: the sample.
        labels: int8 (texts, options) of the frame.
        option_keys: in column order.
        characters: int64 (texts,): length of each text; left out where None.
        top_terms: words of each cluster. They quote texts: None for a corpus marked sensitive.
    """
    found = []
    sizes = drawn.strata.sizes
    for place, parts in enumerate(drawn.strata.parts):
        inside = drawn.strata.of == place
        chosen = drawn.rows[drawn.stratum == place]
        entry: dict[str, Any] = {
            "stratum": place,
            "parts": [part_document(part) for part in parts],
            "texts": int(sizes[place]),
            "drawn": int(drawn.taken[place]),
            "inclusion": float(drawn.taken[place] / sizes[place]),
            "positives": _counts(labels[inside], option_keys),
            "drawn_positives": _counts(labels[chosen], option_keys),
        }
        if characters is not None:
            entry["mean_characters"] = round(float(characters[inside].mean()), 1)
        if top_terms is not None:
            entry["top_terms"] = [list(top_terms[cluster]) for cluster in sorted({part[1] for part in parts})]
        found.append(entry)
    return found


def merges_report(drawn: Drawn) -> list[dict[str, Any]]:
    """Which strata were too small and which they joined, in the order of the merges."""
    return [
        {
            "small": [part_document(part) for part in merge.small],
            "texts": merge.texts,
            "into": [part_document(part) for part in merge.into],
        }
        for merge in drawn.strata.merges
    ]


def fidelity(labels: Labels, rows: NDArray[np.int64], option_keys: Sequence[str]) -> dict[str, Any]:
    """Prevalence of every option and shares of the numbers of yes labels, in the frame and in the sample as it is (unweighted).

    The two mean absolute differences are in shares (0 … 1); options without any label in frame or sample are left out.
    """
    frame, sample = prevalences(labels), prevalences(labels[rows])
    both = np.isfinite(frame) & np.isfinite(sample)
    numbers = sorted(set(cardinalities(labels).tolist()))
    whole, part = (cardinality_shares(some, numbers) for some in (labels, labels[rows]))
    return {
        "options": [
            {"key": key, "frame": _share(frame[column]), "sample": _share(sample[column])}
            for column, key in enumerate(option_keys)
        ],
        "cardinalities": [
            {
                "yes": None if number == NO_LABEL else number,
                "frame": _share(whole[place]),
                "sample": _share(part[place]),
            }
            for place, number in enumerate(numbers)
        ],
        "prevalence_difference": _share(np.abs(frame - sample)[both].mean()) if both.any() else None,
        "cardinality_difference": _share(np.abs(whole - part).mean()),
    }


def prevalences(labels: Labels) -> NDArray[np.float64]:
    """Share of yes among the known labels of each option: float64 (options), NaN where none is known."""
    known = (labels != MISSING).sum(axis=0)
    share = (labels == YES).sum(axis=0) / np.maximum(known, 1)
    return np.where(known > 0, share, np.nan)


def cardinality_shares(labels: Labels, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Share of texts with each of these numbers of yes labels: float64 (numbers)."""
    found = cardinalities(labels)
    return np.array([float((found == number).mean()) for number in numbers])


def part_document(part: Part) -> dict[str, int | None]:
    """A part of a stratum in JSON; `yes` is null for texts without any label."""
    return {"yes": None if part[0] == NO_LABEL else part[0], "cluster": part[1]}


def _counts(labels: Labels, option_keys: Sequence[str]) -> dict[str, int]:
    return dict(zip(option_keys, (labels == YES).sum(axis=0).tolist(), strict=True))


def _share(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
