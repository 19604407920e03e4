"""A sample job: freeze the labels, choose texts by the strategy, record them with their inclusion probabilities. `python -m workers.sample JOB FENCE`."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import select

from app.corpora.codebook import load_codebook
from app.corpora.queries import find_corpus
from app.corpora.sample_queries import elsewhere
from app.corpora.sample_rules import check_size, check_splits, places
from app.corpora.sample_schemas import SampleRequest
from app.corpora.scheme_queries import scheme_version
from app.corpora.snapshots import freeze, read_snapshot
from app.db.session import WriteSession, reading
from app.db.tables import LabelSnapshot, Sample
from app.http.problems import Problem
from app.ids import new_id
from models.scheme import Scheme
from workers.job_context import JobContext, JobFailed, JobStopped, child_main
from workers.sampling.material import Material, doubts
from workers.sampling.strategies import Chosen, choose


def run(context: JobContext) -> None:
    """One attempt; a later one freezes nothing anew and draws the same sample."""
    began = time.monotonic()
    asked = SampleRequest.model_validate(context.params)
    try:
        snapshot_id = _snapshot(context)
        material = _material(context, asked, snapshot_id)

        def stage(name: str) -> None:
            if context.stop_reason() is not None:
                raise JobStopped
            context.emit("stage", {"stage": name, "seconds": round(time.monotonic() - began, 2)})

        chosen = choose(asked, material, stage)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    _record(context, asked, snapshot_id, material, chosen, time.monotonic() - began)


def _snapshot(context: JobContext) -> str:
    """The label snapshot that the sample is drawn on: frozen once, kept by the job's checkpoint."""
    if context.checkpoint is not None:
        return str(context.checkpoint["snapshot_id"])

    def body(session: WriteSession) -> str:
        assert context.corpus_id is not None
        load_codebook(session, context.corpus_id)  # without a codebook there is nothing to sample for
        snapshot = freeze(session, context.corpus_id, context.blobs)
        context.save_checkpoint({"snapshot_id": snapshot.id}, session)
        return snapshot.id

    return context.transaction(body)


def _material(context: JobContext, asked: SampleRequest, snapshot_id: str) -> Material:
    """Texts, labels, frame and doubts, read at one moment."""
    assert context.corpus_id is not None
    with reading() as session:
        row = session.get_one(LabelSnapshot, snapshot_id)
        version = scheme_version(session, row.corpus_id, row.scheme_version)
        assert version is not None
        scheme = Scheme.from_document(version.document)
        texts = read_snapshot(context.blobs.path(row.blob_digest))
        check_splits(asked, texts.splits)
        free = elsewhere(session, row.corpus_id, asked, texts.text_ids)
        found = places(asked, texts.splits, texts.values, free)
        doubt = doubts(session, row.corpus_id, asked, scheme, texts)
        check_size(asked, found, None if doubt is None else int((doubt.known & found.frame).sum()))
        sensitive = find_corpus(session, row.corpus_id).sensitive
    return Material(row.corpus_id, scheme.option_keys, texts, found, doubt, sensitive, context.blobs)


def _record(
    context: JobContext, asked: SampleRequest, snapshot_id: str, material: Material, chosen: Chosen, seconds: float
) -> None:  # fmt: skip
    """The sample and the job's end in one transaction: one sample a job, or none."""
    frame = int(material.places.frame.sum())

    def body(session: WriteSession) -> None:
        sample = session.scalars(select(Sample).where(Sample.job_id == context.job_id)).first()
        if sample is None:
            sample = Sample(
                id=new_id("smp"),
                corpus_id=material.corpus_id,
                method=asked.strategy,
                seed=asked.seed,
                text_ids=[int(material.texts.text_ids[row]) for row in chosen.rows],
                inclusion=list(chosen.inclusion),
                strata=chosen.strata,
                frame_size=frame,
                spec=context.params,
                report=chosen.report,
                snapshot_id=snapshot_id,
                job_id=context.job_id,
            )
            session.add(sample)
            session.flush()
        context.succeed(session, _result(sample, frame, seconds))

    context.transaction(body)


def _result(sample: Sample, frame: int, seconds: float) -> dict[str, Any]:
    certain = sum(value is None for value in sample.inclusion)
    picked = f", {certain:,} of them picked for their score" if certain else ""
    return {
        "sample_id": sample.id,
        "snapshot_id": sample.snapshot_id,
        "strategy": sample.method,
        "size": len(sample.text_ids),
        "frame": frame,
        "certain": certain,
        "seconds": round(seconds, 2),
        "words": f"{sample.id}: {len(sample.text_ids):,} of {frame:,} texts, {sample.method}{picked}.",
    }


if __name__ == "__main__":
    child_main(run)
