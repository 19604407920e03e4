"""Figures of scored corpora per cell and per text, and what fixing the most suspicious cells does for a model: shared by all parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.audit_arms import CLEANLAB, Arm
from bench.audit_measures import flag_f1, gains, ranked
from bench.audit_text_models import Reader
from models.scheme import MISSING, Labels, Scheme
from models.training.calibration import cross_fit
from models.training.logistic import logit
from models.training.metrics import evaluate

Mask = NDArray[np.bool_]
Level = Literal["cells", "texts"]
Triple = tuple[Mask, NDArray[np.floating], Mask]
COLUMNS = ("ap", "auroc", "precision@100", "recall@100", "precision@t", "flag_f1")


@dataclass(frozen=True, slots=True)
class Scored:
    """Given values, what is wrong with them, and every arm's scores."""

    wrong: Mask
    """bool (texts, cells)."""
    agreed: Mask
    """bool (texts, cells): cells whose truth is known; the rest is contested."""
    arms: dict[str, Arm]
    counted: Mask
    """bool (texts): what figures are read off."""
    development: Mask
    """bool (texts): what cleanlab's scorer is chosen on."""


def level(
    rounds: Sequence[Scored],
    groups: Sequence[str],
    name: Level,
    draws: int,
    seed: int,
    only: Collection[str] | None = None,
    chosen: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Figures of one level: means over rounds, and ΔAP against cleanlab on either kind of probabilities.

    `against` is by `chosen`; `against_best` by cleanlab's best scorer and pooling for these very errors.

    Args:
        rounds: corpora scored alike, with the same texts.
        groups: of each text; the bootstrap draws them.
        name: `cells` or `texts`.
        draws: of the bootstrap.
        seed: of the draws.
        only: the arms of ours that are compared; None: all.
        chosen: cleanlab's scorer and pooling by kind of probabilities; None: the best on the development texts.
    """
    figures = {
        arm: _mean([_figures(r, r.arms[arm], name, r.counted) for r in rounds]) for arm in rounds[0].arms
    }
    best = {source: _best(rounds, source, name) for source in CLEANLAB}
    chosen = best if chosen is None else chosen
    referred = [chosen[source] for source in CLEANLAB] + [best[source] for source in CLEANLAB]
    compared = [
        {
            arm: _triple(r, found, name, r.counted)
            for arm, found in r.arms.items()
            if arm in referred or (not arm.startswith("cleanlab") if only is None else arm in only)
        }
        for r in rounds
    ]
    against = gains(compared, groups, referred, draws, seed)
    return {
        "arms": figures,
        "best": best,
        "chosen": dict(chosen),
        "against": dict(zip(CLEANLAB, against[: len(CLEANLAB)], strict=True)),
        "against_best": dict(zip(CLEANLAB, against[len(CLEANLAB) :], strict=True)),
    }


def average_precision(r: Scored, arm: Arm, name: Level) -> float:
    """Of one arm on the development texts."""
    return _figures(r, arm, name, r.development)["ap"]


def _best(rounds: Sequence[Scored], source: str, name: Level) -> str:
    """cleanlab's scorer and pooling with the highest mean AP on the development texts."""
    names = [arm for arm in rounds[0].arms if arm.startswith(source)]
    found = {arm: np.mean([average_precision(r, r.arms[arm], name) for r in rounds]) for arm in names}
    return max(names, key=lambda arm: found[arm])


def _triple(r: Scored, arm: Arm, name: Level, rows: Mask) -> Triple:
    """(wrong, scores, counted) of one arm at a level."""
    if name == "cells":
        return r.wrong, arm.cells, r.agreed & rows[:, None]
    wrong = r.wrong.any(axis=1)
    return wrong, arm.texts, rows & (wrong | r.agreed.all(axis=1))


def _figures(r: Scored, arm: Arm, name: Level, rows: Mask) -> dict[str, float]:
    wrong, scores, counted = _triple(r, arm, name, rows)
    flags = arm.flags if name == "cells" else arm.flagged_texts
    return ranked(wrong, scores, counted) | {"flag_f1": flag_f1(wrong, flags, counted)}


def _mean(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([found[name] for found in rounds])) for name in rounds[0]}


def fixed(
    reader: Reader,
    r: Scored,
    given: Labels,
    truth: Labels,
    scheme: Scheme,
    folds: NDArray[np.int32],
    seed: int,
    chosen: str | None = None,
) -> dict[str, float]:
    """Macro-F1 of TF-IDF on untouched truth, learnt from given values of which as many cells as are wrong were looked up.

    Args:
        reader: of the texts.
        r: the scores that say what is looked up.
        given: int8 (texts, options).
        truth: int8 (texts, options), MISSING where it is not known; nothing is looked up there.
        scheme: names the cells.
        folds: held out in learning: the truth that is read is of texts that no model saw.
        seed: of the random cells.
        chosen: cleanlab's scorer on text probabilities; None: the best on the development texts.
    """
    usable = r.agreed & r.counted[:, None]
    count = int((r.wrong & usable).sum())
    chosen = {
        "random": np.random.default_rng(seed).random(r.wrong.shape),
        "cleanlab, text": r.arms[chosen or _best([r], CLEANLAB[0], "cells")].cells,
        "remand": r.arms["remand, noisy_or"].cells,
    }
    if "remand with annotators, noisy_or" in r.arms:
        chosen["remand with annotators"] = r.arms["remand with annotators, noisy_or"].cells
    looked_up: dict[str, Mask] = {"nothing": np.zeros_like(usable)}
    for name, scores in chosen.items():
        order = np.argsort(np.where(usable, -scores, np.inf), axis=None, kind="stable")[:count]
        looked_up[name] = np.zeros_like(usable)
        looked_up[name].flat[order] = True
    looked_up["everything"] = usable
    return {name: _macro_f1(reader, _corrected(given, truth, cells, scheme), truth, scheme, folds, r.counted) for name, cells in looked_up.items()}  # fmt: skip


def _corrected(given: Labels, truth: Labels, cells: Mask, scheme: Scheme) -> Labels:
    result = given.copy()
    for place, cell in enumerate(scheme.cells):
        rows = np.flatnonzero(cells[:, place])
        result[np.ix_(rows, cell.positions)] = truth[np.ix_(rows, cell.positions)]
    return np.where(result == MISSING, given, result).astype(np.int8)


def _macro_f1(
    reader: Reader, labels: Labels, truth: Labels, scheme: Scheme, folds: NDArray[np.int32], rows: Mask
) -> float:
    logits = logit(reader.probabilities("words", labels)).astype(np.float32)
    found = cross_fit(logits, labels, folds, scheme)
    return float(evaluate(truth[rows], found.probabilities[rows], found.decisions[rows], scheme).macro["f1"])


def as_table(found: dict[str, Any], every: bool = False) -> list[str]:
    """One level as lines; of cleanlab's arms the best ones alone, unless `every`."""
    shown = set(found["best"].values())
    lines = [f"{'':46}" + "".join(f"{column:>15}" for column in COLUMNS)]
    for arm, figures in found["arms"].items():
        if every or arm in shown or not arm.startswith("cleanlab"):
            lines.append(f"{arm:46}" + "".join(f"{figures[column]:15.3f}" for column in COLUMNS))
    for source, compared in found["against"].items():
        lines.append(f"ΔAP against {found['best'][source]}")
        for arm, gain in compared.items():
            low, high = gain["interval"] or (float("nan"), float("nan"))
            lines.append(f"  {arm:44}{gain['gain']:+.3f} ({low:+.3f} to {high:+.3f})")
    return lines
