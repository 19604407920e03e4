"""Annotators' values as plain arrays, one row per text and annotator, and the consensus by majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.scheme import MISSING, NO, YES, Labels


@dataclass(frozen=True, slots=True)
class Votes:
    """Values that count: one row per (text, annotator), of one codebook version per cell; reviews never among them."""

    texts: NDArray[np.int64]
    """int64 (rows,): row of the text."""
    annotators: NDArray[np.int64]
    """int64 (rows,): annotators counted from 0."""
    values: NDArray[np.int8]
    """int8 (rows, options): YES and NO are votes; anything else (missing, uncertain, not applicable) is none."""
    text_count: int
    annotator_count: int

    def __post_init__(self) -> None:
        """Refuse two rows of one annotator for one text.

        Raises:
            ValueError: an annotator votes twice on a text.
        """
        pairs = self.texts * max(1, self.annotator_count) + self.annotators
        if len(np.unique(pairs)) < len(pairs):
            raise ValueError("an annotator has two rows for one text; keep the value in force")

    @property
    def options(self) -> int:
        """Number of options."""
        return int(self.values.shape[1])

    @property
    def yes(self) -> NDArray[np.float64]:
        """float64 (rows, options), 1 where the vote is yes."""
        return np.asarray(self.values == YES, dtype=np.float64)

    @property
    def no(self) -> NDArray[np.float64]:
        """float64 (rows, options), 1 where the vote is no."""
        return np.asarray(self.values == NO, dtype=np.float64)

    def by_text(self) -> csr_matrix:
        """Sums rows by text: (texts, rows)."""
        rows = np.arange(len(self.texts))
        return csr_matrix((np.ones(len(rows)), (self.texts, rows)), shape=(self.text_count, len(rows)))

    def by_annotator(self) -> csr_matrix:
        """Sums rows by annotator: (annotators, rows)."""
        rows = np.arange(len(self.texts))
        return csr_matrix((np.ones(len(rows)), (self.annotators, rows)), shape=(self.annotator_count, len(rows)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer out of several by text and annotator: a yes_no option (yes 0, no 1) or a choose_one question."""

    texts: NDArray[np.int64]
    """int64 (rows,): row of the text."""
    annotators: NDArray[np.int64]
    """int64 (rows,): annotators counted from 0; nobody twice for one text."""
    chosen: NDArray[np.int64]
    """int64 (rows,): the answer, counted from 0."""
    text_count: int
    annotator_count: int
    answer_count: int

    def counts(self) -> NDArray[np.int64]:
        """Votes of every text for every answer: int64 (texts, answers)."""
        found = np.zeros((self.text_count, self.answer_count), dtype=np.int64)
        np.add.at(found, (self.texts, self.chosen), 1)
        return found


def yes_no_answers(votes: Votes, option: int) -> Answers:
    """The votes on one option."""
    values = votes.values[:, option]
    cast = np.isin(values, (YES, NO))
    chosen = (values[cast] == NO).astype(np.int64)
    return Answers(
        votes.texts[cast], votes.annotators[cast], chosen, votes.text_count, votes.annotator_count, 2
    )


def chosen_answers(votes: Votes, columns: Sequence[int]) -> Answers:
    """The votes on a choose_one question, whose options stand in these columns: rows with exactly one yes among them."""
    said = votes.values[:, list(columns)] == YES
    cast = said.sum(axis=1) == 1
    return Answers(
        votes.texts[cast],
        votes.annotators[cast],
        np.argmax(said[cast], axis=1).astype(np.int64),
        votes.text_count,
        votes.annotator_count,
        len(columns),
    )


def counts(votes: Votes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Yes and no votes of every cell: int64 (texts, options) each."""
    sums = votes.by_text()
    return (sums @ votes.yes).astype(np.int64), (sums @ votes.no).astype(np.int64)


def majority(votes: Votes) -> Labels:
    """Consensus by majority: int8 (texts, options), MISSING without votes and on a tie."""
    yes, no = counts(votes)
    return np.select([yes > no, no > yes], [YES, NO], MISSING).astype(np.int8)
