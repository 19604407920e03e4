"""Who gave which values to a run's texts, as `models.audit` takes it. Reviews are no annotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.corpora.annotations import load_annotations
from app.corpora.codebook import Codebook
from app.corpora.rules import Annotations as Given
from app.corpora.rules import in_force, positions
from app.db.session import AnySession
from models.audit.evidence import Annotations
from models.scheme import MISSING, NO, YES, QuestionKind


def voices(
    session: AnySession, corpus_id: str, codebook: Codebook, text_ids: NDArray[np.int64], columns: list[int]
) -> Annotations | None:
    """The values that count of every annotator, in some columns of the codebook; None where nobody gave any.

    Args:
        text_ids: int64 (texts): rows of the result.
        columns: option positions in the order wanted.
    """
    given = load_annotations(session, corpus_id, codebook, text_ids)
    pieces = [
        piece
        for question in codebook.scheme.questions
        if question.key in given
        for piece in _pieces(given[question.key], positions(question), question.kind)
    ]
    if not pieces:
        return None
    texts, people, places, values = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    names, who = np.unique(people, return_inverse=True)
    keys, rows = np.unique(texts * len(names) + who, return_inverse=True)
    table = np.full((len(keys), len(codebook.scheme.options)), MISSING, dtype=np.int8)
    table[rows, places] = values
    table = table[:, columns]
    voted = (table != MISSING).any(axis=1)
    if not voted.any():
        return None
    return Annotations(keys[voted] // len(names), keys[voted] % len(names), table[voted])


def _pieces(
    given: Given, columns: list[int], kind: QuestionKind
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]]:
    """(texts, annotators, columns, values) of each option's votes."""
    found = []
    width = given.values.shape[1]
    for place, column in enumerate(columns[:width]):
        present = (given.values != MISSING).any(axis=1) if kind is QuestionKind.CHOOSE_ONE else given.values[:, place] != MISSING  # fmt: skip
        rows = in_force(given, present)
        values = given.values[rows, place]
        if kind is QuestionKind.CHOOSE_ONE:
            answered = (given.values[rows] == YES).sum(axis=1) == 1
            rows, values = rows[answered], np.where(values[answered] == YES, YES, NO).astype(np.int8)
        else:
            voted = np.isin(values, (NO, YES))
            rows, values = rows[voted], values[voted]
        found.append((given.texts[rows], given.annotators[rows], np.full(len(rows), column), values))
    return found
