"""Several ways to write the same items, side by side: means with intervals by group, boxes, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.boxes import box
from models.evaluation.means import mean_with_interval, paired_differences
from models.evaluation.resampling import DRAWS, group_codes, group_draws

Scores = Mapping[str, NDArray[np.float64]]
"""By arm: float64 (items, measures), NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured of a summary or a document."""

    key: str
    title: str
    better: str
    """`higher`, `lower`, or `neither`: a length that is neither good nor bad."""
    most: float | None = 1.0
    """The most that it can be, where drawings end; None: there is no such value."""

    def to_document(self) -> dict[str, Any]:
        """For reports."""
        return {"key": self.key, "title": self.title, "better": self.better, "most": self.most}


SUMMARY_MEASURES = (
    Measure("rouge1", "ROUGE-1", "higher"),
    Measure("rouge2", "ROUGE-2", "higher"),
    Measure("rougeL", "ROUGE-L", "higher"),
    Measure("rougeLsum", "ROUGE-Lsum", "higher"),
    Measure("bertscore", "BERTScore F1", "higher"),
    Measure("numbers", "Numbers found in the source", "higher"),
    Measure("dates", "Dates found in the source", "higher"),
    Measure("citations", "Citations found in the source", "higher"),
    Measure("names", "Names found in the source", "higher"),
    Measure("supported", "Sentences supported by the source", "higher"),
    Measure("length_ratio", "Words per word of the reference", "neither", None),
)
"""Of summaries, in the order of the columns. Shares are of what a summary has: one without a number has no share of numbers."""
DOCUMENT_MEASURES = (Measure("loss", "Nats per token", "lower", None),)
"""Of documents under a causal model: the logarithm of perplexity."""


def compared(
    scores: Scores,
    measures: Sequence[Measure],
    groups: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """{draws, groups, arms: {arm: {measures, boxes}}, differences: [{first, second, measures}]}, JSON-ready.

    Args:
        scores: of every arm, on the same items.
        measures: of the columns.
        groups: of the items; drawn whole.
        pairs: arms whose difference is asked for, first minus second.
        seed, draws: of the bootstrap.
    """
    codes = group_codes(groups)
    drawn = group_draws(int(codes.max(initial=-1)) + 1, draws, seed)
    keys = [measure.key for measure in measures]
    arms = {
        name: {
            "measures": dict(zip(keys, mean_with_interval(values, codes, drawn), strict=True)),
            "boxes": {key: box(values[:, column]) for column, key in enumerate(keys)},
        }
        for name, values in scores.items()
    }
    differences = [
        {
            "first": first,
            "second": second,
            "measures": dict(
                zip(keys, paired_differences(scores[first], scores[second], codes, drawn), strict=True)
            ),
        }
        for first, second in pairs
    ]
    return {"draws": drawn.shape[1] - 1, "groups": len(drawn), "arms": arms, "differences": differences}


def pairs_of(arms: Sequence[str], models: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """The first model against every other arm, then every further arm against the baseline."""
    main = models[:1]
    found = [(first, other) for first in main for other in arms if other != first]
    return found + [(arm, baseline) for arm in arms if arm not in {baseline, *main}]
