"""What a reviewer sees after the vote: every annotator's value, the model's probabilities, the values of the text's other cells, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.engine import Row

from app.blobs import BlobStore
from app.corpora.annotations import load_annotations
from app.corpora.rules import consensus, overridden
from app.corpora.snapshots import frozen_values
from app.db.session import AnySession
from app.review.cells import CellView
from app.review.queries import settled_cells
from app.settings import get_settings
from models.scheme import NO, NOT_APPLICABLE, UNCERTAIN, YES, Question

_WORDS: dict[int | None, str] = {
    YES: "yes",
    NO: "no",
    UNCERTAIN: "uncertain",
    NOT_APPLICABLE: "not_applicable",
}

_ANNOTATIONS = text(
    """SELECT n.name, a.team, a.annotated_at, a.codebook_version, a.source, a.values, a.text_version_id <> :version AS earlier_text
    FROM annotations a JOIN annotators n ON n.id = a.annotator_id
    WHERE a.text_id = :text_id AND a.question_id = :question_id ORDER BY a.annotated_at NULLS FIRST, a.id"""
)
_PREDICTION = text(
    """SELECT p.probabilities, p.held_out, u.option_keys, a.report -> 'options' AS options FROM predictions p JOIN relabel_runs u ON u.id = p.run_id
    JOIN adapters a ON a.id = u.adapter_id WHERE p.run_id = :run AND p.text_version_id = :version"""
)
_NEIGHBOURS = text(
    """SELECT * FROM (
        (SELECT t.external_id, v.content, -row_number() OVER (ORDER BY t.ordinal DESC, t.id DESC) AS place
        FROM texts t JOIN text_versions v ON v.id = t.current_version_id JOIN corpora c ON c.id = t.corpus_id
        WHERE t.corpus_id = :corpus AND (t.ordinal, t.id) < (:ordinal, :text_id)
            AND (c.fold_group IS NULL OR t.groups ->> c.fold_group = CAST(:groups AS jsonb) ->> c.fold_group)
        ORDER BY t.ordinal DESC, t.id DESC LIMIT :count)
        UNION ALL
        (SELECT t.external_id, v.content, row_number() OVER (ORDER BY t.ordinal, t.id) AS place
        FROM texts t JOIN text_versions v ON v.id = t.current_version_id JOIN corpora c ON c.id = t.corpus_id
        WHERE t.corpus_id = :corpus AND (t.ordinal, t.id) > (:ordinal, :text_id)
            AND (c.fold_group IS NULL OR t.groups ->> c.fold_group = CAST(:groups AS jsonb) ->> c.fold_group)
        ORDER BY t.ordinal, t.id LIMIT :count)
    ) beside ORDER BY place"""
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """One annotator's value for the cell on one occasion; `value` None where they left it blank."""

    annotator: str
    team: str | None
    annotated_at: datetime | None
    codebook_version: str
    source: str
    value: str | None
    earlier_text: bool
    """Given to an earlier content of the text."""


@dataclass(frozen=True, slots=True)
class OptionEvidence:
    """One option of the scheme on this text: the value in force, and what the model says."""

    key: str
    question: str
    value: str | None
    probability: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A text beside this one in its file and group; `place` counts from it, before it negative."""

    external_id: str
    content: str
    place: int


def opinions(session: AnySession, view: CellView) -> list[Opinion]:
    """Every annotator's value for the cell, oldest first."""
    rows = session.execute(
        _ANNOTATIONS,
        {
            "text_id": view.row.text_id,
            "question_id": view.row.question_id,
            "version": view.row.current_version_id,
        },
    )
    return [
        Opinion(
            annotator=row.name,
            team=row.team,
            annotated_at=row.annotated_at,
            codebook_version=row.codebook_version,
            source=row.source,
            value=cell_value(view.question, view.option_key, row.values),
            earlier_text=row.earlier_text,
        )
        for row in rows
    ]


def cell_value(question: Question, option_key: str | None, values: Sequence[int | None]) -> str | None:
    """A stored array of codes as one value of the cell: yes, no, an option's key, uncertain, not_applicable or None."""
    return read_value(option_order(question), option_key, values)


def option_order(question: Question) -> tuple[str, ...]:
    """A question's option keys in the order of its stored arrays."""
    return tuple(option.key for option in sorted(question.options, key=lambda o: o.position))


def read_value(keys: tuple[str, ...], option_key: str | None, values: Sequence[int | None]) -> str | None:
    """`cell_value` for a question whose `option_order` is known."""
    if option_key is not None:
        place = keys.index(option_key)
        return _WORDS.get(values[place]) if place < len(values) else None
    if values.count(YES) == 1:
        return keys[values.index(YES)]
    return next((_WORDS[code] for code in (UNCERTAIN, NOT_APPLICABLE) if code in values), None)


def options(session: AnySession, view: CellView) -> list[OptionEvidence]:
    """Every option of the scheme: value in force, probability and threshold of the run's adapter, in column order."""
    values = _values_in_force(session, view)
    prediction = session.execute(
        _PREDICTION, {"run": view.row.run_id, "version": view.row.text_version_id}
    ).first()
    probabilities, thresholds = _model(prediction)
    return [
        OptionEvidence(
            key=option.key,
            question=view.codebook.scheme.question_of(option.key).key,
            value=_WORDS.get(int(values[option.position])),
            probability=probabilities.get(option.key),
            threshold=thresholds.get(option.key),
        )
        for option in view.codebook.scheme.options
    ]


def _values_in_force(session: AnySession, view: CellView) -> Any:
    """int8 (options,): the text's consensus with its settled reviews.

    A consensus that rests on all texts is the one of the ranking's snapshot: it is not fitted anew for every look.
    """
    row, codebook = view.row, view.codebook
    if row.consensus_method == "majority":
        ids = np.array([row.text_id], dtype=np.int64)
        given = load_annotations(session, row.corpus_id, codebook, ids, some=True)
        values = consensus(codebook.scheme, given, 1).values
    else:
        blobs = BlobStore(get_settings().blob_root)
        values = frozen_values(blobs.path(row.labels_blob), row.text_id, len(codebook.scheme.options))
    settled = settled_cells(session, row.corpus_id, codebook, [row.text_id])
    return overridden(codebook.scheme, values, [(0, s.question, s.option, s.value) for s in settled])[0]


def _model(prediction: Row[Any] | None) -> tuple[dict[str, float], dict[str, float]]:
    if prediction is None:
        return {}, {}
    thresholds = {
        entry["key"]: float(entry["threshold"])
        for entry in prediction.options or []
        if isinstance(entry, dict) and entry.get("threshold") is not None
    }
    return dict(zip(prediction.option_keys, prediction.probabilities, strict=False)), thresholds


def neighbours(session: AnySession, view: CellView, count: int) -> list[Neighbour]:
    """Up to `count` texts before and after, of the same fold group, in the order of the file."""
    import json

    if not count:
        return []
    row = view.row
    rows = session.execute(
        _NEIGHBOURS,
        {
            "corpus": row.corpus_id,
            "ordinal": row.ordinal,
            "text_id": row.text_id,
            "groups": json.dumps(row.groups),
            "count": count,
        },
    )
    return [Neighbour(r.external_id, r.content, r.place) for r in rows]
