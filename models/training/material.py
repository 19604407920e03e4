"""What the folds of a train job share, and which of its rows a training part is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.member import given_contexts
from models.data.near_duplicates import Signatures
from models.encoder.batches import Rows
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.scheme import MISSING
from models.training.inputs import TrainingSet
from models.training.part_sample import PartSample, sample_part
from models.training.task import FitSettings

READINGS = ("model", "tfidf", "probe")
WITHOUT_CONTEXT = "without_context"
CONTEXT_READINGS = (WITHOUT_CONTEXT, "wide")
"""Where texts have contexts: the model's reading of texts alone, and its wide branch with contexts by itself."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the folds share, computed once per job."""

    data: TrainingSet
    encoder: Encoder
    trunk: Trunk
    features: NDArray[np.float32]
    """float32 (texts, features): pooled layers of the plain base model."""
    counts: csr_matrix
    """float32 sparse (texts, vocabulary)."""
    of_context: NDArray[np.bool_]
    """bool (vocabulary): terms of contexts."""
    folds: NDArray[np.int32]
    digests: Sequence[str]
    signed: Signatures
    settings: FitSettings

    @property
    def readings(self) -> tuple[str, ...]:
        """The readings of held-out rows that this job makes."""
        return READINGS + (CONTEXT_READINGS if self.of_context.any() and self.data.request.wide else ())

    def beside(self) -> NDArray[np.bool_]:
        """Of which texts it is known what stands around them: bool (texts)."""
        return given_contexts(self.data.contexts, len(self.data.texts))

    def words(self) -> csr_matrix:
        """`counts` with no context in them: the same columns, those of contexts empty."""
        if not self.of_context.any():
            return self.counts
        words = csr_matrix(self.counts.multiply(~self.of_context))
        words.eliminate_zeros()  # a stored zero would have a logarithm
        return words


def training_rows(material: Material, mask: NDArray[np.bool_]) -> Rows:
    """Rows of a training part with at least one label: all of them, or the sample that the request asks for."""
    return part_sample(material, mask).rows


def part_sample(material: Material, mask: NDArray[np.bool_]) -> PartSample:
    """`training_rows` with the report of their sample."""
    data = material.data
    rows, keys = labelled_rows(data, mask), data.scheme.option_keys
    return sample_part(
        data.request.sample, rows, material.words(), data.labels, data.keys, keys, data.request.seed
    )


def labelled_rows(data: TrainingSet, mask: NDArray[np.bool_]) -> Rows:
    """Rows of a mask with at least one label."""
    return np.flatnonzero(mask & (data.labels != MISSING).any(axis=1)).astype(np.int64)
