"""Planning and making an audit sample: the request, its stopping plan, the draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from app.audits.answers import AuditPlan, AuditStratum
from app.audits.closing import stopping_plan
from app.audits.drawing import Prepared, labels_now, labels_of, next_name, prepare, store
from app.audits.planning import certifiable, intervals, look_warning, stopping_cost
from app.audits.queries import earlier_plans, plan_samples
from app.audits.rules import check_request
from app.audits.schemas import AuditSampleRequest
from app.audits.views import result_of
from app.blobs import BlobStore
from app.corpora.snapshots import freeze
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditSample
from app.http.problems import Conflict, Invalid
from models.audit.sample.stopping import StoppingPlan


@dataclass(frozen=True, slots=True)
class NextLook:
    """Which look of which stopping plan a sample is; `plan_id` None: the first of a new one."""

    plan: StoppingPlan
    plan_id: str | None
    number: int
    options: list[str] | None
    """Those of the plan's first sample; None: as asked."""


def plan_sample(session: AnySession, corpus_id: str, asked: AuditSampleRequest) -> AuditPlan:
    """What the sample would cost and could say; nothing is stored."""
    check_request(asked)
    look = _look(session, corpus_id, asked)
    prepared = _prepared(session, corpus_id, asked, look)
    frame, drawn = prepared.frame, prepared.drawn
    inclusion = (drawn.taken / drawn.sizes)[drawn.stratum]
    size = len(drawn.rows)
    stopping = None if look is None else stopping_cost(look.plan, look.number, len(frame.text_ids), size)
    told = certifiable(
        frame.given, frame.audited, inclusion, prepared.cells, prepared.option_keys, asked.certify
    )
    never = None if look is None else look_warning(look.plan, len(frame.text_ids), size)
    return AuditPlan(
        corpus_id=corpus_id,
        purpose=asked.purpose,
        design="random" if prepared.design.bands == 1 else "stratified",
        options=list(prepared.option_keys),
        frame=len(frame.text_ids),
        cells=int(frame.audited.sum()),
        size=size,
        readings=size * asked.readers,
        strata=[AuditStratum(**stratum) for stratum in _strata(prepared)],
        certifiable=told,
        intervals=intervals(
            frame.audited.sum(axis=1).astype(np.int64), drawn.stratum, drawn.sizes, drawn.taken, prepared.scores
        ),
        stopping=stopping,
        warnings=[*([never] if never else []), *_plans_before(session, corpus_id, look)],
    )  # fmt: skip


def make_sample(
    session: WriteSession, blobs: BlobStore, corpus_id: str, asked: AuditSampleRequest, actor: str
) -> AuditSample:
    """Freeze, draw and seal in the caller's transaction.

    Raises:
        Invalid: the request does not fit itself or the corpus, or a look could never stop.
        Conflict: the name is taken, or the stopping plan has no look left.
    """
    check_request(asked)
    snapshot = freeze(session, corpus_id, blobs)  # locks the corpus: draws follow one another
    look = _look(session, corpus_id, asked)
    prepared = _prepared(session, corpus_id, asked, look, labels_of(session, snapshot, blobs))
    never = (
        None
        if look is None
        else look_warning(look.plan, len(prepared.frame.text_ids), len(prepared.drawn.rows))
    )
    if never:
        raise Invalid(f"This look could never stop: {never}", field="/size", slug="not-certifiable")
    columns: dict[str, Any] = {
        "corpus_id": corpus_id,
        "name": _free_name(session, corpus_id, asked.name),
        "purpose": asked.purpose,
        "readers": asked.readers,
        "created_by": actor,
        "design": _design(asked, prepared, look),
    }
    if look is not None:
        columns |= {"plan_id": look.plan_id, "look": look.number, "looks_declared": look.plan.looks}
    return store(session, blobs, prepared, snapshot, columns)


def _plans_before(session: AnySession, corpus_id: str, look: NextLook | None) -> list[str]:
    """A warning where a new plan would not be the first."""
    count = 0 if look is None or look.plan_id is not None else earlier_plans(session, corpus_id, None)
    return (
        [
            f"{count} stopping plan{'s have' if count > 1 else ' has'} been declared before: a new one spends an α of its own, to be reported."
        ]
        if count
        else []
    )


def _prepared(
    session: AnySession,
    corpus_id: str,
    asked: AuditSampleRequest,
    look: NextLook | None,
    labelled: Any = None,
) -> Prepared:
    if look is not None and look.options is not None:
        if asked.options is not None:
            raise Invalid(
                "The plan's first sample has declared what is read: leave `options` out.", field="/options"
            )
        asked = asked.model_copy(update={"options": look.options})
    given = labels_now(session, corpus_id) if labelled is None else labelled
    return prepare(session, corpus_id, given, asked, None if look is None else look.plan)


def _look(session: AnySession, corpus_id: str, asked: AuditSampleRequest) -> NextLook | None:
    if asked.purpose == "totals":
        return None
    if asked.stopping is not None:
        declared = asked.stopping
        return NextLook(StoppingPlan(declared.at_most, declared.looks, declared.alpha), None, 1, None)
    earlier = _earlier(session, corpus_id, str(asked.plan))
    first, last = earlier[0], earlier[-1]
    plan = stopping_plan(first)
    assert plan is not None
    assert last.look is not None
    if last.state != "closed":
        raise Conflict(f"Look {last.look} of this plan ({last.name}) is still being read: close it first.", slug="audit-sample-open")  # fmt: skip
    decided = result_of(session, last).stopping
    if decided is not None and decided.stop:
        raise Conflict("This plan has stopped already: it has nothing left to decide.", slug="plan-stopped")
    if last.look >= plan.looks:
        raise Conflict(
            f"All {plan.looks} declared looks of this plan are taken. A new plan spends a new alpha: report it as a second attempt.",
            slug="no-look-left",
        )
    return NextLook(plan, first.id, last.look + 1, list(first.option_keys))


def _earlier(session: AnySession, corpus_id: str, reference: str) -> Sequence[AuditSample]:
    sample = session.get(AuditSample, reference)
    if sample is None or sample.corpus_id != corpus_id or sample.plan_id is None:
        raise Invalid(f"The corpus has no stopping plan {reference!r}.", field="/plan", slug="unknown-plan")
    return plan_samples(session, sample.plan_id)


def _free_name(session: AnySession, corpus_id: str, name: str | None) -> str:
    if name is None:
        return next_name(session, corpus_id)
    taken = session.scalars(
        select(AuditSample.id).where(AuditSample.corpus_id == corpus_id, AuditSample.name == name)
    ).first()
    if taken is not None:
        raise Conflict(
            f"The corpus has an audit sample named {name!r} already.", field="/name", slug="name-taken"
        )
    return name


def _design(asked: AuditSampleRequest, prepared: Prepared, look: NextLook | None) -> dict[str, Any]:
    """What is stored and sealed of the design."""
    design, stopping = prepared.design, None
    if look is not None:
        stopping = {"at_most": look.plan.claim, "alpha": look.plan.alpha, "looks": look.plan.looks}
    return {
        "kind": "random" if design.bands == 1 else "stratified",
        **{name: value for name, value in asdict(design).items() if name not in {"seed", "shares"}},
        "frame": len(prepared.frame.text_ids),
        "cells": int(prepared.frame.audited.sum()),
        "strata": _strata(prepared),
        "adjudicator": asked.readers == 2 if asked.adjudicator is None else asked.adjudicator,
        "certify": asked.certify,
        "stopping": stopping,
    }


def _strata(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {"texts": int(size), "drawn": int(taken), "inclusion": float(taken / size)}
        for size, taken in zip(prepared.drawn.sizes, prepared.drawn.taken, strict=True)
    ]
