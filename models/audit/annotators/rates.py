"""How often people are right, drawn from what they gave: logit-normal around an effect of the column plus one of the annotator.

A column is an option, or an answer of a question; what common ones say of a person helps with rare ones. Rates are drawn on a grid,
so that nothing has to be tuned. (Paun et al. 2018 compare such hierarchies.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.logistic import sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LIKE = 2.0
"""How many observations the guess is worth that annotators differ by SPREAD, and columns within an annotator as well."""
SPREAD = 0.5
_GRID = np.linspace(-3.0, 9.0, 97)
_STEP = _GRID[1] - _GRID[0]
_RIGHT = np.asarray(np.log(sigmoid(_GRID)))
_WRONG = np.asarray(np.log(sigmoid(-_GRID)))


class Rates:
    """One state of the log-odds of being right, float64 (annotators, columns): `values`."""

    def __init__(
        self, annotators: int, columns: int, mean: float, spread: float, rng: np.random.Generator
    ) -> None:
        """mean, spread: log-odds that are expected of a column, and how far columns may lie from it."""
        self._rng, self._prior = rng, (mean, spread)
        self._means, self._people = np.full(columns, mean), np.zeros(annotators)
        self._between, self._within = SPREAD**2, SPREAD**2
        self.values = np.full((annotators, columns), mean)

    def draw(self, hits: Matrix, misses: Matrix, lowest: Matrix | float) -> None:
        """New rates, given how often each annotator was right and wrong, float64 (annotators, columns), and what they have in common.

        lowest: log-odds that they stay above.
        """
        middle = self._means + self._people[:, None]
        logs = hits[..., None] * _RIGHT + misses[..., None] * _WRONG
        logs -= (_GRID - middle[..., None]) ** 2 / (2 * self._within)
        logs[np.asarray(lowest)[..., None] + _STEP >= np.broadcast_to(_GRID, logs.shape)] = -np.inf
        chosen = (logs + self._rng.gumbel(size=logs.shape)).argmax(axis=-1)
        self.values = _GRID[chosen] + self._rng.uniform(-_STEP / 2, _STEP / 2, chosen.shape)

    def draw_common(self) -> None:
        """Columns' and annotators' effects and how much they vary, given the rates (normal with known variances, in turn)."""
        rng, (annotators, columns) = self._rng, self.values.shape
        mean, spread = self._prior
        own = 1 / spread**2
        precision = own + annotators / self._within
        middle = (own * mean + (self.values - self._people[:, None]).sum(axis=0) / self._within) / precision
        self._means = rng.normal(middle, 1 / np.sqrt(precision))
        precision = 1 / self._between + columns / self._within
        middle = (self.values - self._means).sum(axis=1) / self._within / precision
        self._people = rng.normal(middle, 1 / np.sqrt(precision))
        self._between = self._variance(self._people)
        self._within = self._variance(self.values - self._means - self._people[:, None])

    def _variance(self, off: NDArray[np.float64]) -> float:
        shape, scale = (LIKE + off.size) / 2, (LIKE * SPREAD**2 + (off**2).sum()) / 2
        return float(scale / self._rng.gamma(shape))
