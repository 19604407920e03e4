"""Deleting a corpus takes everything of it and nothing of the others."""

from __future__ import annotations

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.db.session import writing
from app.db.tables import Base
from app.http.security import create_api_key
from tests.api import bearer
from tests.integration.review_corpus import reviewed_corpus

KEPT = {"api_keys", "audit_log", "browser_sessions", "sign_in_links", "idempotency_keys", "leases"}


def rows(engine: Engine) -> dict[str, int]:
    """Rows of every table that holds parts of corpora."""
    with engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in sorted(set(Base.metadata.tables) - KEPT)
        }


def test_runs_rankings_and_reviews_go_with_the_corpus(admin: TestClient, engine: Engine) -> None:
    """What was there before is there afterwards, row for row; a key bound to the corpus is gone at once; others stay."""
    admin.post(
        "/corpora",
        json={
            "name": "other",
            "scheme": {"questions": [{"key": "q", "kind": "yes_no_set", "options": [{"key": "a"}]}]},
        },
    )
    before = rows(engine)
    built = reviewed_corpus(engine)
    with writing(engine) as session:
        scoped = create_api_key(session, "ben", "reader", built.corpus_id)[1]
        session.execute(
            text(
                """INSERT INTO reviews (corpus_id, text_id, text_version_id, question_id, option_id, value, reviewer, scheme_version, definition_digest)
                SELECT t.corpus_id, t.id, t.current_version_id, o.question_id, o.id, 'yes', 'vera', 1, '' FROM texts t, options o
                WHERE t.corpus_id = :corpus AND o.corpus_id = :corpus LIMIT 1"""
            ),
            {"corpus": built.corpus_id},
        )
    held = rows(engine)
    for table in (
        "adapters",
        "annotations",
        "disagreements",
        "predictions",
        "rankings",
        "relabel_runs",
        "reviews",
        "texts",
    ):
        assert held[table] > before[table], table
    assert admin.get("/me", headers=bearer(scoped)).status_code == 200
    assert admin.delete(f"/corpora/{built.corpus_id}").status_code == 204
    assert rows(engine) == before
    assert admin.get("/me", headers=bearer(scoped)).status_code == 401
    assert admin.get("/me", headers=bearer(built.keys["vera"])).status_code == 200
