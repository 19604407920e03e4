"""Label snapshots on a real database: content-addressed, reviews override, ties listed, nothing of the original changed."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.blobs import BlobStore
from app.corpora.codebook import definition_digest
from app.corpora.snapshots import Snapshot, current_labels, freeze, read_snapshot, to_arrow
from app.db.session import reading, writing
from app.db.tables import LabelSnapshot, Review
from app.http.problems import Conflict
from app.review.queries import settled_cells
from models.scheme import Scheme
from tests.integration import review_corpus as corpus


@pytest.fixture
def built(engine: Engine) -> corpus.Built:
    return corpus.reviewed_corpus(engine)


def snapshot(engine: Engine, built: corpus.Built, folder: Path) -> tuple[LabelSnapshot, Snapshot]:
    blobs = BlobStore(str(folder / "blobs"))
    with writing(engine) as session:
        row = freeze(session, built.corpus_id, blobs)
    return row, read_snapshot(blobs.path(row.blob_digest))


def decide(
    engine: Engine, built: corpus.Built, name: str, question: str, option: str | None, value: str
) -> None:
    scheme = corpus.SCHEME
    entry = next(q for q in scheme.questions if q.key == question)
    with writing(engine) as session:
        session.add(
            Review(
                corpus_id=built.corpus_id,
                text_id=built.texts[name],
                text_version_id=built.versions[name],
                question_id=built.questions[question],
                option_id=None if option is None else built.options[option],
                value=value,
                reviewer="vera",
                scheme_version=1,
                definition_digest=definition_digest(entry, option),
            )
        )


def test_it_holds_every_text_with_its_consensus(
    engine: Engine, built: corpus.Built, environment: Path
) -> None:
    row, found = snapshot(engine, built, environment)
    assert found.external_ids == ["letter-1", "letter-2", "letter-3"]
    assert found.values.tolist() == [[0, 1, 0, 0, 1], [-1, -1, -1, -1, -1], [-1, 0, 0, 1, 0]]
    assert found.groups == ["A", "B", "B"]
    assert found.splits == [None, None, None]
    assert found.text_version_ids.tolist() == [built.versions[name] for name in found.external_ids]
    assert (row.text_count, row.cell_count, row.tie_count) == (3, 5, 1)
    assert row.ties == [[built.texts["letter-2"], "remorse"]]


def test_same_content_same_row_and_same_bytes(engine: Engine, built: corpus.Built, environment: Path) -> None:
    first, _ = snapshot(engine, built, environment)
    again, _ = snapshot(engine, built, environment)
    assert again.id == first.id
    with reading(engine) as session:
        frozen = current_labels(session, built.corpus_id)
    assert sha256(to_arrow(frozen.frame, frozen.values)).hexdigest() == first.blob_digest
    with writing(engine) as session:
        corpus.annotate(session, built, "letter-2", "cem", "arguments", [1, None], team="2020")
    changed, found = snapshot(engine, built, environment)
    assert changed.id != first.id
    assert found.values[1, 0] == 1


def test_settled_reviews_override_and_annotations_stay(
    engine: Engine, built: corpus.Built, environment: Path
) -> None:
    with reading(engine) as session:
        before = session.execute(text("SELECT * FROM annotations ORDER BY id")).all()
    decide(engine, built, "letter-1", "arguments", "remorse", "yes")
    decide(engine, built, "letter-2", "arguments", "remorse", "uncertain")
    decide(engine, built, "letter-3", "outcome", None, "granted")
    row, found = snapshot(engine, built, environment)
    assert found.values.tolist() == [[1, 1, 0, 0, 1], [-1, -1, -1, -1, -1], [-1, 0, 1, 0, 0]]
    assert row.tie_count == 0, "a settled tie is no longer an open question"
    with reading(engine) as session:
        assert session.execute(text("SELECT * FROM annotations ORDER BY id")).all() == before


def test_changed_content_reopens_a_settled_cell_and_a_changed_layout_does_not(
    engine: Engine, built: corpus.Built, environment: Path
) -> None:
    decide(engine, built, "letter-1", "arguments", "remorse", "yes")
    with writing(engine) as session:
        content = "Your Honour,  I am deeply sorry for what I did,\nand my two children wait for me at home."
        corpus.add_version(session, built, "letter-1", content)
    with reading(engine) as session:
        assert [s.value for s in settled_cells(session, built.corpus_id)] == ["yes"]
    with writing(engine) as session:
        corpus.add_version(session, built, "letter-1", "Your Honour, I regret nothing.")
    with reading(engine) as session:
        assert settled_cells(session, built.corpus_id) == []
    assert snapshot(engine, built, environment)[1].values[0, 0] == 0


def test_a_changed_definition_reopens_its_cell_only(engine: Engine, built: corpus.Built) -> None:
    decide(engine, built, "letter-1", "arguments", "remorse", "yes")
    decide(engine, built, "letter-1", "arguments", "dependants", "no")
    decide(engine, built, "letter-1", "outcome", None, "open")
    arguments, outcome = corpus.SCHEME.questions
    remorse, dependants = arguments.options
    changed = replace(arguments, options=(replace(remorse, definition="Regret, said aloud."), dependants))
    with writing(engine) as session:
        corpus.add_scheme(session, built.corpus_id, Scheme((changed, outcome)), 2)
    with reading(engine) as session:
        assert [s.option for s in settled_cells(session, built.corpus_id)] == ["dependants", None]


def test_undone_decisions_do_not_settle(engine: Engine, built: corpus.Built) -> None:
    decide(engine, built, "letter-1", "arguments", "remorse", "yes")
    with writing(engine) as session:
        (settled,) = settled_cells(session, built.corpus_id)
        first = session.get_one(Review, settled.review_id)
        session.add(
            Review(
                corpus_id=built.corpus_id,
                text_id=first.text_id,
                text_version_id=first.text_version_id,
                question_id=first.question_id,
                option_id=first.option_id,
                reviewer="wim",
                scheme_version=1,
                definition_digest="",
                undoes=first.id,
            )
        )
    with reading(engine) as session:
        assert settled_cells(session, built.corpus_id) == []


def test_values_under_different_codebooks_and_undated_ones(
    engine: Engine, built: corpus.Built, environment: Path
) -> None:
    with writing(engine) as session:
        corpus.annotate(session, built, "letter-2", "cem", "arguments", [0, 1], codebook_version="v2")
        newest = datetime(2021, 1, 1, tzinfo=UTC)
        corpus.annotate(session, built, "letter-3", "ann", "arguments", [1, 1], annotated_at=newest)
        corpus.annotate(session, built, "letter-3", "ann", "arguments", [0, 0], annotated_at=None)
    _, found = snapshot(engine, built, environment)
    assert found.values[1, :2].tolist() == [0, 1]
    assert found.values[2, 0] == 1, "an undated value is older than any dated one"


def test_an_empty_corpus_cannot_be_frozen(engine: Engine, environment: Path) -> None:
    with writing(engine) as session:
        empty = corpus.build_corpus(session, "empty")
    with pytest.raises(Conflict, match="no texts"):
        snapshot(engine, empty, environment)


def test_strange_names_come_through(engine: Engine, environment: Path) -> None:
    names = ['quote " comma , line\nbreak', "tab\t", "\\.", "ünïcode \u202e", "NULL"]
    with writing(engine) as session:
        built = corpus.build_corpus(session, "strange")
        for name in names:
            corpus.add_text(session, built, name, "content", given_split="")
    _, found = snapshot(engine, built, environment)
    assert found.external_ids == names
    assert found.groups == [f"text:{name}" for name in names]
    assert found.splits == [""] * len(names)
