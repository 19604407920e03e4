"""Reading blind: whose turn it is, what they are shown (the text and the codebook's words alone), what they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.engine import RowMapping

from app.audits.answers import AnswerChoice, AskedCell, BlindText
from app.audits.cells import ReadCell, differs, read_cells
from app.audits.queries import (
    add_reading,
    next_unread,
    own_reading,
    read_pairs,
    sampled_text,
    scheme_of,
)
from app.audits.readings import seats
from app.audits.rules import coded, spoken
from app.audits.schemas import ReadingRequest, Role
from app.corpora.codebook import load_codebook
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditSample
from app.http.problems import Conflict, Forbidden, NotFound
from app.ids import numbered
from app.review import sightings
from app.review.rules import CellKey
from models.scheme import MISSING, QuestionKind, Scheme


def role_of(session: AnySession, sample: AuditSample, reader: str, wanted: Role | None) -> Role:
    """The role in which somebody reads; Forbidden when there is no seat for them.

    Seats are taken with the first reading. Nobody adjudicates between themselves and another.
    """
    taken = seats(session, sample.id)
    may_read = reader in taken.readers or (
        len(taken.readers) < sample.readers and reader != taken.adjudicator
    )
    may_adjudicate = (
        bool(sample.design["adjudicator"])
        and reader not in taken.readers
        and taken.adjudicator in {None, reader}
    )
    if may_read and wanted != "adjudicator":
        return "reader"
    if may_adjudicate and wanted != "reader":
        return "adjudicator"
    people_ = " and ".join([*taken.readers, *([taken.adjudicator] if taken.adjudicator else [])])
    raise Forbidden(
        f"There is no {wanted or 'reader'}'s seat left for {reader} in this audit sample; it is read by {people_ or 'nobody yet'}.",
        field="role",
        slug="no-seat",
    )


def cells_to_read(session: AnySession, sample: AuditSample, role: Role, text_id: int) -> tuple[ReadCell, ...]:
    """What is asked of a text: every cell of a reader, of an adjudicator those in dispute."""
    cells = read_cells(scheme_of(session, sample), sample.option_keys)
    if role == "reader":
        return cells
    pairs = read_pairs(session, sample.id, text_id)
    return _argued(pairs[0], cells) if pairs else ()


def next_place(
    session: AnySession, sample: AuditSample, role: Role, reader: str
) -> tuple[RowMapping, tuple[ReadCell, ...]] | None:
    """The next text and what is asked of it; None when nothing is left."""
    cells = read_cells(scheme_of(session, sample), sample.option_keys)
    if role == "reader":
        found = next_unread(session, sample.id, reader)
        return None if found is None else (found, cells)
    for pair in read_pairs(session, sample.id):
        argued = () if pair["adjudicated"] else _argued(pair, cells)
        if argued:
            return sampled_text(session, sample.id, pair["text_id"]), argued
    return None


def blind_text(
    session: AnySession,
    sample: AuditSample,
    place: RowMapping,
    cells: Sequence[ReadCell],
    role: Role,
    reader: str,
) -> BlindText:
    """What a reader is shown; `value` and `note` are their own earlier ones."""
    scheme = scheme_of(session, sample)
    own = own_reading(session, sample.id, place["text_id"], reader, role)
    shown = shown_cells(session, sample, place["text_id"], reader)
    return BlindText(
        text_id=numbered("txt", place["text_id"]),
        external_id=place["external_id"],
        place=place["reading_order"] + 1,
        content=place["content"],
        cells=[_asked(scheme, cell, sample.option_keys, own) for cell in cells],
        note="" if own is None else own["note"],
        shown_before=bool(shown),
    )


def record(
    session: WriteSession,
    sample: AuditSample,
    text_id: int | None,
    reader: str,
    said: ReadingRequest,
) -> tuple[Role, bool]:
    """Append a reading to a sample that was read with `lock`; the role, and whether it was blind.

    Raises:
        Conflict: the sample is closed. Forbidden: no seat. NotFound: nothing is asked of this text. Invalid: a value does not fit.
    """
    if sample.state != "reading":
        raise Conflict("This audit sample is closed: its readings are settled.", slug="audit-sample-closed")
    role = role_of(session, sample, reader, said.role)
    place = sampled_text(session, sample.id, text_id)
    asked = cells_to_read(session, sample, role, place["text_id"])
    if not asked:
        raise NotFound("The readers do not differ on this text, or have not both read it: there is nothing to settle.", field="text_id")  # fmt: skip
    values = [None] * len(sample.option_keys) if said.skip else coded(said.values, asked, sample.option_keys)
    shown = shown_cells(session, sample, place["text_id"], reader)
    add_reading(
        session, sample.id, place, reader=reader, role=role, values=values, note=said.note, shown=shown
    )
    return role, not shown


def shown_cells(session: AnySession, sample: AuditSample, text_id: int, reader: str) -> list[str]:
    """Keys of the cells of a text of which somebody had been shown labels or probabilities, by the server's own record."""
    codebook = load_codebook(session, sample.corpus_id)
    names = {
        CellKey(
            text_id,
            codebook.question_ids[cell.question],
            None if cell.option is None else codebook.option_ids[cell.option],
        ): cell.key
        for cell in read_cells(scheme_of(session, sample), sample.option_keys)
    }
    return [names[key] for key in sightings.shown_among(session, reader, text_id, list(names))]


def _argued(pair: RowMapping, cells: Sequence[ReadCell]) -> tuple[ReadCell, ...]:
    unequal = _unequal([pair], cells)[0]
    return tuple(cell for cell, argued in zip(cells, unequal, strict=True) if argued)


def _unequal(pairs: Sequence[RowMapping], cells: Sequence[ReadCell]) -> NDArray[np.bool_]:
    """Where two readers differ: bool (pairs, cells)."""
    first, second = (
        np.array(
            [[MISSING if value is None else value for value in pair["values"][which]] for pair in pairs],
            dtype=np.int8,
        )
        for which in (0, 1)
    )
    return differs(first, second, cells)


def _asked(scheme: Scheme, cell: ReadCell, option_keys: Sequence[str], own: RowMapping | None) -> AskedCell:
    question = next(q for q in scheme.questions if q.key == cell.question)
    options = {option.key: option for option in question.options}
    option = None if cell.option is None else options[cell.option]
    return AskedCell(
        key=cell.key,
        question=question.key,
        question_name=question.name or question.key,
        definition=question.definition if option is None else option.definition,
        name=(question.name or question.key) if option is None else (option.name or option.key),
        choices=[
            AnswerChoice(key=o.key, name=o.name or o.key, definition=o.definition)
            for o in (options[option_keys[column]] for column in cell.columns)
            if question.kind is QuestionKind.CHOOSE_ONE and not o.retired
        ],
        value=None if own is None else spoken(own["values"], cell, option_keys),
    )
