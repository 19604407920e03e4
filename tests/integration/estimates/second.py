"""A second audit sample of the synthetic corpus, drawn from what the first one had left: labels corrected, letters gone, letters rewritten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert, select, text, update

from app.audits.frame import NOT_DRAWN, Frame, read_frame, to_arrow
from app.blobs import BlobStore
from app.db.session import WriteSession, writing
from app.db.tables import (
    AuditReading,
    AuditSample,
    AuditSampleText,
    LabelSnapshot,
    SchemeVersion,
    TextVersion,
)
from app.ids import new_id
from tests.integration.estimates.world import READ, SCHEME, TEXTS, World, blob

GONE, REWRITTEN, DRAWN = 100, range(200, 220), 240
"""The first letters have left the frame, these have new contents, and so many are drawn."""


def draw_again(
    engine: Engine, blobs: BlobStore, world: World, *, seed: int = 12, definition: str = "", gone: int = GONE,
    every: bool = False,
) -> str:  # fmt: skip
    """A closed second sample in two bands; what the first had found decides the bands. definition: of remorse, changed since.

    gone: letters at the beginning that are in the frame no more. every: of the others all have new contents.
    """
    rng = np.random.default_rng(seed)
    with writing(engine) as session:
        first = session.get_one(AuditSample, world.sample_id)
        frame = _frame(session, blobs, first, world, rng, gone, TEXTS if every else 0)
        sample = _store(session, blobs, first, frame, seed, _scheme(session, first.corpus_id, definition))
        _read(session, sample, frame, world)
    return sample.id


def _frame(
    session: WriteSession, blobs: BlobStore, first: AuditSample, world: World, rng: Any, gone: int, rewritten: int
) -> Frame:  # fmt: skip
    before = read_frame(blobs.path(first.frame_blob))
    versions = before.text_version_ids.copy()
    for row in range(rewritten) if rewritten else REWRITTEN:
        number = int(before.text_ids[row])
        versions[row] = session.scalars(
            insert(TextVersion).returning(TextVersion.id),
            {"text_id": number, "version": 2, "content": f"Dear judge, once more {number}", "sha256": (10**6 + number).to_bytes(32, "big")},
        ).one()  # fmt: skip
        session.execute(
            text("UPDATE texts SET current_version_id = :version WHERE id = :text"),
            {"version": int(versions[row]), "text": number},
        )
    read = before.place != NOT_DRAWN
    given = np.where(read[:, None], world.truth, before.given).astype(np.int8)  # released into labels since
    corrected = (before.given != given).any(axis=1)
    stratum = (corrected | (rng.random(TEXTS) < 0.3)).astype(np.int32)
    left = np.arange(gone, TEXTS)
    drawn = np.concatenate([rng.choice(left[stratum[left] == h], DRAWN // 2, replace=False) for h in (0, 1)])
    place = np.full(TEXTS, NOT_DRAWN, dtype=np.int32)
    place[rng.permutation(drawn)] = np.arange(DRAWN)
    return Frame(
        before.text_ids[left], versions[left], [before.external_ids[row] for row in left], stratum[left], place[left], given[left],
        before.audited[left], before.suspicion[left],
    )  # fmt: skip


def _scheme(session: WriteSession, corpus_id: str, definition: str) -> int:
    if not definition:
        return 1
    question = SCHEME.questions[0]
    options = (replace(question.options[0], definition=definition), *question.options[1:])
    changed = replace(SCHEME, questions=(replace(question, options=options),))
    session.add(
        SchemeVersion(corpus_id=corpus_id, version=2, document=changed.to_document(), digest="7" * 64)
    )
    return 2


def _store(
    session: WriteSession, blobs: BlobStore, first: AuditSample, frame: Frame, seed: int, scheme: int
) -> AuditSample:
    snapshot = LabelSnapshot(
        id=new_id("snp"), corpus_id=first.corpus_id, digest="6" * 64, blob_digest=blob(session, blobs, b"later labels"),
        scheme_version=scheme, text_count=TEXTS, cell_count=2 * TEXTS,
    )  # fmt: skip
    session.add(snapshot)
    session.flush()
    sample = AuditSample(
        id=new_id("aud"), corpus_id=first.corpus_id, name="autumn", purpose="totals", snapshot_id=snapshot.id, run_id=first.run_id,
        scheme_version=scheme, option_keys=list(READ), readers=1, design={}, seed=seed,
        frame_blob=blob(session, blobs, to_arrow(frame)), seal_blob=blob(session, blobs, b'{"again": true}'),
    )  # fmt: skip
    session.add(sample)
    session.flush()
    session.execute(
        insert(AuditSampleText),
        [
            {"audit_sample_id": sample.id, "text_id": int(frame.text_ids[row]), "reading_order": place, "stratum": str(frame.stratum[row]),
             "inclusion": 0.2, "text_version_id": int(frame.text_version_ids[row])}
            for place, row in enumerate(frame.drawn)
        ],
    )  # fmt: skip
    return sample


def _read(session: WriteSession, sample: AuditSample, frame: Frame, world: World) -> None:
    row_of = {name: row for row, name in enumerate(world.external_ids)}
    values = [world.truth[row_of[frame.external_ids[row]]].tolist() for row in frame.drawn]
    twice = set(
        session.scalars(
            select(AuditSampleText.text_id).where(AuditSampleText.audit_sample_id == world.sample_id)
        )
    )
    new = set(session.scalars(select(TextVersion.id).where(TextVersion.version == 2)))
    both = [
        place
        for place, row in enumerate(frame.drawn)
        if int(frame.text_ids[row]) in twice and int(frame.text_version_ids[row]) not in new
    ]
    for at in both[:1]:  # one letter that the first reader has read otherwise
        values[at][1] = 1 - values[at][1]
    session.execute(
        insert(AuditReading),
        [
            {"audit_sample_id": sample.id, "text_id": int(frame.text_ids[row]), "text_version_id": int(frame.text_version_ids[row]),
             "reader": "otto", "role": "reader", "values": values[place]}
            for place, row in enumerate(frame.drawn)
        ],
    )  # fmt: skip
    session.execute(
        update(AuditSample)
        .where(AuditSample.id == sample.id)
        .values(state="closed", closed_at=datetime.now(UTC))
    )
