"""A rank job: a new ranking of a finished run from the labels and decisions of now, without reading any text. `python -m workers.rank JOB FENCE`."""

from __future__ import annotations

import numpy as np
from sqlalchemy import select

from app.corpora.snapshots import freeze, read_snapshot
from app.db.session import WriteSession, reading
from app.db.tables import LabelSnapshot, RelabelRun
from app.http.problems import Problem
from models.scheme import MISSING, Labels
from workers.job_context import JobContext, JobFailed, child_main
from workers.neighbours import Surroundings
from workers.relabel.evidence import Kept, gather
from workers.relabel.frozen import Run, finished_run
from workers.relabel.job import Stages
from workers.relabel.members import signed_texts
from workers.relabel.ranking import keep_blobs, result_of, store
from workers.relabel.scoring import Wishes, score_run


def run(job: JobContext) -> None:
    """One attempt; a later one judges by the labels of its own moment."""
    stages, wishes = Stages(job), Wishes.of(job.params)
    with stages.stage("freeze"):
        found = finished_run(job, job.params["run"])
        snapshot_id, labels = _labels(job, found)
    with stages.stage("evidence"):
        kept = _kept(job, found)
        around = (
            Surroundings(found.texts.text_version_ids, found.texts.groups)
            if found.adapter.reads_context
            else None
        )
    with stages.stage("score"):
        scored = score_run(found, kept, labels, wishes, around)

    def body(session: WriteSession) -> None:
        row = session.get_one(RelabelRun, found.id)
        ranking = store(session, found, scored, snapshot_id, wishes.decoys)
        job.succeed(session, result_of(session, row, ranking, scored, stages.seconds))

    job.transaction(body)


def _labels(job: JobContext, found: Run) -> tuple[str, Labels]:
    """The newest snapshot's id and its values on the run's texts: int8 (texts, options of the codebook).

    Texts whose content has changed since the run read them, or that are gone, have no value: nothing is known of what they say now.
    """
    try:
        snapshot = job.transaction(lambda session: freeze(session, found.corpus_id, job.blobs))
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    with reading() as session:
        digest = session.scalars(
            select(LabelSnapshot.blob_digest).where(LabelSnapshot.id == snapshot.id)
        ).one()
    newest = read_snapshot(job.blobs.path(digest))
    order = np.argsort(newest.text_version_ids)
    wanted = found.texts.text_version_ids
    places = order[np.minimum(np.searchsorted(newest.text_version_ids, wanted, sorter=order), len(order) - 1)]
    same = newest.text_version_ids[places] == wanted
    labels = np.where(same[:, None], newest.values[places], MISSING).astype(np.int8)
    return snapshot.id, labels


def _kept(job: JobContext, found: Run) -> Kept:
    """What the run keeps of its texts. Of a run made before anything was kept the texts are read once."""
    with reading() as session:
        row = session.get_one(RelabelRun, found.id)
        evidence, embedded = row.evidence_blob, row.embeddings_blob
    if evidence is not None:
        return Kept.read(job.blobs.path(evidence))
    embeddings = None if embedded is None else np.load(job.blobs.path(embedded), allow_pickle=False)
    kept = gather(found, embeddings, signed_texts(job, found))
    blob = job.blobs.put_bytes(kept.to_bytes())
    job.transaction(
        lambda session: keep_blobs(job, session, session.get_one(RelabelRun, found.id), {"evidence": blob})
    )
    return kept


if __name__ == "__main__":
    child_main(run)
