"""An audit sample as the API tells it."""

from __future__ import annotations

from collections.abc import Sequence

from app.audits.answers import AuditProgress, AuditSampleAnswer, AuditStratum
from app.audits.progress import progress, progress_of
from app.audits.queries import look_of
from app.audits.result_schemas import AuditResult
from app.db.session import AnySession
from app.db.tables import AuditSample
from app.http.problems import Conflict


def sample_answer(session: AnySession, sample: AuditSample) -> AuditSampleAnswer:
    """Design and progress; never what it finds, nor the stratum of any text."""
    return _answer(sample, progress(session, sample))


def sample_answers(session: AnySession, samples: Sequence[AuditSample]) -> list[AuditSampleAnswer]:
    """The same of several, whose progress one query tells."""
    told = progress_of(session, samples)
    return [_answer(sample, told[sample.id]) for sample in samples]


def _answer(sample: AuditSample, told: AuditProgress) -> AuditSampleAnswer:
    design, stopping = sample.design, sample.design["stopping"] or {}
    return AuditSampleAnswer(
        id=sample.id,
        corpus_id=sample.corpus_id,
        name=sample.name,
        purpose=sample.purpose,
        state=sample.state,
        design=design["kind"],
        size=design["size"],
        frame=design["frame"],
        cells=design["cells"],
        seed=sample.seed,
        options=list(sample.option_keys),
        readers=sample.readers,
        adjudicator=design["adjudicator"],
        strata=[AuditStratum(**stratum) for stratum in design["strata"]],
        snapshot_id=sample.snapshot_id,
        ranking_id=sample.ranking_id,
        plan_id=sample.plan_id,
        look=sample.look,
        at_most=stopping.get("at_most"),
        alpha=stopping.get("alpha"),
        looks_declared=sample.looks_declared,
        seal=sample.seal_blob,
        created_by=sample.created_by,
        sealed_at=sample.sealed_at,
        closed_at=sample.closed_at,
        released_at=sample.released_at,
        progress=told,
    )


def result_of(session: AnySession, sample: AuditSample) -> AuditResult:
    """The result as it was recorded at closing; Conflict before."""
    found = look_of(session, sample.id)
    if found is None:
        raise Conflict(
            "This audit sample is still being read. What it finds is told once it is closed: whoever looks earlier may stop when the numbers "
            "please.",
            slug="audit-sample-open",
        )
    return AuditResult.model_validate(found.result)
