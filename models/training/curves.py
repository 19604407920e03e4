"""Learning curves: what the held-out logits kept after each epoch say. Nothing is chosen by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from models.scheme import NO, YES, Labels, QuestionKind, Scheme
from models.training.metrics import evaluate, plain


def learning_curve(
    history: Sequence[Mapping[str, Any]], logits: NDArray[np.generic], labels: Labels, scheme: Scheme
) -> list[dict[str, Any]]:
    """One entry per epoch from 0, the warm-started head on the untouched encoder, on.

    Decided at probability 0.5, and by the most probable option of a choose_one question: thresholds are fitted later.

    Args:
        history: of the fit, one entry per epoch.
        logits: (epochs, rows, options), uncalibrated.
        labels: int8 (rows, options) of the same rows.
        scheme: names the options.
    """
    curve = []
    for entry, part in zip(history, logits, strict=True):
        probabilities, decisions = _decided(part.astype(np.float32), scheme)
        macro = evaluate(labels, probabilities, decisions, scheme).macro
        curve.append({
            "epoch": entry["epoch"],
            "train_loss": entry.get("train_loss"),
            "held_out_macro_average_precision": macro["pr_auc"],
            "held_out_macro_f1": macro["f1"],
            "held_out_accuracy": macro["accuracy"],
            "always_no": macro["always_no"],
        })  # fmt: skip
    found: list[dict[str, Any]] = plain(curve)
    return found


def _decided(logits: NDArray[np.float32], scheme: Scheme) -> tuple[NDArray[np.float32], Labels]:
    probabilities: NDArray[np.float32] = expit(logits)
    decisions = np.where(logits > 0, YES, NO).astype(np.int8)
    for question in scheme.questions:
        if question.kind is QuestionKind.CHOOSE_ONE:
            columns = [option.position for option in question.options]
            probabilities[:, columns] = softmax(logits[:, columns], axis=1)
            best = logits[:, columns].argmax(axis=1)
            decisions[:, columns] = np.where(np.arange(len(columns)) == best[:, None], YES, NO)
    return probabilities, decisions
