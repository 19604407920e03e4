"""Drawing an audit sample: freeze the labels and the frame, draw, seal. One transaction: there is a whole sample or none."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select

from app.audits.cells import ReadCell, decided, read_cells
from app.audits.frame import NOT_DRAWN, Frame, to_arrow
from app.audits.planning import bands_of, check_claim, texts_to_draw
from app.audits.ranked import newest_ranking, suspicions
from app.audits.rules import chosen_options
from app.audits.schemas import AuditSampleRequest
from app.blobs import BlobStore
from app.corpora.codebook import Codebook, load_codebook
from app.corpora.queries import register_blob
from app.corpora.snapshots import current_labels, read_snapshot
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog, AuditSample, AuditSampleText, LabelSnapshot, Ranking
from app.http.problems import Conflict, Invalid
from app.ids import new_id
from app.review.queries import settled_cells
from models.audit.sample.design import AuditDesign, draw_audit, sealed
from models.audit.sample.design import AuditSample as Draw
from models.audit.sample.stopping import StoppingPlan
from models.scheme import Labels

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """The given labels as they are now; one row per text of the corpus."""

    text_ids: NDArray[np.int64]
    text_version_ids: NDArray[np.int64]
    external_ids: list[str]
    values: Labels
    codebook: Codebook


@dataclass(frozen=True, slots=True)
class Prepared:
    """A drawn sample that is not stored yet."""

    frame: Frame
    cells: tuple[ReadCell, ...]
    option_keys: tuple[str, ...]
    design: AuditDesign
    drawn: Draw
    codebook: Codebook
    ranking: Ranking | None
    plan: StoppingPlan | None

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """float64 (texts, cells): suspicion of the cells in question, 0 where there is none; None without a ranking."""
        if self.ranking is None:
            return None
        return np.where(self.frame.audited, np.nan_to_num(self.frame.suspicion), 0.0).astype(np.float64)


def labels_now(session: AnySession, corpus_id: str) -> Labelled:
    """The labels in force, without freezing them."""
    frozen = current_labels(session, corpus_id)
    return Labelled(
        text_ids=frozen.frame["text_id"].to_numpy(),
        text_version_ids=frozen.frame["text_version_id"].to_numpy(),
        external_ids=frozen.frame["external_id"].to_list(),
        values=frozen.values,
        codebook=frozen.codebook,
    )


def labels_of(session: AnySession, snapshot: LabelSnapshot, blobs: BlobStore) -> Labelled:
    """The labels of a snapshot that was frozen in this transaction."""
    frozen = read_snapshot(blobs.path(snapshot.blob_digest))
    return Labelled(
        text_ids=frozen.text_ids,
        text_version_ids=frozen.text_version_ids,
        external_ids=frozen.external_ids,
        values=frozen.values,
        codebook=load_codebook(session, snapshot.corpus_id),
    )


def prepare(
    session: AnySession,
    corpus_id: str,
    labelled: Labelled,
    asked: AuditSampleRequest,
    plan: StoppingPlan | None,
) -> Prepared:
    """Draw from the labels; nothing is stored.

    Args:
        session, corpus_id: where.
        labelled: the given labels.
        asked: the request, whose fields go together (`check_request`).
        plan: what the stopping plan has declared; None for totals.

    Raises:
        Invalid: the size or an option does not fit.
        Conflict: nothing is in question.
    """
    option_keys = chosen_options(labelled.codebook.scheme, asked.options)
    cells = read_cells(labelled.codebook.scheme, option_keys)
    ranking = newest_ranking(session, corpus_id)
    frame = _frame(session, corpus_id, labelled, option_keys, cells, ranking, undecided=plan is not None)
    by_default = asked.design is None and ranking is not None and plan is None
    stratified = asked.design == "stratified" or asked.bands is not None or by_default
    if stratified and ranking is None:
        raise Invalid(
            "No model has ranked the corpus yet, so there are no scores to make bands of: ask for a random design, or relabel first.",
            field="/design",
            slug="no-ranking",
        )
    if plan is not None:
        check_claim(plan.claim, len(frame.text_ids))
    size = texts_to_draw(asked, len(frame.text_ids), plan)
    seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
    design = AuditDesign(size, seed, bands=bands_of(asked, size) if stratified else 1)
    drawn = _draw(design, frame, _text_scores(frame) if stratified else None)
    placed = frame.place.copy()
    placed[drawn.rows] = np.arange(len(drawn.rows))
    whole = replace(frame, stratum=drawn.stratum, place=placed)
    return Prepared(whole, cells, option_keys, design, drawn, labelled.codebook, ranking, plan)


def store(
    session: WriteSession,
    blobs: BlobStore,
    prepared: Prepared,
    snapshot: LabelSnapshot,
    columns: dict[str, Any],
) -> AuditSample:
    """Seal and store a prepared sample. columns: corpus_id, name, purpose, readers, created_by, `design` and those of a stopping plan."""
    frame_blob = blobs.put_bytes(to_arrow(prepared.frame))
    sample_id = new_id("aud")
    document = _sealed(sample_id, prepared, snapshot, columns, frame_blob.digest)
    seal_blob = blobs.put_bytes(document)
    register_blob(session, blobs, frame_blob, "application/vnd.apache.arrow.file", "audit-frame")
    register_blob(session, blobs, seal_blob, "application/json", "audit-seal")
    sample = AuditSample(
        id=sample_id,
        snapshot_id=snapshot.id,
        run_id=None if prepared.ranking is None else prepared.ranking.run_id,
        ranking_id=None if prepared.ranking is None else prepared.ranking.id,
        scheme_version=prepared.codebook.version,
        option_keys=list(prepared.option_keys),
        seed=prepared.design.seed,
        frame_blob=frame_blob.digest,
        seal_blob=seal_blob.digest,
        **(columns | {"plan_id": columns.get("plan_id") or (sample_id if prepared.plan else None)}),
    )
    session.add(sample)
    session.flush()
    session.execute(insert(AuditSampleText), _texts(sample_id, prepared))
    detail = {"corpus_id": sample.corpus_id, "seal": seal_blob.digest}
    session.add(
        AuditLog(actor=columns["created_by"], action="audit-sample.draw", object_id=sample_id, detail=detail)
    )
    session.flush()
    session.refresh(sample)
    return sample


def _frame(
    session: AnySession,
    corpus_id: str,
    labelled: Labelled,
    option_keys: tuple[str, ...],
    cells: tuple[ReadCell, ...],
    ranking: Ranking | None,
    *,
    undecided: bool,
) -> Frame:
    """Every text with a label in question, not drawn from yet; `undecided`: labels that a review has settled are in question no more."""
    positions = {option.key: option.position for option in labelled.codebook.scheme.options}
    given = labelled.values[:, [positions[key] for key in option_keys]]
    audited = decided(given, cells)
    if undecided:
        audited &= ~_settled(session, corpus_id, labelled, cells)
    rows = np.flatnonzero(audited.any(axis=1))
    if not len(rows):
        raise Conflict(
            "No label is left that reviews have not decided: there is nothing to certify."
            if undecided
            else "No text has a label for these options: there is nothing to audit.",
            slug="nothing-to-audit",
        )
    versions = labelled.text_version_ids[rows]
    return Frame(
        text_ids=labelled.text_ids[rows],
        text_version_ids=versions,
        external_ids=[labelled.external_ids[row] for row in rows],
        stratum=np.zeros(len(rows), dtype=np.int32),
        place=np.full(len(rows), NOT_DRAWN, dtype=np.int32),
        given=given[rows],
        audited=audited[rows],
        suspicion=suspicions(session, ranking, versions, cells),
    )


def _settled(
    session: AnySession, corpus_id: str, labelled: Labelled, cells: tuple[ReadCell, ...]
) -> NDArray[np.bool_]:
    """bool (texts, cells)."""
    row_of = {int(text_id): row for row, text_id in enumerate(labelled.text_ids)}
    column_of = {(cell.question, cell.option): place for place, cell in enumerate(cells)}
    found = np.zeros((len(row_of), len(cells)), dtype=np.bool_)
    for cell in settled_cells(session, corpus_id, labelled.codebook):
        column = column_of.get((cell.question, cell.option))
        if column is not None and cell.text_id in row_of:
            found[row_of[cell.text_id], column] = True
    return found


def _text_scores(frame: Frame) -> NDArray[np.float32]:
    """Expected wrong labels of each text, were suspicion right; NaN where the ranking says nothing of it."""
    known = frame.audited & np.isfinite(frame.suspicion)
    total = np.where(known, np.nan_to_num(frame.suspicion), 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total, np.nan).astype(np.float32)


def _draw(design: AuditDesign, frame: Frame, scores: NDArray[np.float32] | None) -> Draw:
    try:
        return draw_audit(design, frame.external_ids, scores)
    except ValueError as error:
        raise Invalid(
            f"This cannot be drawn: {error}. Ask for more texts, fewer bands, or a random design.",
            field="/size",
            slug="cannot-be-drawn",
        ) from None


def _sealed(
    sample_id: str,
    prepared: Prepared,
    snapshot: LabelSnapshot,
    columns: dict[str, Any],
    frame_digest: str,
) -> bytes:
    """The sealed document: what was decided before anyone looked, the draw with its own seal, and the frame's digest."""
    ranking = prepared.ranking
    document = {
        "format": FORMAT,
        "id": sample_id,
        **{name: columns[name] for name in ("corpus_id", "name", "purpose", "readers", "design")},
        "plan_id": columns.get("plan_id") or (sample_id if prepared.plan else None),
        "look": columns.get("look"),
        "looks_declared": columns.get("looks_declared", 1),
        "snapshot": {"id": snapshot.id, "digest": snapshot.digest},
        "ranking_id": None if ranking is None else ranking.id,
        "scheme_version": prepared.codebook.version,
        "option_keys": list(prepared.option_keys),
        "frame_sha256": frame_digest,
        "sample": sealed(prepared.design, prepared.drawn, prepared.frame.external_ids),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _texts(sample_id: str, prepared: Prepared) -> list[dict[str, Any]]:
    frame, drawn = prepared.frame, prepared.drawn
    return [
        {
            "audit_sample_id": sample_id,
            "text_id": int(frame.text_ids[row]),
            "text_version_id": int(frame.text_version_ids[row]),
            "reading_order": place,
            "stratum": str(int(drawn.stratum[row])),
            "inclusion": float(inclusion),
        }
        for place, (row, inclusion) in enumerate(zip(drawn.rows, drawn.inclusion, strict=True))
    ]


def seal_holds(document: bytes, digest: str) -> bool:
    """Whether a sealed document is the one whose digest was told when it was drawn."""
    return hashlib.sha256(document).hexdigest() == digest


def next_name(session: AnySession, corpus_id: str) -> str:
    """`audit 1`, `audit 2` …: the first that is free."""
    taken = set(session.scalars(select(AuditSample.name).where(AuditSample.corpus_id == corpus_id)))
    return next(name for number in range(1, len(taken) + 2) if (name := f"audit {number}") not in taken)
