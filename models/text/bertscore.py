"""BERTScore (Zhang et al. 2020): the tokens of a summary and of its reference, each matched with the most alike of the other's.

Without idf and without rescaling; scores as the package bert-score 0.3.13 gives them for the same model and layer. That
package stops at an empty summary under transformers 5, and knows only one way to read a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder.forward import trunk_batches
from models.encoder.load import Encoder
from models.encoder.tokens import token_offsets, tokenize

Vectors = NDArray[np.float32]
"""float32 (tokens, hidden), each of length 1."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Scores of pairs, and how many texts were longer than the model reads at once."""

    scores: NDArray[np.float64]
    """float64 (pairs, 3): precision, recall, F1."""
    cut: int


def usual_layer(depth: int) -> int:
    """The layer that is read unless another is named: five sixths up, as bert-score has it for models of 6 layers and for roberta-base."""
    return max(1, round(depth * 5 / 6))


def bert_scores(
    encoder: Encoder, written: Sequence[str], references: Sequence[str], layer: int | None = None
) -> Matched:
    """Precision, recall and F1 of each pair.

    Args:
        encoder: any base model that `load_encoder` reads.
        written: summaries; one without a token scores 0.
        references: as many.
        layer: 1 to the model's depth; None: `usual_layer`.

    Raises:
        ValueError: the model has no such layer.
    """
    depth = usual_layer(encoder.depth) if layer is None else layer
    if not 1 <= depth <= encoder.depth:
        raise ValueError(f"{encoder.path.name} has layers 1 to {encoder.depth}, not {depth}")
    places = {text: place for place, text in enumerate(dict.fromkeys([*written, *references]))}
    vectors, cut = token_vectors(encoder, list(places), depth)
    before, after = map(len, encoder.special_ids)
    pairs = zip(written, references, strict=True)
    found = [
        matched(vectors[places[text]], vectors[places[reference]], before, after) for text, reference in pairs
    ]
    return Matched(np.array(found, dtype=np.float64).reshape(-1, 3), cut)


def token_vectors(encoder: Encoder, texts: Sequence[str], layer: int) -> tuple[list[Vectors], int]:
    """Each text's tokens after a layer, special ones included, and how many texts were cut to the model's longest input."""
    windows = tokenize(encoder, texts, max_windows=1)
    found: list[Vectors] = [np.zeros((0, encoder.hidden_size), dtype=np.float32)] * len(texts)
    for batch in trunk_batches(encoder, windows, layer, ()):
        states = batch.tokens.float().cpu().numpy()
        states /= np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
        parts = np.split(states, np.cumsum(windows.lengths[batch.rows])[:-1])
        for row, vectors in zip(batch.rows.tolist(), parts, strict=True):
            found[int(windows.text_of[row])] = vectors
    full = np.flatnonzero(windows.lengths == encoder.max_tokens).tolist()
    room = encoder.max_tokens - sum(map(len, encoder.special_ids))
    return found, sum(len(token_offsets(encoder, texts[row])) > room for row in full)


def matched(
    written: Vectors, reference: Vectors, before: int = 1, after: int = 1
) -> tuple[float, float, float]:
    """(precision, recall, F1) by greedy matching.

    Special tokens, `before` and `after` the text's own, are matched with but not counted.
    """
    own, theirs = (slice(before, len(vectors) - after) for vectors in (written, reference))
    if own.stop <= own.start or theirs.stop <= theirs.start:
        return 0.0, 0.0, 0.0
    alike = written @ reference.T
    precision = float(alike[own].max(axis=1).mean())
    recall = float(alike[:, theirs].max(axis=0).mean())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both > 0 else 0.0
