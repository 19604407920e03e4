"""An estimates job: the panel as it was sealed, every analysis solved, the package written, all of it stored in one transaction."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict, dataclass
from typing import Any

from app.audits.queries import people
from app.blobs import Blob
from app.corpora.queries import register_blob
from app.db.session import AnySession, WriteSession, reading
from app.db.tables import AuditSample, Corpus, Estimates, LabelSnapshot, RelabelRun
from app.estimates.panel import Loaded, load_panel
from app.estimates.queries import adapter_words
from app.estimates.rules import preview
from app.http.problems import Problem
from app.settings import get_settings
from models.estimates.answers import Answer, answer
from models.estimates.panel import Drawn
from models.estimates.preparing import prepare
from models.versions import installed
from workers.estimates.archive import package_of
from workers.estimates.tables import analyses_csv, texts_csv
from workers.estimates.words import methods, sources
from workers.job_context import JobContext, JobFailed, JobStopped

PACKAGE_TYPE = "application/zip"


@dataclass(frozen=True, slots=True)
class _Material:
    """The panel, and what the answer says of where it came from."""

    loaded: Loaded
    about: dict[str, Any]


def run(context: JobContext) -> None:
    """One attempt; a later one finds the same."""
    try:
        material = _material(context)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    answers = _answers(context, material.loaded)
    document = _document(context, material, answers)
    salt = hmac.new(
        get_settings().secret_key.get_secret_value().encode(), f"package:{context.job_id}".encode(), hashlib.sha256
    ).digest()  # fmt: skip
    package = package_of(
        document,
        texts_csv(material.loaded.panel, material.loaded.names, answers, salt),
        analyses_csv(answers, context.params["level"]),
    )
    _store(context, document, context.blobs.put_bytes(package))


def _material(context: JobContext) -> _Material:
    asked = context.params
    with reading() as session:
        samples = [_sample(session, name) for name in asked.get("audit_samples") or [asked["audit_sample"]]]
        run_ = None if asked["run"] is None else session.get(RelabelRun, asked["run"])
        loaded = load_panel(session, context.blobs, samples, run_, asked)
        corpus = session.get_one(Corpus, samples[-1].corpus_id)
        told = [
            _sample_words(session, sample, drawn, loaded.frame)
            for sample, drawn in zip(samples, loaded.panel.samples, strict=True)
        ]
        about = {
            "corpus": {"id": corpus.id, "name": corpus.name, "synthetic": corpus.synthetic},
            "snapshot": told[-1]["snapshot"],
            "audit_sample": told[-1],
            "audit_samples": told,
            "read_twice": loaded.read_twice,
            "read_differently": loaded.read_differently,
            "run": adapter_words(session, run_),
        }
    return _Material(loaded, about)


def _sample(session: AnySession, name: str) -> AuditSample:
    found = session.get(AuditSample, name)
    if found is None:
        raise JobFailed("audit-sample-gone", f"The audit sample {name} was deleted before the job ran.")
    return found


def _sample_words(session: AnySession, sample: AuditSample, drawn: Drawn, newest: int) -> dict[str, Any]:
    """What is told of one sample; newest: texts of the newest frame, which stand first."""
    readers, snapshot = people(session, sample.id), session.get_one(LabelSnapshot, sample.snapshot_id)
    assert sample.closed_at is not None
    return {
        "id": sample.id, "name": sample.name, "drawn": int(drawn.drawn.sum()), "frame": int(drawn.frame.sum()),
        "still_there": int(drawn.drawn[:newest].sum()), "snapshot": {"id": snapshot.id, "digest": snapshot.digest},
        "strata": int(drawn.stratum.max()) + 1, "seed": sample.seed, "readers": sample.readers,
        "adjudicator": any(person["role"] == "adjudicator" for person in readers),
        "readings": sum(person["read"] for person in readers), "not_blind": sum(person["not_blind"] for person in readers),
        "sealed_at": sample.sealed_at.isoformat(), "closed_at": sample.closed_at.isoformat(),
        "frame_digest": sample.frame_blob,
    }  # fmt: skip


def _answers(context: JobContext, loaded: Loaded) -> list[Answer]:
    found = []
    for number, analysis in enumerate(loaded.analyses):
        if context.stop_reason() is not None:
            raise JobStopped
        context.progress(stage="estimating", done=number, total=len(loaded.analyses))
        prepared = prepare(loaded.panel, analysis)
        found.append(answer(loaded.panel, prepared, context.params["seed"], context.params["level"]))
    return found


def _document(context: JobContext, material: _Material, answers: list[Answer]) -> dict[str, Any]:
    asked = context.params
    document = {
        **material.about,
        **{name: asked[name] for name in ("cluster_by", "where", "seed", "level")},
        "analyses": [_told(number, one) for number, one in enumerate(answers, start=1)],
        "versions": installed(("remand", "numpy", "scipy")),
    }
    return document | {"methods": methods(document), "sources": sources(document)}


def _told(number: int, one: Answer) -> dict[str, Any]:
    """An analysis as the report tells it."""
    first = one.estimates[0] if one.estimates else None
    return preview(number, one.prepared) | {
        "kind": one.prepared.analysis.kind,
        "answerable": one.refusal is None,
        "reason": one.refusal,
        "references": one.prepared.references,
        "method": None if first is None else first.method,
        "tuning": None if first is None else first.tuning,
        "freedom": None if first is None else first.freedom,
        "rare": first is not None and first.tuning is None,
        "estimates": [asdict(estimate) for estimate in one.estimates],
    }


def _store(context: JobContext, document: dict[str, Any], blob: Blob) -> None:
    """The row, the package and the job's end in one transaction."""

    def body(session: WriteSession) -> None:
        register_blob(session, context.blobs, blob, PACKAGE_TYPE, "replication-package")
        sample = document["audit_sample"]["id"]
        session.add(
            Estimates(
                job_id=context.job_id,
                corpus_id=document["corpus"]["id"],
                audit_sample_id=sample,
                run_id=None if document["run"] is None else document["run"]["id"],
                document=document,
                package_blob=blob.digest,
            )
        )
        session.flush()
        answered = sum(one["answerable"] for one in document["analyses"])
        context.succeed(
            session,
            {
                "audit_sample": sample,
                "audit_samples": [one["id"] for one in document["audit_samples"]],
                "answered": answered,
                "refused": len(document["analyses"]) - answered,
                "report": f"/estimates/{context.job_id}/report",
                "package": f"/estimates/{context.job_id}/package",
                "package_sha256": blob.digest,
            },
        )

    context.transaction(body)
