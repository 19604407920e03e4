"""Corrected labels block by block: for a few hundred texts at a time their consensus, annotations, reviews and the values in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.engine import Row

from app.corpora.agreed import agreed_labels, consensus_method
from app.corpora.annotations import load_annotations
from app.corpora.codebook import Codebook, load_codebook
from app.corpora.consensus_methods import Agreed
from app.corpora.rules import Consensus, consensus, of_rows, overridden
from app.db.session import AnySession
from app.ids import numbered
from app.review.evidence import option_order, read_value
from app.review.queries import Settled, settled_cells
from models.scheme import MISSING, YES, Cell, Labels

_TEXTS = """
    SELECT t.id, t.external_id, t.given_split, t.groups, t.metadata, v.version, encode(v.sha256, 'hex') AS sha256 {content}
    FROM texts t JOIN text_versions v ON v.id = t.current_version_id WHERE t.corpus_id = :corpus ORDER BY t.ordinal, t.id
"""
_KEYS = (
    """SELECT DISTINCT jsonb_object_keys({column}) AS key FROM texts WHERE corpus_id = :corpus ORDER BY key"""
)
_ANNOTATIONS = text(
    """SELECT a.text_id, a.question_id, n.name, a.team, a.annotated_at, a.codebook_version, a.source, a.values
    FROM annotations a JOIN annotators n ON n.id = a.annotator_id WHERE a.text_id = ANY(:texts) ORDER BY a.annotated_at NULLS FIRST, a.id"""
)
_REVIEWS = text("SELECT * FROM reviews WHERE text_id = ANY(:texts) ORDER BY id")


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What every text's export of one cell needs, looked up once."""

    cell: Cell
    question_id: int
    option_id: int | None
    order: tuple[str, ...]
    """Option keys of the question in the order of stored arrays."""


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus opened for export in the caller's transaction."""

    session: AnySession
    corpus: Row[Any]
    codebook: Codebook
    group_keys: tuple[str, ...]
    metadata_keys: tuple[str, ...]
    with_text: bool
    keys: tuple[str, ...]
    """Option keys in column order."""
    plans: tuple[CellPlan, ...]
    method: str
    """By which annotators who differ are brought together."""
    agreed: tuple[Agreed, NDArray[np.int64]] | None
    """The consensus of all texts and their ids, rising, where it is not the majority: that is told text by text."""

    @staticmethod
    def open(session: AnySession, corpus_id: str, *, with_text: bool) -> Source:
        """Read the codebook and which grouping and metadata keys there are."""
        of = {"corpus": corpus_id}
        groups, metadata = (
            tuple(session.scalars(text(_KEYS.format(column=column)), of)) for column in ("groups", "metadata")
        )
        corpus = session.execute(
            text("SELECT id, name, synthetic, sensitive FROM corpora WHERE id = :corpus"), of
        ).one()
        book = load_codebook(session, corpus_id)
        orders = {question.key: option_order(question) for question in book.scheme.questions}
        plans = tuple(
            CellPlan(cell, *book.cell_ids(cell), orders[cell.question]) for cell in book.scheme.cells
        )
        whole = _whole(session, corpus_id, book)
        method = "majority" if whole is None else whole[0].method
        keys = book.scheme.option_keys
        return Source(session, corpus, book, groups, metadata, with_text, keys, plans, method, whole)

    def wide_header(self) -> list[str]:
        """One column per grouping key, metadata key and option; 1 yes, 0 no, blank missing."""
        found = ["external_id", "split", *(f"group.{k}" for k in self.group_keys)]
        found += [*(f"metadata.{k}" for k in self.metadata_keys), *(["text"] if self.with_text else [])]
        return [*found, *self.codebook.scheme.option_keys]

    def long_header(self) -> list[str]:
        """One row per cell."""
        found = [
            "external_id",
            "question",
            "option",
            "value",
            "source",
            "consensus",
            "consensus_method",
            "votes",
            "annotations",
            "reviews",
        ]
        return [*found, *(["text"] if self.with_text else [])]

    def consensus(self, ids: NDArray[np.int64]) -> Consensus:
        """Of some texts."""
        if self.agreed is not None:
            found, known = self.agreed
            return of_rows(found.consensus, np.searchsorted(known, ids))
        given = load_annotations(self.session, self.corpus.id, self.codebook, ids, some=True)
        return consensus(self.codebook.scheme, given, len(ids))

    def texts(self, size: int, *, history: bool) -> Iterator[Block]:
        """The corpus's texts in the order of their file, `size` at a time, from a server-side cursor; `history`: with annotations and reviews."""
        statement = text(_TEXTS.format(content=", v.content" if self.with_text else ""))
        result = self.session.execute(
            statement, {"corpus": self.corpus.id}, execution_options={"yield_per": size}
        )
        for rows in result.partitions(size):
            yield Block.load(self, list(rows), history=history)


def _whole(session: AnySession, corpus_id: str, book: Codebook) -> tuple[Agreed, NDArray[np.int64]] | None:
    """The consensus of all texts, by a method that learns from all of them; None for the majority."""
    if consensus_method(session, corpus_id) == "majority":
        return None
    ids = session.scalars(
        text("SELECT id FROM texts WHERE corpus_id = :corpus ORDER BY id"), {"corpus": corpus_id}
    )
    known = np.array(ids.all(), dtype=np.int64)
    return agreed_labels(session, corpus_id, book, known), known


@dataclass(frozen=True, slots=True)
class Block:
    """A few texts with all that is exported of them."""

    source: Source
    rows: list[Row[Any]]
    agreed: Consensus
    values: Labels
    settled: dict[tuple[int, str, str | None], Settled]
    annotations: dict[tuple[int, int], list[Row[Any]]]
    reviews: dict[tuple[int, int, int | None], list[Row[Any]]]

    @staticmethod
    def load(source: Source, rows: list[Row[Any]], *, history: bool) -> Block:
        """Two statements for the whole block, with `history` four."""
        session, book = source.session, source.codebook
        ids = np.array([row.id for row in rows], dtype=np.int64)
        agreed = source.consensus(ids)
        settled = settled_cells(session, source.corpus.id, book, ids.tolist())
        place = {int(number): row for row, number in enumerate(ids)}
        annotations, reviews = defaultdict(list), defaultdict(list)
        if history:
            for row in session.execute(_ANNOTATIONS, {"texts": ids.tolist()}):
                annotations[row.text_id, row.question_id].append(row)
            for row in session.execute(_REVIEWS, {"texts": ids.tolist()}):
                reviews[row.text_id, row.question_id, row.option_id].append(row)
        return Block(
            source,
            rows,
            agreed,
            overridden(
                book.scheme,
                agreed.values,
                [(place[s.text_id], s.question, s.option, s.value) for s in settled],
            ),
            {(s.text_id, s.question, s.option): s for s in settled},
            annotations,
            reviews,
        )

    def wide_rows(self) -> Iterator[list[Any]]:
        """As `Source.wide_header`."""
        source = self.source
        for place, row in enumerate(self.rows):
            groups = [row.groups.get(key) for key in source.group_keys]
            metadata = [row.metadata.get(key) for key in source.metadata_keys]
            content = [row.content] if source.with_text else []
            labels = [None if value == MISSING else int(value) for value in self.values[place]]
            yield [row.external_id, row.given_split, *groups, *metadata, *content, *labels]

    def long_rows(self) -> Iterator[list[Any]]:
        """As `Source.long_header`."""
        for place, row in enumerate(self.rows):
            for plan in self.source.plans:
                found = self._cell(place, row, plan)
                content = [row.content] if self.source.with_text else []
                yield [row.external_id, *found.values(), *content]

    def records(self) -> Iterator[dict[str, Any]]:
        """One object per text: labels by option (1, 0, null) and every cell with its history."""
        keys = self.source.keys
        for place, row in enumerate(self.rows):
            labels = [None if value == MISSING else int(value) for value in self.values[place]]
            yield {
                "corpus": self.source.corpus.name,
                "synthetic": self.source.corpus.synthetic,
                "sensitive": self.source.corpus.sensitive,
                "scheme_version": self.source.codebook.version,
                "text_id": numbered("txt", row.id),
                "external_id": row.external_id,
                "text_version": row.version,
                "sha256": row.sha256,
                "split": row.given_split,
                "groups": row.groups,
                "metadata": row.metadata,
                **({"text": row.content} if self.source.with_text else {}),
                "labels": dict(zip(keys, labels, strict=True)),
                "cells": [self._cell(place, row, plan) for plan in self.source.plans],
            }

    def _cell(self, place: int, row: Row[Any], plan: CellPlan) -> dict[str, Any]:
        cell = plan.cell
        settled = self.settled.get((row.id, cell.question, cell.option))
        agreed = self._word(self.agreed.values, place, cell)
        tied = bool(self.agreed.ties[place, cell.positions[0]])
        source = "review" if settled else "tie" if tied else "missing" if agreed is None else "consensus"
        return {
            "question": cell.question,
            "option": cell.option,
            "value": settled.value if settled else agreed,
            "source": source,
            "consensus": agreed,
            "consensus_method": self.source.method,
            "votes": self._votes(place, cell),
            "annotations": [
                _annotation(a) | {"value": read_value(plan.order, cell.option, a.values)}
                for a in self.annotations.get((row.id, plan.question_id), ())
            ],
            "reviews": [_review(r) for r in self.reviews.get((row.id, plan.question_id, plan.option_id), ())],
        }

    def _word(self, values: Labels, place: int, cell: Cell) -> str | None:
        """A cell's value: yes, no, an option's key, or None."""
        if cell.option is not None:
            return {YES: "yes", MISSING: None}.get(int(values[place, cell.positions[0]]), "no")
        keys = self.source.keys
        return next((keys[position] for position in cell.positions if values[place, position] == YES), None)

    def _votes(self, place: int, cell: Cell) -> dict[str, int]:
        agreed, first = self.agreed, cell.positions[0]
        if cell.option is None:
            keys = self.source.keys
            votes = {keys[position]: int(agreed.yes[place, position]) for position in cell.positions}
        else:
            votes = {"yes": int(agreed.yes[place, first]), "no": int(agreed.no[place, first])}
        outside = {"uncertain": agreed.uncertain, "not_applicable": agreed.not_applicable}
        return votes | {name: int(counts[place, first]) for name, counts in outside.items()}


def _annotation(row: Row[Any]) -> dict[str, Any]:
    return {
        "annotator": row.name,
        "team": row.team,
        "annotated_at": row.annotated_at,
        "codebook_version": row.codebook_version,
        "source": row.source,
    }


def _review(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": numbered("rev", row.id),
        "value": row.value,
        "undoes": None if row.undoes is None else numbered("rev", row.undoes),
        "reviewer": row.reviewer,
        "at": row.created_at,
        "note": row.note,
        "shown": row.shown,
        "scheme_version": row.scheme_version,
        "text_version_id": row.text_version_id,
    }
