"""Closing a sample: the one look at what it found, recorded for good."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from app.audits.agreement import compared
from app.audits.annotated import given_by_annotators
from app.audits.answers import AuditProgress
from app.audits.cells import ReadCell
from app.audits.frame import Frame, read_frame
from app.audits.held import held
from app.audits.queries import earlier_plans, mark_unread_as_skipped
from app.audits.readings import load_readings, shown_texts
from app.audits.result_schemas import AnnotatorsHeld, AuditResult
from app.audits.results import decision, of_labels, of_options, of_strata, of_texts, outcome
from app.audits.settled import cells_of
from app.audits.settlement import Readings, settle
from app.audits.words import sentences
from app.blobs import BlobStore
from app.db.session import WriteSession
from app.db.tables import AuditLog, AuditLook, AuditSample
from app.http.problems import Conflict
from models.audit.sample.stopping import StoppingPlan


def stopping_plan(sample: AuditSample) -> StoppingPlan | None:
    """What the sample's stopping plan declared; None for totals."""
    declared = sample.design["stopping"]
    return (
        None if declared is None else StoppingPlan(declared["at_most"], declared["looks"], declared["alpha"])
    )


def close(
    session: WriteSession, sample: AuditSample, blobs: BlobStore, progress: AuditProgress, actor: str, *, skip: bool
) -> AuditResult:  # fmt: skip
    """Close a sample that was read with `lock`: settle, decide, and record the look in one transaction.

    Raises:
        Conflict: it is closed already, or readings are missing and nobody has declared them skipped.
    """
    if sample.state == "closed":
        raise Conflict("This audit sample is closed already: see its result.", slug="audit-sample-closed")
    _check_complete(progress, skip=skip)
    mark_unread_as_skipped(session, sample)
    frame = read_frame(blobs.path(sample.frame_blob))
    readings = load_readings(session, sample, frame.text_ids[frame.drawn].tolist())
    before = 0 if sample.plan_id is None else earlier_plans(session, sample.corpus_id, sample.plan_id)
    result = _result(sample, frame, readings, cells_of(session, sample), progress, before)
    result = result.model_copy(update={"annotators": _annotators(session, sample, frame, readings, progress)})
    sample.state, sample.closed_at = "closed", datetime.now(UTC)
    session.add(
        AuditLook(
            audit_sample_id=sample.id,
            number=sample.look or 1,
            result=result.model_dump(mode="json"),
            looked_by=actor,
        )
    )
    detail = {"unread": progress.unread, "disputes": progress.disputes}
    session.add(AuditLog(actor=actor, action="audit-sample.close", object_id=sample.id, detail=detail))
    session.flush()
    return result


def _check_complete(progress: AuditProgress, *, skip: bool) -> None:
    if not skip and (progress.unread or progress.disputes):
        raise Conflict(
            f"{progress.unread:,} readings are still to be made and {progress.disputes:,} texts wait for the adjudicator. Read them, or declare "
            "them skipped with `skip_unread`: they then count against.",
            slug="unread-texts",
            field="/skip_unread",
            unread=progress.unread,
            disputes=progress.disputes,
        )


def _result(
    sample: AuditSample,
    frame: Frame,
    readings: Readings,
    cells: tuple[ReadCell, ...],
    progress: AuditProgress,
    before: int,
) -> AuditResult:
    truth = settle(readings, cells)
    found = outcome(frame, cells, truth)
    pooled, plan = of_labels(found), stopping_plan(sample)
    result = AuditResult(
        audit_sample_id=sample.id,
        name=sample.name,
        purpose=sample.purpose,
        snapshot_id=sample.snapshot_id,
        ranking_id=sample.ranking_id,
        seal=sample.seal_blob,
        drawn=len(frame.drawn),
        frame=len(frame.text_ids),
        readings=sum(person.read for person in progress.people),
        unread=progress.unread,
        not_blind=sum(person.not_blind for person in progress.people),
        labels=pooled,
        texts=of_texts(found),
        options=of_options(found, sample.option_keys, sample.design["certify"]),
        strata=of_strata(found),
        two_readers=None if sample.readers == 1 else compared(readings, truth, frame, cells, pooled),
        stopping=None if plan is None else decision(found, plan, sample.look or 1, before),
        words=[],
    )
    return result.model_copy(update={"words": sentences(result)})


def _annotators(
    session: WriteSession, sample: AuditSample, frame: Frame, readings: Readings, progress: AuditProgress
) -> AnnotatorsHeld | None:
    """Annotators and teams beside what blind readings settled."""
    cells, text_ids = cells_of(session, sample), frame.text_ids[frame.drawn]
    return held(
        given_by_annotators(session, sample, text_ids),
        settle(readings, cells),
        ~np.isin(text_ids, sorted(shown_texts(session, sample.id))),
        frame.design,
        cells,
        [person.name for person in progress.people],
        sample.purpose,
    )
