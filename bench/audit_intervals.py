"""Part `intervals` of `bench audit`: do intervals of annotators' quality hold who the simulated annotators truly are?

The crowds of (c); where a collection has one question, they give one answer. No text model is needed, so many crowds can
be drawn: by draws of what may be true, as the service counts, beside the consensus taken as fitted, and beside the truth itself,
which shows what the rest of the interval is worth.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_annotators import (
    ANNOTATORS,
    BETWEEN,
    OVERLAPS,
    WITHIN,
    Crowd,
    counted,
    drawn,
    held_by,
    simulated,
)
from bench.audit_corpora import Corpus, corpora
from models.audit.annotators.answers import answer_consensus
from models.audit.annotators.consensus import dawid_skene
from models.audit.annotators.posterior_answers import possible_answers
from models.audit.annotators.quality import Right, imputed, right_by, right_votes
from models.audit.annotators.votes import Answers
from models.scheme import YES
from models.training.logistic import sigmoid

KINDS = ("drawn", "as fitted", "truth known")
RIGHT = 1.7
"""Mean log-odds of giving the right answer: about .85."""


def intervals(options: argparse.Namespace) -> dict[str, Any]:
    """Coverage and mean width by collection and overlap, JSON-ready."""
    cells = []
    for corpus in corpora(options.data, options.corpora, options.texts or None):
        for overlap in OVERLAPS[1:]:
            for connected in (True, False):
                seeds = [options.seed + 100 + number for number in range(options.crowds)]
                crowds = [simulated(corpus, overlap, connected, seed) for seed in seeds]
                found = np.mean([_held(corpus, crowd, seed) for crowd, seed in zip(crowds, seeds, strict=True)], axis=0)  # fmt: skip
                told = {"corpus": corpus.name, "texts": len(corpus.texts), "overlap": overlap, "connected": connected}  # fmt: skip
                cells.append(told | dict(zip(KINDS, found.tolist(), strict=True)))
    return {"annotators": options.crowds * ANNOTATORS, "cells": cells}


def _held(corpus: Corpus, crowd: Crowd, seed: int) -> NDArray[np.float64]:
    """Share of annotators covered, and the mean width, of every kind: float64 (kinds, 2)."""
    if corpus.scheme.cells[0].option is None:
        return _of_answers(corpus, crowd, seed)
    votes = crowd.votes
    kinds = (drawn(votes), right_votes(votes, dawid_skene(votes)), counted(votes, corpus.labels == YES))
    return np.array([held_by(crowd.quality, each) for each in kinds])


def _of_answers(corpus: Corpus, crowd: Crowd, seed: int) -> NDArray[np.float64]:
    """The same where everyone gives one answer; who reads what is as in the crowd."""
    truth = corpus.labels[:, list(corpus.scheme.cells[0].positions)].argmax(axis=1)
    answers, quality = answered(crowd, truth, corpus.labels.shape[1], seed)
    shared = (answers.counts().sum(axis=1) > 1)[answers.texts].astype(np.float64)

    def right(each: NDArray[np.floating]) -> Right:
        return right_by(each[:, None], shared[:, None], answers.annotators, ANNOTATORS)

    draws = [right((answers.chosen == true[answers.texts]) * 1.0) for true in possible_answers(answers)]
    fitted = answer_consensus(answers).probability[answers.texts, answers.chosen]
    known = right((answers.chosen == truth[answers.texts]) * 1.0)
    return np.array([held_by(quality, each) for each in (imputed(draws), right(fitted), known)])


def answered(
    crowd: Crowd, truth: NDArray[np.int64], count: int, seed: int
) -> tuple[Answers, NDArray[np.float64]]:
    """Answers of a crowd's readers to what they read, and the expected share of right ones of each: float64 (annotators,).

    Everyone is right by a rate of one's own for each true answer, and wrong by shares of one's own.
    """
    rng = np.random.default_rng(seed)
    texts, who = crowd.votes.texts, crowd.votes.annotators
    odds = RIGHT + rng.normal(0, BETWEEN, (ANNOTATORS, 1)) + rng.normal(0, WITHIN, (ANNOTATORS, count))
    rates = np.asarray(sigmoid(odds))
    wrong = rng.dirichlet(np.ones(count), (ANNOTATORS, count)) * ~np.eye(count, dtype=np.bool_)
    wrong /= wrong.sum(axis=2, keepdims=True)
    confusion = np.where(np.eye(count, dtype=np.bool_), rates[:, :, None], (1 - rates)[:, :, None] * wrong)
    cumulated = np.cumsum(confusion[who, truth[texts]], axis=1)
    chosen = (rng.random(len(texts))[:, None] > cumulated[:, :-1]).sum(axis=1)
    right = rates[who, truth[texts]]
    quality = np.array([right[who == each].mean() for each in range(ANNOTATORS)])
    return Answers(texts, who, chosen.astype(np.int64), crowd.votes.text_count, ANNOTATORS, count), quality


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text."""
    lines = [
        f"intervals of quality, {found['annotators']} annotators a row: covered (mean width)",
        f"{'':36}" + "".join(f"{kind:>18}" for kind in KINDS),
    ]
    for cell in found["cells"]:
        told = "connected" if cell["connected"] else "not connected"
        figures = "".join(f"{cell[kind][0]:10.3f} ({cell[kind][1]:.3f})" for kind in KINDS)
        lines.append(f"{cell['corpus']:12}{cell['overlap']:4.0%}, {told:18}{figures}")
    return lines
