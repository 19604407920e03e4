"""How annotators who differ are brought together: by majority, by how each errs (Dawid and Skene 1979), or with a model beside them.

Votes that agree stand under every method; the methods settle contested cells alone (docs/adr/0021). Each codebook version is
fitted by itself: another version is another instrument. Pure, no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.corpora.rules import Annotations, Consensus, Counting, consensus, counting, positions
from models.audit.annotators import answers, votes
from models.audit.annotators import consensus as people
from models.scheme import MISSING, Labels, Question, QuestionKind, Scheme

Method = Literal["majority", "dawid_skene", "model_aware"]

NAMES: Mapping[str, str] = {
    "majority": "majority",
    "dawid_skene": "Dawid–Skene (how each annotator errs)",
    "model_aware": "Dawid–Skene with a model's held-out probabilities beside the people",
}
"""The methods in words, as pages and exports name them."""
NO_RUN = "There is no finished relabel run: no held-out probability can stand beside the people, so they stand alone."
_PRIORS = {"start": people.START, "pooled_votes": people.POOLED, "own_votes": people.OWN}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out probabilities of a run."""

    run_id: str
    probabilities: NDArray[np.float32]
    """float32 (texts, options) in the scheme's column order; NaN where there is none, or none that is held out."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The consensus with how it came about."""

    consensus: Consensus
    method: Method
    parameters: dict[str, Any]
    """JSON: the method asked for, what was fitted and with what; empty for the majority."""

    @property
    def identity(self) -> str:
        """What beside the annotators' values decides the outcome; empty for the majority."""
        return "" if self.method == "majority" else f"{self.method} {self.parameters.get('run') or '-'}"


def agreed_by(
    asked: Method, scheme: Scheme, annotations: dict[str, Annotations], texts: int, held_out: HeldOut | None = None
) -> Agreed:  # fmt: skip
    """The consensus of every cell by a method.

    Args:
        asked: the method; `model_aware` without `held_out` falls back on `dawid_skene`, and says so.
        scheme: the corpus's newest scheme.
        annotations: by question key.
        texts: number of texts.
        held_out: what a model says of the texts.
    """
    found = consensus(scheme, annotations, texts)
    if asked == "majority":
        return Agreed(found, "majority", {})
    beside = held_out if asked == "model_aware" else None
    contested = _contested(scheme, found)
    values = found.values.copy()
    fits: list[dict[str, Any]] = []
    if contested.any():
        given = counting(scheme, annotations)
        fits = [
            _settle(scheme, given, codebook, contested, values, beside)
            for codebook in np.unique(given.codebooks).tolist()
        ]
    parameters: dict[str, Any] = {"asked": asked, "priors": _PRIORS, "fits": fits}
    if beside is not None:
        known = np.isfinite(beside.probabilities).any(axis=1)
        parameters |= {"run": beside.run_id, "held_out_texts": int(known.sum())}
    elif asked == "model_aware":
        parameters["fallback"] = NO_RUN
    method: Method = "dawid_skene" if beside is None else "model_aware"
    return Agreed(replace(found, values=values, ties=contested & (values == MISSING)), method, parameters)


def _contested(scheme: Scheme, found: Consensus) -> NDArray[np.bool_]:
    """bool (texts, options): annotators differ; for a choose_one question at every option of it."""
    several = np.zeros(found.values.shape, dtype=np.bool_)
    for question in scheme.questions:
        columns = positions(question)
        if question.kind is QuestionKind.CHOOSE_ONE:
            several[:, columns] = ((found.yes[:, columns] > 0).sum(axis=1) > 1)[:, None]
        else:
            several[:, columns] = (found.yes[:, columns] > 0) & (found.no[:, columns] > 0)
    return several


@dataclass(frozen=True, slots=True)
class _Version:
    """The values of one codebook version, and where what they settle is put."""

    said: votes.Votes
    """Of the texts that have any, counted anew."""
    texts: NDArray[np.int64]
    """int64: rows of these texts in the corpus."""
    model: NDArray[np.float32] | None
    contested: NDArray[np.bool_]
    """bool (texts of the corpus, options)."""
    values: Labels
    """int8 (texts of the corpus, options), to be written to."""

    def probabilities(self, columns: list[int]) -> NDArray[np.float32] | None:
        """The model's, of these texts and options."""
        return None if self.model is None else self.model[:, columns]

    def put(self, labels: Labels, voted: NDArray[np.bool_], columns: list[int]) -> None:
        """Labels int8 (texts, columns) of the contested cells; a cell without a vote in this version stays as it is."""
        block = np.ix_(self.texts, np.asarray(columns))
        self.values[block] = np.where(self.contested[block] & voted, labels, self.values[block])


def _settle(scheme: Scheme, given: Counting, codebook: int, contested: NDArray[np.bool_], values: Labels,
            beside: HeldOut | None) -> dict[str, Any]:  # fmt: skip
    """Put one codebook version's settled values into `values`; gives what was fitted."""
    rows = np.flatnonzero(given.codebooks == codebook)
    known, who = np.unique(given.annotators[rows], return_inverse=True)
    texts, place = np.unique(given.texts[rows], return_inverse=True)
    said = votes.Votes(place, who, given.values[rows], len(texts), len(known))
    model = None if beside is None else beside.probabilities[texts]
    part = _Version(said, texts, model, contested, values)
    steps: dict[str, int] = {}
    slopes: dict[str, float] = {}
    _yes_no_sets(scheme, part, steps, slopes)
    for question in scheme.questions:
        if question.kind is QuestionKind.CHOOSE_ONE:
            _choose_one(question, part, steps, slopes)
    fit: dict[str, Any] = {
        "codebook": codebook,
        "annotators": len(known),
        "texts": len(texts),
        "steps": steps,
    }
    return fit | ({} if model is None else {"model_slopes": slopes})


def _yes_no_sets(scheme: Scheme, part: _Version, steps: dict[str, int], slopes: dict[str, float]) -> None:
    sets = [question for question in scheme.questions if question.kind is QuestionKind.YES_NO_SET]
    columns = sorted(column for question in sets for column in positions(question))
    if not columns:
        return
    said = replace(part.said, values=part.said.values[:, columns])
    found = people.dawid_skene(said, part.probabilities(columns))
    yes, no = votes.counts(said)
    part.put(found.labels(), yes + no > 0, columns)
    steps["yes_no_sets"] = found.steps
    if found.model_slope is not None:
        keys = [scheme.option_keys[column] for column in columns]
        slopes |= dict(zip(keys, found.model_slope.round(4).tolist(), strict=True))


def _choose_one(question: Question, part: _Version, steps: dict[str, int], slopes: dict[str, float]) -> None:
    columns = positions(question)
    given = votes.chosen_answers(part.said, columns)
    if not len(given.texts):
        return
    found = answers.answer_consensus(given, part.probabilities(columns))
    chosen = found.chosen()[:, None]
    labels = np.where(chosen < 0, MISSING, np.arange(len(columns)) == chosen).astype(np.int8)
    part.put(labels, given.counts().sum(axis=1)[:, None] > 0, columns)
    steps[question.key] = found.steps
    if found.model_slope is not None:
        slopes[question.key] = round(found.model_slope, 4)
