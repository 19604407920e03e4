"""The stacked reading of every option: held-out probabilities, other given options and neighbours, crossed by group.

A model per option predicts the given value from the held-out logits, the text's *other* given options, the texts beside it
and similar texts elsewhere. It is fitted around the mean of the text models' logits: what the rest adds has to be shown by
the data. Where annotators are known each has an effect of its own in the fit, and a text is read as every *other* annotator
would have answered: a habit of the one who gave a value must not excuse it. Beside it stand readings by less: without the text's other given
options, and by the mean logit alone. They say what the rest may not explain away (`models.audit.suspicion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.audit.evidence import Annotations, Evidence
from models.audit.neighbours import Similar, adjacent, group_codes, label_rates, similar_texts
from models.audit.stack_fits import Choice, Matrix, Table, read
from models.data.folds import assign_folds
from models.scheme import MISSING, NO, YES
from models.training.logistic import logit, sigmoid

Design = Literal["whole", "lean"]
"""What an option is read by beside its own evidence and the other given options: `whole` has the held-out logits of all other
options, `lean` what was given two texts away. docs/adr/0017 compares them."""

FEWEST = 5
"""Positives (and negatives) below which an option keeps its held-out probability."""
FEW = 5.0
"""Texts without a habit that a group's own are drawn to."""
CROSSING = 5
"""Parts by group that the stacked model is crossed over, or as many as there are groups."""
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Stacked:
    """What the stack makes of a run's options."""

    probabilities: NDArray[np.float32]
    """float32 (texts, options): the mean of the readings with and without the text's other given options."""
    mean: NDArray[np.float32]
    """The same read by the mean of the text models alone."""
    alone: NDArray[np.float32]
    """The same without the text's other given options."""
    effects: NDArray[np.float32]
    """Design effect of groups on what each cell is read by, of at least 1: float32 (texts, options). Three says that the
    groups bear it out like a third as many texts that speak for themselves."""
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
    others: NDArray[np.float32]
    """float32 (texts, annotators), rows sum to 1: whose answers a text is read by."""
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
    found = np.stack([evidence.probabilities] * 3 + [np.ones_like(evidence.probabilities)])

    def read_one(part: np.int32) -> tuple[set[str], set[str]]:
        return _read_part(evidence, near, voices, parts == part, design, found)

    with ThreadPoolExecutor(threads) as pool:  # numpy's work is outside the interpreter's lock
        told = list(pool.map(read_one, np.unique(parts)))
    kept: set[str] = set().union(*(each for each, _ in told))
    features: set[str] = {"logits"}.union(*(each for _, each in told))
    similar = None if near is None else label_rates(near, evidence.labels, evidence.groups)
    keys = [key for key in evidence.scheme.option_keys if key in kept]
    both, mean, alone, effects = found
    return Stacked(both, mean, alone, effects, keys, sorted(features), similar)


def _read_part(
    evidence: Evidence,
    near: Similar | None,
    voices: _Voices | None,
    held_out: NDArray[np.bool_],
    design: Design,
    found: NDArray[np.float32],
) -> tuple[set[str], set[str]]:
    """Read one part by fits on the others into `found`, float32 (4, texts, options): the fields of `Stacked` in their order.
    Options that kept the held-out probability, and names of features."""
    features = blocks(evidence, near, held_out, twice=design == "lean")
    shares = np.zeros((len(evidence.labels), 0)) if voices is None else voices.shares
    table, kept, split = Table.of(features, shares, group_codes(evidence.groups)), set(), None
    for column, key in enumerate(evidence.scheme.option_keys):
        given = evidence.labels[:, column]
        known = np.isfinite(evidence.probabilities[:, column]) & np.isin(given, (NO, YES))
        learnt, new = known & ~held_out, known & held_out
        yes = int((given[learnt] == YES).sum())
        if min(yes, int(learnt.sum()) - yes) < FEWEST:
            kept.add(key)
            continue
        choice = Choice.of(table, evidence.scheme, column, design)
        if split is None or not split.holds(learnt, new):
            split = table.split(learnt, new)  # the same one for all options, mostly
        truth = (given[split.rows] == YES).astype(np.float64)
        readings = read(choice, split, truth, None if voices is None else voices.effects)
        both = np.float32(0.5) * (readings.alone + readings.beside)
        found[3, new, column] = readings.effect
        told: list[NDArray[np.float32]] = [both, readings.mean, readings.alone]
        for place, logits in enumerate(told):
            found[place, new, column] = _read_by_others(logits, voices, new)
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
    `similar` nothing of the given values of `held_out`, bool (texts). `habit` is for learning alone (`stack_fits`).
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
    found["habit"] = _habit(evidence, mean)
    if evidence.order is not None:
        before, after = adjacent(evidence.groups, evidence.order)
        for name, rows in (("before", before), ("after", after)):
            found[f"{name}_logits"], found[f"{name}_given"] = _taken(mean, rows), _taken(given, rows)
            if twice:
                found[f"{name}_2_given"] = _taken(_taken(given, rows), rows)
    return found | {"given": given, "mean": mean}


def _habit(evidence: Evidence, mean: Matrix) -> Matrix:
    """How much more often the other texts of a text's group were given each option than their texts make likely: float64 (texts, options)."""
    known = (np.isfinite(evidence.probabilities) & np.isin(evidence.labels, (NO, YES))).astype(np.float64)
    beyond = known * ((evidence.labels == YES) - sigmoid(mean))
    codes = group_codes(evidence.groups)
    members = csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    total, counted = members @ beyond, members @ known
    return np.asarray((total[codes] - beyond) / (counted[codes] - known + FEW))


def _taken(values: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Rows of another text, zero where there is none (-1)."""
    return np.where(rows[:, None] >= 0, values[rows], 0.0)


def _read_by_others(
    logits: NDArray[np.float32], voices: _Voices | None, read: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Probability by whoever else could have answered: float32 (rows). logits: float32 (rows, voices)."""
    probabilities: NDArray[np.float32] = sigmoid(logits)
    if voices is None:
        return probabilities[:, 0]
    return np.asarray(np.einsum("rv,rv->r", probabilities, voices.others[read]))


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
    return _Voices(
        shares, (others / others.sum(axis=1, keepdims=True)).astype(np.float32), np.eye(count) - 1 / count
    )


def annotated(rows: Sequence[int], annotators: Sequence[str], values: NDArray[np.int8]) -> Annotations:
    """Annotations of named annotators, who are counted in the order of their names."""
    codes = np.unique(np.asarray(annotators, dtype=np.str_), return_inverse=True)[1]
    return Annotations(np.asarray(rows, dtype=np.int64), codes.astype(np.int64), values)
