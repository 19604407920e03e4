"""What suspicion is judged by: probabilities, given values, neighbours, and who gave the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.neighbours import Similar
from models.data.near_duplicates import Signatures
from models.scheme import Labels, Scheme


@dataclass(frozen=True, slots=True)
class Annotations:
    """Who gave which values: one row per (text, annotator)."""

    texts: NDArray[np.int64]
    """int64 (rows): row of the text in the evidence."""
    annotators: NDArray[np.int64]
    """int64 (rows): annotators, counted from 0."""
    values: Labels
    """int8 (rows, options): what this annotator gave."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the suspicion of a run's cells is judged by. Rows are texts, in one order throughout."""

    probabilities: NDArray[np.float32]
    """Held-out, calibrated: float32 (texts, options); a row is NaN where no model has not seen the text."""
    labels: Labels
    """Given values (the consensus where several annotators gave one): int8 (texts, options)."""
    scheme: Scheme
    groups: Sequence[str]
    """Group of each text, the same grouping that the folds were split by."""
    order: Sequence[int] | None = None
    """Place of each text in its group, where texts beside each other belong together (paragraphs, segments)."""
    embeddings: NDArray[np.floating] | None = None
    """float16 or float32 (texts, dim), for the labels of similar texts."""
    signatures: Signatures | None = None
    """uint32 (texts, permutations); keeps duplicates out of the similar texts."""
    similar: Similar | None = None
    """`similar_texts` of the embeddings where they are known already; embeddings and signatures are not looked at then."""
    wide_logits: NDArray[np.float32] | None = None
    """Held-out TF-IDF logits, float32 (texts, options)."""
    probe_logits: NDArray[np.float32] | None = None
    """Held-out logits of a linear probe on frozen embeddings, float32 (texts, options)."""
    annotations: Annotations | None = None
    """Who gave what; without it annotators are not modelled."""
