"""What is removed from the folders of workers, and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Corpus
from app.jobs.queries import create_job, request_cancel, request_pause
from app.settings import get_settings
from workers.work_folder import clean_work_folder, remove_old_adapters

DAY = 86_400.0


def aged(path: Path, days: float) -> Path:
    at = time.time() - days * DAY
    os.utime(path, (at, at))
    return path


def adapter(cache: Path, name: str, days: float, size: int = 10) -> Path:
    folder = cache / name
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * size)
    return aged(folder, days)


def test_only_folders_of_jobs_that_are_over_go(engine: Engine) -> None:
    work = get_settings().work_root
    with writing(engine) as session:
        ids = [create_job(session, "train", None, {}, None).id for _ in range(3)]
        request_pause(session, ids[0])
        request_cancel(session, ids[1])
    for name in (*ids, "job_gone"):
        (work / name / "checkpoints").mkdir(parents=True)
    clean_work_folder(get_settings())
    assert {path.name for path in work.glob("job_*")} == {ids[0], ids[2]}
    with writing(engine) as session:
        request_cancel(session, ids[0])
    clean_work_folder(get_settings())
    assert {path.name for path in work.glob("job_*")} == {ids[2]}


def test_token_ids_of_deleted_corpora_go(engine: Engine) -> None:
    tokens = get_settings().work_root / "tokens"
    with writing(engine) as session:
        session.add(Corpus(id="cor_there", name="there"))
    for name in ("cor_there", "cor_gone"):
        (tokens / name).mkdir(parents=True)
        (tokens / name / "ids.npy").write_bytes(b"x")
    clean_work_folder(get_settings())
    assert [path.name for path in tokens.iterdir()] == ["cor_there"]


def test_adapters_go_by_age_and_then_by_their_last_use(tmp_path: Path) -> None:
    for name, days in (("a1", 40), ("b2", 3), ("c3", 2), ("d4", 1), ("e5", 0)):
        adapter(tmp_path, name, days)
    adapter(tmp_path, ".unpacking-half", 2)
    adapter(tmp_path, ".unpacking-now", 0)
    removed = remove_old_adapters(tmp_path, older_than_seconds=14 * DAY, most_bytes=25)
    assert sorted(removed) == [".unpacking-half", "a1", "b2", "c3"]
    assert {path.name for path in tmp_path.iterdir()} == {"d4", "e5", ".unpacking-now"}


def test_what_was_just_used_stays_however_little_room_there_is(tmp_path: Path) -> None:
    adapter(tmp_path, "a1", 0)
    assert remove_old_adapters(tmp_path, older_than_seconds=0, most_bytes=0) == []


def test_half_written_blobs_go_after_a_day(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path))
    blob = store.put_bytes(b"kept")
    aged(store.path(blob.digest), 400)
    old, new = tmp_path / ".incoming-old", tmp_path / ".incoming-new"
    for path, days in ((old, 2), (new, 0.5)):
        path.write_bytes(b"half")
        aged(path, days)
    assert store.remove_strays(DAY) == 1
    assert (old.exists(), new.exists(), store.exists(blob.digest)) == (False, True, True)
