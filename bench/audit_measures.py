"""How good a ranking of suspects is, with paired intervals by group: AP, AUROC, precision and recall at K, flag sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.audit.ranking import highest_scores, text_scores
from models.evaluation.resampling import group_codes, group_draws, interval
from models.training.metrics import average_precision

Scores = NDArray[np.floating]
Mask = NDArray[np.bool_]


def ranked(wrong: Mask, scores: Scores, counted: Mask) -> dict[str, float]:
    """AP, AUROC, precision and recall at 100 and at T (as many as are wrong), over what is counted and audited."""
    used = counted & np.isfinite(scores)
    truth, values = wrong[used], scores[used]
    errors = int(truth.sum())
    if not errors:
        return {}
    order = np.argsort(-values, kind="stable")
    found = {"ap": average_precision(truth, values), "auroc": float(roc_auc_score(truth, values))}
    for name, count in (("100", 100), ("t", errors)):
        hits = int(truth[order[:count]].sum())
        found[f"precision@{name}"], found[f"recall@{name}"] = hits / min(count, len(order)), hits / errors
    return found | {"errors": errors, "counted": len(truth)}


def flag_f1(wrong: Mask, flags: Mask, counted: Mask) -> float:
    """F1 of a set of flags against what is wrong, over what is counted."""
    hits = int((wrong & flags & counted).sum())
    total = int((wrong & counted).sum()) + int((flags & counted).sum())
    return 2 * hits / total if total else float("nan")


def pooled_text(scores: NDArray[np.float32], how: str) -> NDArray[np.float64]:
    """One score per text, float64 (texts): the `max` of its cells, or `noisy_or` over them as rankings pool them."""
    pooled = highest_scores(scores) if how == "max" else text_scores(scores)
    return np.nan_to_num(pooled.astype(np.float64))


def gains(
    rounds: Sequence[Mapping[str, tuple[Mask, Scores, Mask]]],
    groups: Sequence[str],
    references: Sequence[str],
    draws: int,
    seed: int,
) -> list[dict[str, dict[str, Any]]]:
    """ΔAP of every arm against each reference, mean over rounds, with 95 % intervals: groups are drawn, the same ones for all.

    Args:
        rounds: per round and arm (wrong, scores, counted), each with texts as its first axis.
        groups: group of each text.
        references: arms that are compared with, one answer each.
        draws: bootstrap draws.
        seed: of the draws.
    """
    codes = group_codes(groups)
    drawn = group_draws(int(codes.max()) + 1, draws, seed)
    values = {
        name: np.mean([weighted_ap(*round_[name], drawn[codes]) for round_ in rounds], axis=0)
        for name in rounds[0]
    }
    return [
        {
            name: {
                "gain": float(found[0] - values[reference][0]),
                "interval": interval(found - values[reference]),
            }
            for name, found in values.items()
        }
        for reference in references
    ]


def weighted_ap(
    wrong: Mask, scores: Scores, counted: Mask, weights: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Average precision under every draw: float64 (1 + draws).

    Args:
        weights: uint8 (texts, 1 + draws): how often each draw holds each text.
    """
    used = counted & np.isfinite(scores)
    text = np.broadcast_to(np.arange(len(scores)).reshape(-1, *[1] * (scores.ndim - 1)), scores.shape)[used]
    truth, values = wrong[used], scores[used]
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
    result = np.empty(weights.shape[1])
    for draw in range(weights.shape[1]):
        weight = weights[text[order], draw].astype(np.float64)
        total, hits = np.cumsum(weight)[ends], np.cumsum(weight * truth[order])[ends]
        gained = np.diff(hits, prepend=0.0)
        result[draw] = float((gained * hits / np.maximum(total, 1)).sum() / max(hits[-1], 1))
    return result
