"""The stacked reading of every option: held-out probabilities, other given options and neighbours, crossed by group.

A model per option predicts the given value from the held-out logits, the text's *other* given options, the texts beside it
and similar texts elsewhere. It is fitted around the mean of the text models' logits: what the rest adds has to be shown by
the data. Where annotators are known each has an effect of its own in the fit, and a text is read as every *other* annotator
would have answered: a habit of the one who gave a value must not excuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.audit.evidence import Annotations, Evidence
from models.audit.neighbours import Similar, adjacent, label_rates, similar_texts
from models.data.folds import assign_folds
from models.scheme import MISSING, NO, YES, Scheme
from models.training.logistic import fit_logistic, logit, sigmoid

Matrix = NDArray[np.float64]
Design = Literal["whole", "lean"]
"""What an option is read by beside its own evidence and the other given options: `whole` has the held-out logits of all other
options, `lean` what was given two texts away. docs/adr/0017 compares them."""

FEWEST = 5
"""Positives (and negatives) below which an option keeps its held-out probability."""
CROSSING = 5
"""Parts by group that the stacked model is crossed over, or as many as there are groups."""
PRECISIONS = {"mean": 60.0, "own": 120.0, "given": 30.0, "rest": 240.0}
"""Prior precision of each coefficient, for features of unit spread: around 1 for the text models' mean logit, 0 for all others.
`own` is the option's own evidence and neighbours, `given` the text's other given options, `rest` the other options' logits."""
EFFECT_PRECISION = 0.5
"""Prior precision of an annotator's effect on an option's logit."""
FIRST_ROWS = 4_000
"""Rows that a fit on many rows begins with."""
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Stacked:
    """What the stack makes of a run's options."""

    probabilities: NDArray[np.float32]
    """float32 (texts, options)."""
    kept: list[str]
    """Options that kept the held-out probability, in all parts or some."""
    features: list[str]
    similar: NDArray[np.float32] | None
    """Rates of yes among similar texts, float32 (texts, options), where there are embeddings."""


@dataclass(frozen=True, slots=True)
class _Voices:
    """Who gave the values of each text, and who else could have."""

    shares: Matrix
    """float64 (texts, annotators): share of each annotator in the text's values, around the mean; 0 where unknown."""
    others: Matrix
    """float64 (texts, annotators), rows sum to 1: whose answers a text is read by."""
    effects: Matrix
    """float64 (annotators, annotators): what `shares` would be were each one alone."""


def stack(evidence: Evidence, seed: int, design: Design = "whole", threads: int = 1) -> Stacked:
    """Stacked probabilities of every option by one of the designs. The groups must be at least two. threads: parts read at once.

    The probability that judges a cell is bit-equal whatever value the cell was given, the evidence's held-out
    probabilities being what they are: the values of a part are in nothing that its rows are read with, neither among
    the similar texts and the prevalence of the rows that are learnt from, nor in the scale of the features, the start
    of the fit, or the count that decides whether an option is learnt at all.
    """
    parts = assign_folds(evidence.groups, min(CROSSING, len(set(evidence.groups))), seed)
    near = _near(evidence, seed)
    voices = _voices(evidence.annotations, len(evidence.labels))
    found = evidence.probabilities.copy()

    def read(part: np.int32) -> tuple[set[str], set[str]]:
        return _read_part(evidence, near, voices, parts == part, design, found)

    with ThreadPoolExecutor(threads) as pool:  # numpy's work is outside the interpreter's lock
        told = list(pool.map(read, np.unique(parts)))
    kept: set[str] = set().union(*(each for each, _ in told))
    features: set[str] = {"logits"}.union(*(each for _, each in told))
    similar = None if near is None else label_rates(near, evidence.labels, evidence.groups)
    return Stacked(
        found, [key for key in evidence.scheme.option_keys if key in kept], sorted(features), similar
    )


def _read_part(
    evidence: Evidence,
    near: Similar | None,
    voices: _Voices | None,
    held_out: NDArray[np.bool_],
    design: Design,
    found: NDArray[np.float32],
) -> tuple[set[str], set[str]]:
    """Read one part by fits on the others into `found`; options that kept the held-out probability, and names of features."""
    features = blocks(evidence, near, held_out, twice=design == "lean")
    kept = set()
    for column, key in enumerate(evidence.scheme.option_keys):
        known = np.isfinite(evidence.probabilities[:, column]) & np.isin(
            evidence.labels[:, column], (NO, YES)
        )
        learnt, read = known & ~held_out, known & held_out
        truth = (evidence.labels[learnt, column] == YES).astype(np.float64)
        if min(truth.sum(), (1 - truth).sum()) < FEWEST:
            kept.add(key)
            continue
        designs = _designs(evidence.scheme, features, column, design)
        logits = np.mean([_held_out(each, truth, learnt, read, voices) for each in designs], axis=0)
        found[read, column] = _read_by_others(logits, voices, read)
    return kept, set(features)


def _near(evidence: Evidence, seed: int) -> Similar | None:
    if evidence.similar is not None or evidence.embeddings is None:
        return evidence.similar
    return similar_texts(evidence.embeddings, evidence.labels, evidence.groups, evidence.signatures, seed)


def blocks(
    evidence: Evidence, near: Similar | None, held_out: NDArray[np.bool_], twice: bool = True
) -> dict[str, Matrix]:
    """Blocks of evidence by name, each float64 (texts, options); `twice` adds what was given two texts away.

    `mean` is the mean logit of all text models. No block but `given` holds anything of a text's own given values, and
    `similar` nothing of the given values of `held_out`, bool (texts).
    """
    logits = np.nan_to_num(logit(evidence.probabilities.astype(np.float64), _LEAST))
    given = np.where(evidence.labels == MISSING, 0.0, np.where(evidence.labels == YES, 1.0, -1.0))
    found = {"logits": logits}
    for name, values in (("wide", evidence.wide_logits), ("probe", evidence.probe_logits)):
        if values is not None:
            found[name] = np.nan_to_num(np.clip(values.astype(np.float64), -10, 10))
    if near is not None:
        rates = label_rates(near, evidence.labels, evidence.groups, held_out)
        found["similar"] = logit(rates.astype(np.float64), 0.01)
    mean = np.mean(list(found.values()), axis=0)
    if evidence.order is not None:
        before, after = adjacent(evidence.groups, evidence.order)
        for name, rows in (("before", before), ("after", after)):
            found[f"{name}_logits"], found[f"{name}_given"] = _taken(mean, rows), _taken(given, rows)
            if twice:
                found[f"{name}_2_given"] = _taken(_taken(given, rows), rows)
    return found | {"given": given, "mean": mean}


def _taken(values: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Rows of another text, zero where there is none (-1)."""
    return np.where(rows[:, None] >= 0, values[rows], 0.0)


def _designs(
    scheme: Scheme, features: dict[str, Matrix], column: int, design: Design
) -> list[tuple[Matrix, Matrix]]:
    """Two readings of an option, one without and one with the text's other given options, with their prior precisions.

    Both, because an annotator who swapped two options made both cells agree with each other.
    """
    passed = {"given", "mean"}
    if not {"wide", "probe", "similar"} & features.keys():
        passed.add("logits")  # the mean is nothing else, and twice the same only weakens the prior
    own = [block[:, [column]] for name, block in features.items() if name not in passed]
    alone = [("mean", features["mean"][:, [column]]), *(("own", block) for block in own)]
    if design == "whole":
        alone.append(("rest", np.delete(features["logits"], column, axis=1)))
    others = other_options(scheme, column)
    found = [alone, [*alone, ("given", features["given"][:, others])]] if others else [alone]
    return [_joined(each) for each in found]


def _joined(parts: Sequence[tuple[str, Matrix]]) -> tuple[Matrix, Matrix]:
    """Features, float64 (texts, features), and the prior precision of each, float64 (features)."""
    precision = np.concatenate([np.full(block.shape[1], PRECISIONS[kind]) for kind, block in parts])
    return np.hstack([block for _, block in parts]), precision


def other_options(scheme: Scheme, column: int) -> list[int]:
    """Options whose given values may speak: not the option itself, nor the rest of its choose_one question."""
    barred = {column}
    for cell in scheme.cells:
        if column in cell.positions:
            barred.update(cell.positions)
    return [other for other in range(len(scheme.options)) if other not in barred]


def _held_out(
    design: tuple[Matrix, Matrix],
    truth: Matrix,
    learnt: NDArray[np.bool_],
    read: NDArray[np.bool_],
    voices: _Voices | None,
) -> Matrix:
    """Logits of the rows to read by a fit on those to learn from: float64 (rows, voices), one column without annotators.

    Nothing but the rows to learn from sets the scale, and the fit begins at the prior: another part's optimum knows the
    values of this part's rows, and a search that stops merely near its optimum would carry them over.
    """
    features, given_precision = design
    centre, spread = features[learnt].mean(axis=0), features[learnt].std(axis=0) + 1e-6
    centre[0], spread[0] = 0.0, 1.0  # the mean logit keeps its meaning
    scaled = np.column_stack([(features - centre) / spread, np.ones(len(features))])
    width = scaled.shape[1]
    shares = np.zeros((len(features), 0)) if voices is None else voices.shares
    effects = np.full(shares.shape[1], EFFECT_PRECISION)
    prior, precision = np.zeros(width + len(effects)), np.concatenate([given_precision, [1.0], effects])
    prior[0] = 1.0
    whole = np.hstack([scaled[learnt], shares[learnt]]).astype(np.float32)
    found = _fitted(whole, truth, prior, precision)
    logits: Matrix = (scaled[read] @ found[:width])[:, None]
    return logits if voices is None else logits + voices.effects @ found[width:]


def _fitted(
    design: NDArray[np.float32], truth: Matrix, prior: Matrix, precision: Matrix
) -> NDArray[np.float64]:
    """`fit_logistic`, begun at the fit on every so-manyth row: near the optimum two or three steps over all rows remain."""
    apart = len(truth) // FIRST_ROWS
    start = None
    if apart > 1:
        start = fit_logistic(design[::apart], truth[::apart], prior, precision / apart)
    return fit_logistic(design, truth, prior, precision, start=start)


def _read_by_others(logits: Matrix, voices: _Voices | None, read: NDArray[np.bool_]) -> Matrix:
    """Probability by whoever else could have answered: float64 (rows)."""
    probabilities: Matrix = sigmoid(logits)
    if voices is None:
        return probabilities[:, 0]
    return np.asarray((probabilities * voices.others[read]).sum(axis=1))


def _voices(annotations: Annotations | None, texts: int) -> _Voices | None:
    """None without annotators, or with a single one: there is nobody else to compare with."""
    if annotations is None or len(np.unique(annotations.annotators)) < 2:
        return None
    count = int(annotations.annotators.max()) + 1
    gave = np.zeros((texts, count))
    answered = (annotations.values != MISSING).any(axis=1)
    gave[annotations.texts[answered], annotations.annotators[answered]] = 1.0
    weight = np.sqrt(gave.sum(axis=0))
    others = (1 - gave) * weight
    others[others.sum(axis=1) == 0] = weight
    total = gave.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, gave / np.maximum(total, 1) - 1 / count, 0.0)
    return _Voices(shares, others / others.sum(axis=1, keepdims=True), np.eye(count) - 1 / count)


def annotated(rows: Sequence[int], annotators: Sequence[str], values: NDArray[np.int8]) -> Annotations:
    """Annotations of named annotators, who are counted in the order of their names."""
    codes = np.unique(np.asarray(annotators, dtype=np.str_), return_inverse=True)[1]
    return Annotations(np.asarray(rows, dtype=np.int64), codes.astype(np.int64), values)
