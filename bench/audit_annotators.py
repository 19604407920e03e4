"""Part (c) of `bench audit`: simulated annotators with known confusions on ECHR. Whose consensus is right, whose intervals hold?

Eight annotators at two sites; whole documents go to a first reader, and a share of the texts to two more. Connected: those come
from both sites; else from the first reader's own, so that nobody links the sites. The text model (TF-IDF) learns from the majority.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from cleanlab.multiannotator import get_label_quality_multiannotator
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from bench.audit_arms import Scores
from bench.audit_corpora import Corpus, corpora
from bench.audit_measures import pooled_text, ranked
from bench.audit_text_models import FOLDS, Reader
from models.audit.annotators.consensus import Consensus, dawid_skene
from models.audit.annotators.posterior import possible_truths
from models.audit.annotators.quality import Right, hierarchy, imputed, right_by
from models.audit.annotators.votes import Votes, counts, majority
from models.audit.evidence import Annotations, Evidence
from models.audit.suspicion import score
from models.data.folds import assign_folds
from models.scheme import MISSING, NO, YES, Labels
from models.training.calibration import cross_fit
from models.training.logistic import logit, sigmoid

Matrix = NDArray[np.float64]
ANNOTATORS, SITES, FURTHER = 8, 2, 2
OVERLAPS = (0.0, 0.05, 0.2, 1.0)
SENSITIVITY, SPECIFICITY = 1.4, 3.5
"""Mean log-odds of giving a yes where it is due, and of leaving it out where it is not: about .8 and .97."""
BETWEEN, WITHIN = 0.7, 0.5
"""Spread of log-odds between annotators, and between one's options."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Simulated votes and who the annotators truly are."""

    votes: Votes
    rates: NDArray[np.float64]
    """float64 (2, annotators, options): sensitivity and specificity."""
    quality: NDArray[np.float64]
    """float64 (annotators,): expected share of right values over the texts each one read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method says of every cell."""

    labels: Labels
    """int8 (texts, options): its consensus."""
    suspicion: Scores
    """float32 (texts, options): that the majority's value is wrong."""


def simulated(corpus: Corpus, overlap: float, connected: bool, seed: int) -> Crowd:
    """Votes of everyone on what they read."""
    rng = np.random.default_rng(seed)
    names, codes = np.unique(np.asarray(corpus.documents), return_inverse=True)
    first = rng.permutation(np.arange(len(names)) % ANNOTATORS)[codes]
    rows, who = [np.arange(len(codes))], [first]
    again = np.flatnonzero(rng.random(len(codes)) < overlap)
    draws = rng.random((len(again), ANNOTATORS))
    away = np.arange(ANNOTATORS)[None, :] % SITES != first[again, None] % SITES
    draws[np.arange(len(again)), first[again]] = 2.0
    draws = draws if connected else draws + 1.0 * away
    for reader in np.argsort(draws, axis=1)[:, :FURTHER].T:
        rows.append(again)
        who.append(reader)
    texts, annotators = np.concatenate(rows), np.concatenate(who)
    means = np.array([SENSITIVITY, SPECIFICITY])[:, None, None] + rng.normal(0, BETWEEN, (2, ANNOTATORS, 1))
    rates = np.asarray(sigmoid(means + rng.normal(0, WITHIN, (2, ANNOTATORS, corpus.labels.shape[1]))))
    truth = corpus.labels[texts] == YES
    right = np.where(truth, rates[0, annotators], rates[1, annotators])
    values = np.where((rng.random(truth.shape) < right) == truth, YES, NO).astype(np.int8)
    quality = np.array([right[annotators == each].mean() for each in range(ANNOTATORS)])
    votes = Votes(texts.astype(np.int64), annotators.astype(np.int64), values, len(codes), ANNOTATORS)
    return Crowd(votes, rates, quality)


def annotators(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of the part, JSON-ready."""
    corpus = corpora(options.data, ["echr"], options.texts or None)[0]
    folds = assign_folds(corpus.documents, FOLDS, options.seed)
    reader = Reader(corpus.texts, folds)
    found = []
    for overlap in OVERLAPS:
        for connected in (True, False) if overlap else (False,):
            crowds = [simulated(corpus, overlap, connected, seed) for seed in range(options.crowds)]
            figures = [_figures(corpus, crowd, reader, folds) for crowd in crowds]
            held = np.mean([held_by(crowd.quality, drawn(crowd.votes)) for crowd in crowds], axis=0) if overlap else ()  # fmt: skip
            found.append({"overlap": overlap, "connected": connected, "methods": _mean(figures), "quality": list(held)})  # fmt: skip
    return {"corpus": corpus.name, "texts": len(corpus.texts), "crowds": options.crowds, "cells": found}


def _figures(
    corpus: Corpus, crowd: Crowd, reader: Reader, folds: NDArray[np.int32]
) -> dict[str, dict[str, float]]:
    given = majority(crowd.votes)
    read = logit(reader.probabilities("words", given)).astype(np.float32)
    probabilities = cross_fit(read, given, folds, corpus.scheme).probabilities
    wrong = given != corpus.labels
    everything = np.ones_like(wrong)
    result = {}
    for name, method in METHODS.items():
        if name == "CROWDLAB" and len(crowd.votes.texts) == len(given):
            continue  # cleanlab refuses where no text has two votes
        answer = method(corpus, crowd, given, probabilities)
        cells = ranked(wrong, answer.suspicion, everything)
        texts = ranked(wrong.any(axis=1), pooled_text(answer.suspicion, "noisy_or"), everything[:, 0])
        result[name] = {
            "accuracy": float((answer.labels == corpus.labels).mean()),
            "macro_f1": float(np.mean([f1_score(t, s, zero_division=0.0) for t, s in zip(corpus.labels.T, answer.labels.T == YES, strict=True)])),
            "ap_cells": cells["ap"],
            "ap_texts": texts["ap"],
            "precision@100": cells["precision@100"],
        }  # fmt: skip
    return result


def drawn(votes: Votes) -> Right:
    """Right votes of every annotator over draws of what may be true, as the service counts them."""
    return imputed([counted(votes, truth) for truth in possible_truths(votes)])


def counted(votes: Votes, truth: NDArray[np.bool_]) -> Right:
    """Right votes of every annotator where two or more voted. truth: bool (texts, options)."""
    yes, no = counts(votes)
    shared = (yes + no > 1)[votes.texts].astype(np.float64)
    each = ((votes.values == YES) == truth[votes.texts]).astype(np.float64)
    return right_by(each, shared, votes.annotators, votes.annotator_count)


def held_by(quality: Matrix, right: Right) -> tuple[float, float]:
    """Share of annotators whose true quality, float64 (annotators,), lies in its interval, and the intervals' mean width."""
    found, _ = hierarchy(right, np.arange(ANNOTATORS) % SITES)
    inside = [each.low <= true <= each.high for each, true in zip(found, quality, strict=True)]
    return float(np.mean(inside)), float(np.mean([each.high - each.low for each in found]))


def _majority(corpus: Corpus, crowd: Crowd, given: Labels, probabilities: NDArray[np.float32]) -> Answer:  # noqa: ARG001
    odd = (crowd.votes.by_text() @ (crowd.votes.values != given[crowd.votes.texts])).astype(np.float32)
    return Answer(given, odd / 3)


def _dawid_skene(corpus: Corpus, crowd: Crowd, given: Labels, probabilities: NDArray[np.float32]) -> Answer:  # noqa: ARG001
    return _answer(dawid_skene(crowd.votes), given)


def _with_model(corpus: Corpus, crowd: Crowd, given: Labels, probabilities: NDArray[np.float32]) -> Answer:  # noqa: ARG001
    return _answer(dawid_skene(crowd.votes, probabilities), given)


def _crowdlab(corpus: Corpus, crowd: Crowd, given: Labels, probabilities: NDArray[np.float32]) -> Answer:  # noqa: ARG001
    """cleanlab's, option by option; its best-quality consensus, and the quality of the majority's values."""
    labels, suspicion = given.copy(), np.zeros(given.shape, dtype=np.float32)
    votes = crowd.votes
    for option in range(given.shape[1]):
        table = np.full((votes.text_count, votes.annotator_count), np.nan)
        table[votes.texts, votes.annotators] = votes.values[:, option]
        yes = np.clip(probabilities[:, option].astype(np.float64), 1e-6, 1 - 1e-6)
        both = get_label_quality_multiannotator(
            table, np.column_stack([1 - yes, yes]), consensus_method=["best_quality", "majority_vote"],
            return_detailed_quality=False, return_annotator_stats=False, verbose=False,
        )  # fmt: skip
        found = both["label_quality"]
        labels[:, option] = found["consensus_label"].to_numpy()
        quality = found["consensus_quality_score"].to_numpy()
        # The quality is of CROWDLAB's own consensus; of two values the other one has the rest.
        suspicion[:, option] = np.where(labels[:, option] == given[:, option], 1 - quality, quality)
    return Answer(labels, suspicion)


def _scored(corpus: Corpus, crowd: Crowd, given: Labels, probabilities: NDArray[np.float32]) -> Answer:
    """The stack with annotators: what the audit's queue is sorted by."""
    votes = crowd.votes
    annotations = Annotations(votes.texts, votes.annotators, votes.values)
    evidence = Evidence(probabilities, given, corpus.scheme, corpus.documents, corpus.order, annotations=annotations)  # fmt: skip
    suspicion = score(evidence).scores
    turned = np.where(suspicion > 0.5, 1 - given, given).astype(np.int8)
    return Answer(turned, suspicion)


METHODS: dict[str, Callable[[Corpus, Crowd, Labels, NDArray[np.float32]], Answer]] = {
    "majority": _majority,
    "Dawid-Skene": _dawid_skene,
    "CROWDLAB": _crowdlab,
    "remand consensus": _with_model,
    "remand suspicion": _scored,
}


def _answer(found: Consensus, given: Labels) -> Answer:
    labels = found.labels()
    labels = np.where(labels == MISSING, given, labels).astype(np.int8)
    yes = np.nan_to_num(found.probability, nan=0.5)
    return Answer(labels, np.where(given == YES, 1 - yes, yes).astype(np.float32))


def _mean(figures: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: float(np.mean([each[name][key] for each in figures])) for key in figures[0][name]}
        for name in figures[0]
    }


COLUMNS = ("accuracy", "macro_f1", "ap_cells", "ap_texts", "precision@100")


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text."""
    lines = [
        f"(c) simulated annotators, {found['corpus']}, {found['texts']} texts, mean of {found['crowds']} crowds"
    ]
    for entry in found["cells"]:
        told = "connected" if entry["connected"] else "not connected"
        lines += ["", f"overlap {entry['overlap']:.0%}, {told}" + "".join(f"{c:>15}" for c in COLUMNS)]
        lines += list(_rows(entry["methods"]))
        if entry["quality"]:
            lines.append("intervals of quality hold {:.3f}, mean width {:.3f}".format(*entry["quality"]))
    return lines


def _rows(methods: dict[str, dict[str, float]]) -> Iterator[str]:
    for name, figures in methods.items():
        yield f"{name:30}" + "".join(f"{figures[column]:15.4f}" for column in COLUMNS)
