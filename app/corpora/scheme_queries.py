"""SQL of schemes: the newest version, every version, and storing a new one."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.corpora.scheme_rules import EMPTY, scheme_digest
from app.db.session import AnySession, WriteSession
from app.db.tables import Option, Question, SchemeVersion
from models.scheme import Scheme


def newest_scheme(session: AnySession, corpus_id: str) -> tuple[int, Scheme]:
    """Version and scheme; (0, the empty scheme) before there is one."""
    row = session.scalars(
        select(SchemeVersion)
        .where(SchemeVersion.corpus_id == corpus_id)
        .order_by(SchemeVersion.version.desc())
        .limit(1)
    ).first()
    return (row.version, Scheme.from_document(row.document)) if row else (0, EMPTY)


def scheme_version(session: AnySession, corpus_id: str, version: int) -> SchemeVersion | None:
    """One version, or None."""
    return session.scalars(
        select(SchemeVersion).where(SchemeVersion.corpus_id == corpus_id, SchemeVersion.version == version)
    ).first()


def store_scheme(session: WriteSession, corpus_id: str, scheme: Scheme) -> int:
    """Store a scheme whose positions are settled (`scheme_rules.changed`); gives its version.

    The same scheme as the newest makes no new version. The caller holds the corpus row (`lock_corpus`), so versions follow one another.
    """
    version, current = newest_scheme(session, corpus_id)
    if version and scheme_digest(current) == scheme_digest(scheme):
        return version
    _store_questions(session, corpus_id, scheme)
    session.add(
        SchemeVersion(
            corpus_id=corpus_id,
            version=version + 1,
            document=scheme.to_document(),
            digest=scheme_digest(scheme),
        )
    )
    session.flush()
    return version + 1


def question_ids(session: AnySession, corpus_id: str) -> dict[str, int]:
    """Row ids of the corpus's questions by key."""
    rows = session.execute(select(Question.key, Question.id).where(Question.corpus_id == corpus_id))
    return {row.key: row.id for row in rows}


def _store_questions(session: WriteSession, corpus_id: str, scheme: Scheme) -> None:
    if not scheme.questions:
        return
    questions = insert(Question).values(
        [
            {"corpus_id": corpus_id, "key": q.key, "kind": q.kind.value, "name": q.name}
            for q in scheme.questions
        ]
    )
    session.execute(
        questions.on_conflict_do_update(
            index_elements=["corpus_id", "key"], set_={"name": questions.excluded.name}
        )
    )
    ids = question_ids(session, corpus_id)
    rows = [
        {
            "corpus_id": corpus_id,
            "question_id": ids[question.key],
            "key": option.key,
            "position": option.position,
            "name": option.name,
            "definition": option.definition,
            "retired": option.retired,
        }
        for question in scheme.questions
        for option in question.options
    ]
    if rows:
        options = insert(Option).values(rows)
        fresh = {name: options.excluded[name] for name in ("name", "definition", "retired")}
        session.execute(options.on_conflict_do_update(index_elements=["corpus_id", "key"], set_=fresh))
