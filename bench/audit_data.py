"""What `bench audit` reads: OPP-115 with its three annotators and its closed policies, and corpora to inject errors into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.folds import seeded_rank
from models.scheme import Labels, Option, Question, QuestionKind, Scheme

CLOSED = 25
"""Policies of OPP-115 that stay closed until the final table."""
CLOSED_SEED = 2026
OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments of privacy policies as arrays, in the order of the file."""

    texts: list[str]
    policies: list[str]
    order: list[int]
    annotators: list[tuple[str, ...]]
    """The three who read each segment; the same three for a whole policy."""
    scheme: Scheme
    annotations: NDArray[np.int8]
    """int8 (segments, 3 annotators, options)."""

    def of(self, rows: NDArray[np.bool_]) -> Segments:
        """Some of the segments."""
        chosen = np.flatnonzero(rows).tolist()
        return Segments(
            [self.texts[row] for row in chosen],
            [self.policies[row] for row in chosen],
            [self.order[row] for row in chosen],
            [self.annotators[row] for row in chosen],
            self.scheme,
            self.annotations[rows],
        )

    def without(self, key: str) -> Segments:
        """The same segments without one option."""
        kept = [place for place, other in enumerate(self.scheme.option_keys) if other != key]
        keys = [self.scheme.option_keys[place] for place in kept]
        return Segments(
            self.texts,
            self.policies,
            self.order,
            self.annotators,
            _scheme(keys),
            self.annotations[:, :, kept],
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One annotator's values as what is given, and what the other two say of them."""

    given: Labels
    """int8 (segments, options)."""
    annotators: list[str]
    """Who gave them."""
    agreed: NDArray[np.bool_]
    """bool (segments, options): the other two agree; the rest is contested."""
    wrong: NDArray[np.bool_]
    """bool (segments, options): the other two agree on the opposite."""


def opp115(path: Path) -> Segments:
    """Every segment with what each of its three annotators gave."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    keys = sorted({label for row in rows for given in row["annotations"].values() for label in given})
    values = [[[key in given for key in keys] for given in row["annotations"].values()] for row in rows]
    return Segments(
        [row["text"] for row in rows],
        [row["policy"] for row in rows],
        [row["segment"] for row in rows],
        [tuple(row["annotations"]) for row in rows],
        _scheme(keys),
        np.array(values, dtype=np.int8),
    )


def closed_rows(segments: Segments) -> NDArray[np.bool_]:
    """Segments of the closed policies: bool (segments). The same ones on every machine and for every seed."""
    ranked = sorted(set(segments.policies), key=lambda policy: seeded_rank(policy, CLOSED_SEED))
    closed = set(ranked[:CLOSED])
    return np.array([policy in closed for policy in segments.policies])


def peer_round(segments: Segments, place: int) -> Round:
    """The annotator at `place` (0, 1, 2) of every policy as given."""
    given = segments.annotations[:, place]
    first, second = (segments.annotations[:, (place + step) % 3] for step in (1, 2))
    agreed = first == second
    return Round(given, [three[place] for three in segments.annotators], agreed, agreed & (first != given))


def _scheme(keys: list[str]) -> Scheme:
    options = tuple(Option(key, place) for place, key in enumerate(keys))
    return Scheme((Question("practice", QuestionKind.YES_NO_SET, options),))
