"""The label snapshot of a job: frozen once, kept by its first checkpoint."""

from __future__ import annotations

from app.corpora.snapshots import freeze
from app.db.session import WriteSession
from app.db.tables import LabelSnapshot
from app.http.problems import Problem
from workers.job_context import JobContext, JobFailed


def frozen_snapshot(context: JobContext, given: str | None = None) -> str:
    """The id of the label snapshot that a job names.

    Args:
        context: of the job.
        given: a snapshot that the job has to use; None: the labels of now.

    Raises:
        JobFailed: the corpus has nothing to freeze.
    """
    if context.checkpoint is not None:
        return str(context.checkpoint["snapshot_id"])

    def body(session: WriteSession) -> str:
        assert context.corpus_id is not None
        snapshot = (
            session.get_one(LabelSnapshot, given)
            if given
            else freeze(session, context.corpus_id, context.blobs)
        )
        context.emit(
            "snapshot",
            {
                "snapshot_id": snapshot.id,
                "texts": snapshot.text_count,
                "cells": snapshot.cell_count,
                "ties": snapshot.tie_count,
            },
        )
        context.save_checkpoint({"snapshot_id": snapshot.id}, session)
        return snapshot.id

    try:
        return context.transaction(body)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
