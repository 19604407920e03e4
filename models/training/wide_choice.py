"""How a wide branch is fitted is chosen within its own training part: how strongly, and whether contexts help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.wide import wide_logits
from models.encoder.batches import Rows
from models.scheme import Labels
from models.training.linear import macro_precision
from models.training.wide import STRENGTHS, WideSettings, crossing, fit_wide

_PARTS = 3
_MOST_ROWS = 8000
_CONTEXT_GAIN = 0.005
"""Average precision that contexts must gain: without them a text can be read alone."""


@dataclass(frozen=True, slots=True)
class WideChoice:
    """What was chosen, and what it was chosen by."""

    tfidf: WideSettings
    """Of the words alone: the TF-IDF baseline."""
    wide: WideSettings
    """Of the wide branch."""
    context: bool
    """Whether the wide branch reads contexts."""
    tried: dict[str, float]
    """Macro average precision on the part that was kept back, by what was tried."""

    def to_document(self) -> dict[str, Any]:
        """JSON form for a report."""
        return {
            "strength": self.tfidf.strength, "wide_strength": self.wide.strength, "context": self.context,
            "tried": {name: round(value, 4) for name, value in self.tried.items()},
        }  # fmt: skip


def choose_wide(
    counts: csr_matrix,
    labels: Labels,
    rows: Rows,
    groups: Sequence[str],
    of_context: NDArray[np.bool_],
    wanted: bool | Literal["auto"],
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
) -> WideChoice:
    """Fit on two thirds of a training part's groups, look at the last third, take what ranks it best.

    Args:
        counts: float32 sparse (all texts, vocabulary).
        labels: int8 (all texts, options).
        rows: the training part.
        groups: the group of each of `rows`.
        of_context: bool (vocabulary): terms of contexts.
        wanted: whether contexts are read; "auto": where they gain enough.
        seed: draws the rows, where there are more than are needed, and the parts.
        strengths: inverse penalties to choose from.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_MOST_ROWS])
    check = crossing([groups[place] for place in drawn], _PARTS, seed) == 0
    fit_rows, check_rows = rows[drawn[~check]], rows[drawn[check]]

    def reached(settings: WideSettings) -> float:
        found = fit_wide(counts, labels, fit_rows, seed, settings)
        return macro_precision(labels[check_rows], wide_logits(found, csr_matrix(counts[check_rows])))

    alone = [WideSettings(strength, ~of_context) for strength in strengths]
    beside = [WideSettings(strength) for strength in strengths] if wanted and of_context.any() else []
    scores = {id(settings): reached(settings) for settings in (*alone, *beside)}
    best_alone = max(alone, key=lambda settings: scores[id(settings)])
    best_beside = max(beside, key=lambda settings: scores[id(settings)], default=best_alone)
    gained = scores[id(best_beside)] - scores[id(best_alone)]
    context = bool(beside) and (wanted is True or gained >= _CONTEXT_GAIN)
    tried = {f"C={settings.strength:g}": scores[id(settings)] for settings in alone}
    tried |= {f"C={settings.strength:g} with context": scores[id(settings)] for settings in beside}
    return WideChoice(best_alone, best_beside if context else best_alone, context, tried)
