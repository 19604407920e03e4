"""What a model must beat, fitted on the same training parts: TF-IDF, a linear probe, and the untrained base model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder.batches import Rows
from models.encoder.forward import embed
from models.encoder.load import Encoder
from models.scheme import Labels, Scheme
from models.training.linear import choose_penalty, fit_linear

_SHARPNESS = 10.0
"""Cosine similarities lie within a few tenths; as logits they are spread by this factor before calibration."""


def probe_logits(
    features: NDArray[np.float32],
    labels: Labels,
    groups: Sequence[str],
    rows: Rows,
    held_out: Rows,
    seed: int,
) -> NDArray[np.float32]:
    """Logits of a linear probe on frozen embeddings, its penalty chosen within `rows`: float32 (held_out, options)."""
    penalty = choose_penalty(features[rows], labels[rows], [groups[row] for row in rows], seed)
    return fit_linear(features[rows], labels[rows], penalty).logits(features[held_out])


def untrained_logits(
    encoder: Encoder, last_layer: NDArray[np.float32], scheme: Scheme
) -> NDArray[np.float32]:
    """Logits of the base model without any training: similarity of a text and an option's name and definition.

    Args:
        encoder: the base model.
        last_layer: float32 (texts, hidden), mean of the last layer over tokens.
        scheme: names the options.

    Returns:
        float32 (texts, options).
    """
    described = [
        f"{option.name or spoken(option.key)}. {option.definition}".strip() for option in scheme.options
    ]
    named = embed(encoder, described)
    norms = np.linalg.norm(last_layer, axis=1, keepdims=True)
    similarity: NDArray[np.float32] = (last_layer / np.maximum(norms, 1e-12)) @ named.T
    return (similarity * _SHARPNESS).astype(np.float32)


def spoken(key: str) -> str:
    """An option's key as words."""
    return key.replace("_", " ").replace("-", " ")
