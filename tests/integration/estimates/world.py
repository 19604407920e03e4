"""A synthetic corpus whose truth is known, misled students, a model's probabilities, and a closed audit sample read by somebody who knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, text

from app.audits.frame import NOT_DRAWN, Frame, to_arrow
from app.blobs import BlobStore
from app.corpora.queries import register_blob
from app.db.session import WriteSession, writing
from app.db.tables import (
    Adapter,
    AuditReading,
    AuditSample,
    AuditSampleText,
    Job,
    LabelSnapshot,
    Prediction,
    RelabelRun,
    Text,
    TextVersion,
)
from app.ids import new_id
from models.scheme import Option, Question, QuestionKind, Scheme
from tests.integration.review_corpus import build_corpus

SCHEME = Scheme(
    (
        Question(
            "arguments",
            QuestionKind.YES_NO_SET,
            (Option("remorse", 0), Option("threat", 1), Option("unread", 2)),
        ),
    )
)
READ = ("remorse", "threat")
TEXTS, CASES, DRAWN = 1500, 150, 360
SECRET = "zanzibar"
"""A word of every text and of every external id: what must not leave."""


@dataclass
class World:
    """What was built, and what is true of it."""

    corpus_id: str
    sample_id: str
    run_id: str
    truth: NDArray[np.int8]
    """int8 (texts, options read)."""
    given: NDArray[np.int8]
    year: NDArray[np.int64]
    court: NDArray[np.str_]
    external_ids: list[str]


def build_world(engine: Engine, blobs: BlobStore, *, seed: int = 5, state: str = "closed") -> World:
    """Students see remorse far too often in the South; the model is good; `threat` is rare; ten letters have no court."""
    rng = np.random.default_rng(seed)
    case = rng.integers(CASES, size=TEXTS)
    court = np.where(case % 3 == 0, "South", np.where(case % 3 == 1, "North", "=East"))
    year = 2015 + rng.integers(8, size=TEXTS)
    odds = -0.6 + 0.8 * (court == "North") + 0.15 * (year - 2018) + 0.4 * rng.standard_normal(CASES)[case]
    remorse = rng.random(TEXTS) < 1 / (1 + np.exp(-odds))
    truth = np.column_stack([remorse, rng.random(TEXTS) < 0.02]).astype(np.int8)
    given = truth.copy()
    wrong = rng.random(TEXTS) < np.where(court == "South", 0.45, 0.05)
    given[wrong & (truth[:, 0] == 0), 0] = 1
    probability = 1 / (1 + np.exp(-(3 * (truth - 0.5) + rng.standard_normal(truth.shape))))
    names = [f"{SECRET}-{number:04}" for number in range(TEXTS)]
    with writing(engine) as session:
        built = build_corpus(session, "synthetic letters", SCHEME, synthetic=True)
        ids, versions = _texts(session, built.corpus_id, names, case, court, year)
        snapshot = _snapshot(session, blobs, built.corpus_id)
        run = _run(session, built.corpus_id, snapshot, versions, probability)
        sample = _sample(
            session,
            blobs,
            built.corpus_id,
            (snapshot, run),
            (ids, versions, names),
            given,
            rng,
            np.abs(given - probability).max(axis=1),
        )
        _readings(session, sample, ids, versions, truth, state)
    return World(built.corpus_id, sample.id, run, truth, given, year, court, names)


def _texts(session: WriteSession, corpus_id: str, names: list[str], case: Any, court: Any, year: Any) -> Any:
    rows = [
        {"corpus_id": corpus_id, "external_id": name, "ordinal": place, "groups": {"case": f"{SECRET}-case-{case[place]}"},
         "metadata_": {"year": int(year[place])} | ({} if place < 10 else {"court": str(court[place])})}
        for place, name in enumerate(names)
    ]  # fmt: skip
    ids = list(session.scalars(insert(Text).returning(Text.id, sort_by_parameter_order=True), rows))
    contents = [
        {"text_id": number, "version": 1, "content": f"Dear {SECRET} judge {number}", "sha256": number.to_bytes(32, "big")}
        for number in ids
    ]  # fmt: skip
    versions = list(
        session.scalars(insert(TextVersion).returning(TextVersion.id, sort_by_parameter_order=True), contents)
    )
    session.execute(
        text("UPDATE texts t SET current_version_id = v.id FROM text_versions v WHERE v.text_id = t.id")
    )
    return np.array(ids), np.array(versions)


def blob(session: WriteSession, blobs: BlobStore, content: bytes) -> str:
    kept = blobs.put_bytes(content)
    register_blob(session, blobs, kept, "application/octet-stream", "test")
    return kept.digest


def _snapshot(session: WriteSession, blobs: BlobStore, corpus_id: str) -> str:
    row = LabelSnapshot(
        id=new_id("snp"), corpus_id=corpus_id, digest="5" * 64, blob_digest=blob(session, blobs, b"labels"), scheme_version=1,
        text_count=TEXTS, cell_count=2 * TEXTS,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row.id


def _run(session: WriteSession, corpus_id: str, snapshot: str, versions: Any, probability: Any) -> str:
    job = Job(id=new_id("job"), corpus_id=corpus_id, kind="relabel", state="succeeded")
    session.add(job)
    session.flush()
    blob = session.scalar(text("SELECT digest FROM blobs LIMIT 1"))
    adapter = Adapter(
        id=new_id("adp"), corpus_id=corpus_id, task="classify", name="letters adapter", base_model="minilm", option_keys=list(READ),
        digest="a" * 64, blob_digest=blob, manifest={},
    )  # fmt: skip
    session.add(adapter)
    session.flush()
    run = RelabelRun(
        id=new_id("run"), job_id=job.id, corpus_id=corpus_id, adapter_id=adapter.id, snapshot_id=snapshot, scheme_version=1,
        option_keys=list(READ), texts_blob=blob, text_count=TEXTS, finished_at=datetime.now(UTC),
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.execute(
        insert(Prediction),
        [
            {"run_id": run.id, "text_version_id": int(version), "probabilities": list(map(float, row)), "held_out": place % 40 != 0, "models": 1}
            for place, (version, row) in enumerate(zip(versions, probability, strict=True))
        ],
    )  # fmt: skip
    return run.id


def _sample(
    session: WriteSession, blobs: BlobStore, corpus_id: str, made_of: tuple[str, str], texts: Any, given: Any, rng: Any, doubt: Any
) -> AuditSample:  # fmt: skip
    """Two bands: labels that the model doubts are drawn twice as often."""
    (snapshot, run), (ids, versions, names) = made_of, texts
    stratum = (doubt > np.quantile(doubt, 0.7)).astype(np.int32)
    drawn = np.concatenate(
        [rng.choice(np.flatnonzero(stratum == h), DRAWN // 2, replace=False) for h in (0, 1)]
    )
    place = np.full(TEXTS, NOT_DRAWN, dtype=np.int32)
    place[rng.permutation(drawn)] = np.arange(DRAWN)
    frame = Frame(
        ids, versions, names, stratum, place, given, np.ones((TEXTS, 2), dtype=np.bool_), doubt[:, None].repeat(2, 1).astype(np.float32)
    )  # fmt: skip
    sample = AuditSample(
        id=new_id("aud"), corpus_id=corpus_id, name="spring", purpose="totals", snapshot_id=snapshot, run_id=run, scheme_version=1,
        option_keys=list(READ), readers=1, design={}, seed=11, frame_blob=blob(session, blobs, to_arrow(frame)),
        seal_blob=blob(session, blobs, b"{}"),
    )  # fmt: skip
    session.add(sample)
    session.flush()
    session.execute(
        insert(AuditSampleText),
        [
            {"audit_sample_id": sample.id, "text_id": int(ids[row]), "reading_order": int(place[row]), "stratum": str(stratum[row]),
             "inclusion": 0.2, "text_version_id": int(versions[row])}
            for row in frame.drawn
        ],
    )  # fmt: skip
    session.info["drawn"] = frame.drawn
    return sample


def _readings(
    session: WriteSession, sample: AuditSample, ids: Any, versions: Any, truth: Any, state: str
) -> None:
    """One reader, who skips the first three letters."""
    session.execute(
        insert(AuditReading),
        [
            {"audit_sample_id": sample.id, "text_id": int(ids[row]), "text_version_id": int(versions[row]), "reader": "vera", "role": "reader",
             "values": [None, None] if place < 3 else [int(value) for value in truth[row]]}
            for place, row in enumerate(session.info["drawn"])
        ],
    )  # fmt: skip
    if state == "closed":
        sample.state, sample.closed_at = "closed", datetime.now(UTC)
        session.flush()
