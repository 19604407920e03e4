"""An import job from beginning to end."""

from __future__ import annotations

import time
from typing import Any

from app.corpora.mapping import Mapping
from app.corpora.queries import lock_corpus, register_blob
from app.corpora.scheme_queries import newest_scheme, question_ids
from app.db.session import WriteSession, reading, writing
from app.settings import get_settings
from models.scheme import Scheme
from workers.importing.commit import store
from workers.importing.counting import count
from workers.importing.guess import guess
from workers.importing.opening import open_source
from workers.importing.plan import Plan, make_plan
from workers.importing.profile import profile, repeats
from workers.importing.reading import make_reader
from workers.importing.report import in_words
from workers.importing.scripts import Scripts
from workers.importing.settle import settle
from workers.importing.source import Source
from workers.importing.staging import driver, stage, write_rejected
from workers.job_context import JobContext, JobFailed, JobStopped


class SchemeMoved(Exception):
    """Somebody changed the scheme while the file was read: it is read again, against the new one."""


def run(job: JobContext) -> None:
    """Read the upload, settle it against the corpus and, if `commit`, store it; the report is the job's result."""
    assert job.corpus_id is not None
    given = Mapping.model_validate(job.params.get("mapping") or {})
    path = job.blobs.path(job.params["blob"])
    source = open_source(path, job.params.get("filename", ""), given)
    while True:  # each round ends because another change of the scheme was stored: somebody always gets on
        with reading() as session:
            version, scheme = newest_scheme(session, job.corpus_id)
        mapping, guessed, plan, total = _understood(job, source, given, scheme)
        try:
            return _import(job, source, mapping, guessed, plan, total, version)
        except SchemeMoved:
            job.emit("scheme_moved", {"scheme_version": version})


def _understood(
    job: JobContext, source: Source, given: Mapping, scheme: Scheme
) -> tuple[Mapping, list[str], Plan, int]:
    """The first pass: the whole mapping, what of it was guessed, the plan, and the number of rows."""
    began = time.monotonic()

    def watch(rows: int) -> None:
        _stop_if_asked(job)
        job.progress(stage="looking", done=rows, total=None, seconds=round(time.monotonic() - began, 1))

    found = profile(source, watch)
    if not found.rows:
        if found.unreadable:
            raise JobFailed(
                "no-rows",
                "The only row cannot be read: it has another number of fields than the header, or is not valid JSON."
                if found.unreadable == 1
                else f"None of the {found.unreadable:,} rows can be read: each has another number of fields than the header, or is not valid JSON.",
            )
        raise JobFailed("no-rows", "The file has a header but no rows.")
    mapping, guessed = guess(given, found, scheme, lambda names: repeats(source, names))
    return (
        mapping,
        guessed,
        make_plan(mapping, found, scheme, get_settings().max_options),
        found.rows + found.unreadable,
    )


def _import(
    job: JobContext,
    source: Source,
    mapping: Mapping,
    guessed: list[str],
    plan: Plan,
    total: int,
    version: int,
) -> None:
    """The second pass, in one transaction that ends with the job: everything is stored and the job succeeded, or neither."""
    settings, scripts = get_settings(), Scripts()

    def watch(rows: int) -> None:
        _stop_if_asked(job)
        job.progress(stage="reading", done=rows, total=total)

    with writing() as session:
        staged = stage(
            session, source.rows(), make_reader(plan, settings.max_text_characters), watch, scripts.see
        )
        _stop_if_asked(job)
        job.progress(stage="settling", done=total, total=total)
        # From here on imports into one corpus follow one another; NO KEY UPDATE lets everything else go on.
        corpus = lock_corpus(session, str(job.corpus_id))
        if newest_scheme(session, corpus.id)[0] != version:
            raise SchemeMoved(f"{corpus.id} got another scheme while the file was read")
        settle(driver(session), corpus.id, plan, question_ids(session, corpus.id))
        report = _report(job, session, source, mapping, guessed, plan, staged.rows, scripts.foreign())
        if report["commit"]:
            report["scheme_version"] = store(session, corpus, plan, job.job_id, mapping.fold_group)
        job.succeed(session, report)


def _report(
    job: JobContext,
    session: WriteSession,
    source: Source,
    mapping: Mapping,
    guessed: list[str],
    plan: Plan,
    rows: int,
    foreign: tuple[str, float] | None,
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "commit": bool(job.params.get("commit")),
        "format": source.format,
        "rows": rows,
        "notes": list(source.notes),
        "guessed": guessed,
        "mapping": mapping.document(),
        "non_latin": None if foreign is None else {"script": foreign[0], "share": round(foreign[1], 3)},
        **count(driver(session), plan, get_settings().import_rejects_shown),
    }
    report["rejected_blob"] = _keep_rejected(job, session) if report["rejected"]["rows"] else None
    report["words"] = in_words(report, mapping, foreign)
    return report


def _keep_rejected(job: JobContext, session: WriteSession) -> str:
    path = job.work_dir / "rejected.csv"
    write_rejected(session, path)
    blob = job.blobs.put_file(path)
    path.unlink()
    register_blob(session, job.blobs, blob, "text/csv", "import-rejected")
    return blob.digest


def _stop_if_asked(job: JobContext) -> None:
    if job.stop_reason() is not None:
        # Nothing is stored before the end, so there is nothing to keep: the transaction rolls back.
        raise JobStopped
