"""What may be removed from the folders of workers: checkpoints of jobs that are over, adapters nobody uses, what a kill left half-written."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import structlog
from sqlalchemy import select

from app.blobs import BlobStore
from app.db.session import reading
from app.db.tables import Corpus, Job
from app.jobs.rules import is_final
from app.settings import Settings

STRAY_SECONDS = 24 * 3600.0
"""Files that were being written and have not grown for so long were left by a process that was killed."""
_IN_USE_SECONDS = 3600.0
"""An adapter used so lately is never removed, however little room there is."""

log = structlog.get_logger("remand.work_folder")


def clean_work_folder(settings: Settings) -> None:
    """Remove from this machine's folders what nobody needs any more. Paused jobs keep theirs."""
    remove_ended_jobs(settings.work_root)
    remove_gone_corpora(settings.work_root / "tokens")
    try:
        remove_old_adapters(
            settings.work_root / "adapters",
            older_than_seconds=settings.adapter_cache_days * 86400,
            most_bytes=settings.adapter_cache_mib << 20,
        )
        BlobStore(settings.blob_root).remove_strays(STRAY_SECONDS)
    except OSError as error:  # another process cleans at the same time, or the folder is somebody else's
        log.info("cleaning left undone", error=type(error).__name__)


def remove_ended_jobs(work_root: Path) -> None:
    """Remove the work folders of jobs that are over or gone: checkpoints have no use after the end."""
    folders = {path.name: path for path in work_root.glob("job_*")}
    if not folders:
        return
    with reading() as session:
        found = session.execute(select(Job.id, Job.state).where(Job.id.in_(folders)))
        states = {row.id: row.state for row in found}
    for name, folder in folders.items():
        if name not in states or is_final(states[name]):
            shutil.rmtree(folder, ignore_errors=True)


def remove_gone_corpora(tokens: Path) -> None:
    """Remove the token ids of corpora that were deleted: texts can be read from them."""
    folders = {path.name: path for path in tokens.glob("cor_*")}
    if not folders:
        return
    with reading() as session:
        there = set(session.scalars(select(Corpus.id).where(Corpus.id.in_(folders))))
    for name, folder in folders.items():
        if name not in there:
            shutil.rmtree(folder, ignore_errors=True)


def remove_old_adapters(
    cache: Path, *, older_than_seconds: float, most_bytes: int, now: float | None = None
) -> list[str]:
    """Remove unpacked adapters (workers/adapter_archive.py) by age, then the longest unused until the rest fits; gives their names.

    A folder's time of change is its last use. What a kill left half unpacked goes after a day.
    """
    now = time.time() if now is None else now
    strays = (path for path in cache.glob(".unpacking-*") if now - path.stat().st_mtime > STRAY_SECONDS)
    removed = [_removed(path) for path in strays]
    kept = []
    for path in cache.glob("[0-9a-f]*"):
        idle = now - path.stat().st_mtime
        if idle > max(older_than_seconds, _IN_USE_SECONDS):
            removed.append(_removed(path))
        else:
            kept.append((idle, path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())))
    taken = sum(size for _, _, size in kept)
    for idle, path, size in sorted(kept, reverse=True):
        if taken <= most_bytes or idle <= _IN_USE_SECONDS:
            break
        removed.append(_removed(path))
        taken -= size
    return removed


def _removed(path: Path) -> str:
    """Out of sight first, so that nobody finds half of it."""
    gone = path.with_name(f".unpacking-removed-{path.name.removeprefix('.unpacking-')}")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    return path.name
