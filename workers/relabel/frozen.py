"""The start of a run: labels and text versions frozen, the adapter's files at hand, one row that later attempts find again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text

from app.corpora.snapshots import Snapshot, freeze, read_snapshot
from app.db.session import WriteSession, reading
from app.db.tables import Adapter, LabelSnapshot, RelabelRun
from app.http.problems import Problem
from app.ids import new_id
from models.adapters.folder import ALONE, CALIBRATION, read_manifest
from workers.adapter_archive import adapter_folder
from workers.job_context import JobContext, JobFailed

FINAL = "final"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as every attempt sees it."""

    id: str
    corpus_id: str
    snapshot_id: str
    option_keys: tuple[str, ...]
    texts: Snapshot
    """Every text of the corpus at the start, in the order of predictions."""
    lengths: NDArray[np.int64]
    """int64 (texts): characters."""
    watermark: int
    """Texts predicted by earlier attempts."""
    adapter: AdapterFiles


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """The adapter's unpacked folder and what it says of itself."""

    blob_digest: str
    base_name: str
    base_sha256: str
    folder: Path
    fold_members: tuple[str, ...]
    own: bool
    """Whether it belongs to the corpus that is read: then text ids mean the same in both."""

    def thresholds(self, *, alone: bool = False) -> dict[str, float]:
        """The shipped threshold of each option; alone: for texts that are read without context."""
        path = self.folder / ALONE / CALIBRATION
        path = path if alone and path.is_file() else self.folder / CALIBRATION
        document = json.loads(path.read_text(encoding="utf-8"))
        return {option["key"]: float(option["threshold"]) for option in document["options"]}

    @property
    def reads_context(self) -> bool:
        """Whether it reads what stands around a text."""
        return bool(read_manifest(self.folder).get("encoder", {}).get("context"))

    def fold_folder(self, member: str) -> Path:
        """Where a fold model's files lie."""
        return self.folder / "folds" / member.removeprefix("fold")


def start_or_resume(job: JobContext) -> Run:
    """The job's run: made now, or found as an earlier attempt left it.

    Raises:
        JobFailed: the adapter is gone or unreadable, or the corpus has nothing to read.
    """
    try:
        run_id, blob = job.transaction(lambda session: _ensure_run(job, session))
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    return _run(job, run_id, blob)


def finished_run(job: JobContext, run_id: str) -> Run:
    """A run that another job has finished.

    Raises:
        JobFailed: it was deleted, or its adapter was.
    """
    with reading() as session:
        row = session.get(RelabelRun, run_id)
        if row is None or row.finished_at is None:
            raise JobFailed("run-gone", "The run was deleted before the job ran.")
        blob = row.texts_blob
    return _run(job, run_id, blob)


def _run(job: JobContext, run_id: str, blob: str) -> Run:
    with reading() as session:
        row = session.get(RelabelRun, run_id)
        adapter = session.get(Adapter, row.adapter_id) if row else None
        if row is None or adapter is None:
            raise JobFailed("run-gone", "The run or its adapter was deleted while the job ran.")
        texts = read_snapshot(job.blobs.path(blob))
        lengths = _lengths(session, texts.text_version_ids)
    return Run(
        id=row.id, corpus_id=row.corpus_id, snapshot_id=row.snapshot_id, option_keys=tuple(row.option_keys),
        texts=texts, lengths=lengths, watermark=row.watermark, adapter=_files(job, adapter),
    )  # fmt: skip


def _ensure_run(job: JobContext, session: WriteSession) -> tuple[str, str]:
    """Id of the job's run and digest of its list of texts."""
    row = session.scalars(select(RelabelRun).where(RelabelRun.job_id == job.job_id)).first()
    if row is not None:
        return row.id, row.texts_blob
    assert job.corpus_id is not None
    adapter = session.get(Adapter, job.params["adapter"])
    if adapter is None:
        raise JobFailed(
            "adapter-gone", f"The adapter {job.params['adapter']} was deleted before the job ran."
        )
    snapshot = freeze(session, job.corpus_id, job.blobs)
    row = _new_run(job.job_id, adapter, snapshot)
    session.add(row)
    session.flush()
    job.emit(
        "frozen", {"run": row.id, "snapshot": snapshot.id, "texts": row.text_count, "adapter": adapter.id}
    )
    return row.id, row.texts_blob


def _new_run(job_id: str, adapter: Adapter, snapshot: LabelSnapshot) -> RelabelRun:
    # The snapshot's file lists every text version with its group and digest: it is the frozen list as well.
    return RelabelRun(
        id=new_id("run"), job_id=job_id, corpus_id=snapshot.corpus_id, adapter_id=adapter.id, snapshot_id=snapshot.id,
        scheme_version=snapshot.scheme_version, option_keys=adapter.option_keys, texts_blob=snapshot.blob_digest,
        text_count=snapshot.text_count,
    )  # fmt: skip


def _lengths(session, version_ids: NDArray[np.int64]) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
    query = text("SELECT id, char_length(content) FROM text_versions WHERE id = ANY(:ids)")
    rows = session.execute(query, {"ids": version_ids.tolist()}).all()
    found = dict(map(tuple, rows))
    return np.array([found.get(int(number), 0) for number in version_ids], dtype=np.int64)


def _files(job: JobContext, adapter: Adapter) -> AdapterFiles:
    folder, manifest = adapter_folder(job, adapter.blob_digest)
    return AdapterFiles(
        blob_digest=adapter.blob_digest,
        base_name=manifest["base"]["name"],
        base_sha256=manifest["base"]["sha256"],
        folder=folder,
        fold_members=tuple(name for name in manifest["members"] if name != FINAL),
        own=adapter.corpus_id == job.corpus_id,
    )
