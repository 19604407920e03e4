"""SQL of estimates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text

from app.audits.queries import scheme_of
from app.audits.settled import closed_samples
from app.corpora.codebook import definition_digest
from app.db.session import AnySession
from app.db.tables import Adapter, AuditSample, Corpus, Estimates, RelabelRun
from app.estimates.rules import plain
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Principal, check_scope
from app.relabelling.queries import find_run
from models.scheme import Scheme

_COLUMN_NAMES = text(
    """SELECT DISTINCT jsonb_object_keys(metadata) FROM texts WHERE corpus_id = :corpus
    UNION SELECT DISTINCT jsonb_object_keys(groups) FROM texts WHERE corpus_id = :corpus"""
)
_GROUP_NAMES = text("SELECT DISTINCT jsonb_object_keys(groups) FROM texts WHERE corpus_id = :corpus")
_COLUMNS = text("SELECT id, groups || metadata FROM texts WHERE corpus_id = :corpus")
_GROUPS = text("SELECT id, groups ->> :key FROM texts WHERE corpus_id = :corpus")
_PROBABILITIES = text(
    "SELECT text_version_id, probabilities FROM predictions WHERE run_id = :run AND held_out AND models > 0"
)
_OF_CORPUS = text(
    """SELECT e.job_id, e.audit_sample_id, e.created_at, jsonb_array_length(e.document -> 'analyses') AS analyses
    FROM estimates e WHERE e.corpus_id = :corpus AND (CAST(:sample AS text) IS NULL OR e.audit_sample_id = :sample
        OR e.document -> 'audit_samples' @> jsonb_build_array(jsonb_build_object('id', CAST(:sample AS text))))
    ORDER BY e.created_at DESC, e.job_id DESC LIMIT 20"""
)


def find_estimates(session: AnySession, job_id: str, caller: Principal) -> Estimates:
    """What an estimates job found; NotFound when there is none that this key reaches, or it has not succeeded."""
    found = session.get(Estimates, job_id)
    if found is None:
        raise NotFound(
            f"There are no finished estimates {job_id!r}: GET /estimates lists the jobs.", field="job_id"
        )
    check_scope(caller, found.corpus_id)
    return found


def estimates_of(session: AnySession, corpus_id: str, sample_id: str | None = None) -> list[dict[str, Any]]:
    """Finished estimates of a corpus (from one audit sample), newest first."""
    rows = session.execute(_OF_CORPUS, {"corpus": corpus_id, "sample": sample_id}).mappings()
    return [dict(row) for row in rows]


def samples_for(
    session: AnySession, corpus: Corpus, wanted: str | None, several: Sequence[str] | None = None
) -> list[AuditSample]:
    """The closed audit samples of the whole corpus that estimates rest on, the oldest first: those named, else the newest alone."""
    if not several:
        return [_sample(session, corpus, wanted, "/audit_sample")]
    found = [_sample(session, corpus, one, f"/audit_samples/{at}") for at, one in enumerate(several)]
    seeds = {one.seed for one in found}
    if len(seeds) < len(found):
        raise Invalid(
            "Two of these samples were drawn with the same seed: a seed puts texts into the same order every time, so they are no "
            "independent samples. Name one of them.",
            field="/audit_samples",
            slug="same-seed",
        )
    return sorted(found, key=lambda one: (one.sealed_at, one.id))


def check_definitions(session: AnySession, samples: Sequence[AuditSample], labels: Sequence[str]) -> None:
    """Raise Conflict for a label that was read by another definition in one sample than in another."""
    schemes = [scheme_of(session, sample) for sample in samples]
    for label in labels:
        read = [_definition(scheme, label) for scheme in schemes]
        changed = [sample.name for sample, one in zip(samples, read, strict=True) if one != read[-1]]
        if changed:
            raise Conflict(
                f"The codebook's definition of {label!r} is not the same in {', '.join(map(repr, changed))} as in {samples[-1].name!r}: "
                "what was read by another definition is another label. Name samples of one definition.",
                field="/audit_samples",
                slug="codebooks-differ",
            )


def _definition(scheme: Scheme, label: str) -> str:
    cell = next(cell for cell in scheme.cells if scheme.option_keys.index(label) in cell.positions)
    question = next(one for one in scheme.questions if one.key == cell.question)
    return definition_digest(question, cell.option)


def _sample(session: AnySession, corpus: Corpus, wanted: str | None, field: str) -> AuditSample:
    """One closed sample of totals: the one named, else the newest."""
    if wanted is None:
        newest = closed_samples(session, corpus.id, "totals")
        if not newest:
            raise Conflict(
                f"The corpus {corpus.name!r} has no closed audit sample: draw one with POST /audit-samples, have it read, and close it.",
                field=field,
                slug="no-closed-audit-sample",
            )
        wanted = newest[0]
    found = session.get(AuditSample, wanted)
    if found is None or found.corpus_id != corpus.id:
        raise NotFound(f"The corpus has no audit sample {wanted!r}.", field=field)
    if found.purpose != "totals":
        raise Invalid(
            f"{found.name!r} was drawn from what reviews had left over, not from the whole corpus: name a sample of totals.",
            field=field,
            slug="stopping-sample",
        )
    if found.state != "closed":
        raise Conflict(
            f"The audit sample {found.name!r} is still being read: close it first.",
            field=field,
            slug="audit-sample-open",
        )
    return found


def run_for(session: AnySession, corpus: Corpus, wanted: str | None) -> RelabelRun | None:
    """The finished run whose probabilities help: the one named, else the newest, else none."""
    try:
        found = find_run(session, corpus.id, wanted)
    except NotFound as problem:
        if wanted is None:
            return None
        problem.field = "/run"
        raise
    if found.finished_at is None:
        raise Conflict(f"The run {wanted!r} has not finished.", field="/run", slug="run-unfinished")
    return found


def column_names(session: AnySession, corpus_id: str) -> set[str]:
    """Metadata and grouping keys that any text has."""
    return set(session.scalars(_COLUMN_NAMES, {"corpus": corpus_id}))


def group_names(session: AnySession, corpus_id: str) -> set[str]:
    """Grouping keys that any text has."""
    return set(session.scalars(_GROUP_NAMES, {"corpus": corpus_id}))


def columns_of(
    session: AnySession, corpus_id: str, text_ids: NDArray[np.int64], wanted: Sequence[str]
) -> dict[str, list[Any]]:
    """Values of metadata or grouping keys, in the order of `text_ids`; metadata where both have the key."""
    if not wanted:
        return {}
    found = session.execute(_COLUMNS, {"corpus": corpus_id})
    rows: dict[int, dict[str, Any]] = {number: values for number, values in found}  # noqa: C416  # mypy reads no types from rows
    return {key: [plain(rows.get(number, {}).get(key)) for number in text_ids.tolist()] for key in wanted}


def clusters_of(
    session: AnySession, corpus_id: str, text_ids: NDArray[np.int64], key: str | None
) -> NDArray[np.int64] | None:
    """The cluster of each text, counted from 0; a text without the key is one of its own. None without a key."""
    if key is None:
        return None
    rows = session.execute(_GROUPS, {"corpus": corpus_id, "key": key})
    named: dict[int, str | None] = {number: name for number, name in rows}  # noqa: C416  # as above
    names = [named.get(number) or f"\0{number}" for number in text_ids.tolist()]
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def probabilities_of(
    session: AnySession, run: RelabelRun | None, versions: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Held-out probabilities by label, in the order of the text versions; NaN where the run has none."""
    found = {label: np.full(len(versions), np.nan) for label in labels}
    if run is None:
        return found
    place = {number: row for row, number in enumerate(versions.tolist())}
    keys = {label: run.option_keys.index(label) for label in labels if label in run.option_keys}
    for version, values in session.execute(_PROBABILITIES, {"run": run.id}):
        row = place.get(version)
        if row is not None:
            for label, at in keys.items():
                found[label][row] = values[at]
    return found


def adapter_words(session: AnySession, run: RelabelRun | None) -> dict[str, Any] | None:
    """The run with its adapter's name, base model and digest."""
    if run is None:
        return None
    adapter = session.scalars(select(Adapter).where(Adapter.id == run.adapter_id)).one()
    return {
        "id": run.id, "adapter_id": adapter.id, "adapter_name": adapter.name, "adapter_digest": adapter.digest,
        "base_model": adapter.base_model,
    }  # fmt: skip
