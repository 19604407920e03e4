"""A relabel job: held-out members, predictions, one ranking; killed, stopped, restarted."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sqlalchemy import func, select, text

from app.db.session import reading, writing
from app.db.tables import Disagreement, Option, Prediction, Ranking, RelabelRun, Suspicion, Text, TextVersion
from tests.integration.relabel.world import FOLD_CASES, PER_CASE, SEEN_BY_ALL, letters, rewrite, truth_of
from workers.relabel import predict
from workers.stopping import StopFlag

TEXTS = 7 * PER_CASE

pytestmark = pytest.mark.usefixtures("plain_score")


def predictions(run_id):
    """External id -> prediction."""
    query = (
        select(Text.external_id, Prediction)
        .join(TextVersion, TextVersion.text_id == Text.id)
        .join(Prediction, Prediction.text_version_id == TextVersion.id)
    )
    with reading() as session:
        return dict(session.execute(query.where(Prediction.run_id == run_id)).all())


def disagreements(ranking_id):
    """(external id, option) in order."""
    query = select(Text.external_id, Option.key).select_from(Disagreement).join(Text).join(Option)
    with reading() as session:
        rows = session.execute(
            query.where(Disagreement.ranking_id == ranking_id).order_by(Disagreement.position)
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of five texts."""
    monkeypatch.setattr("app.relabelling.rules.CHUNK_TEXTS", 5)


def test_every_text_is_read_by_models_that_have_not_seen_it(world, start, attempt, reader):
    job = attempt(start())
    assert job.state == "succeeded", job.error
    assert job.progress == {"stage": "scoring", "done": 1, "total": 1}
    found = predictions(job.result["run"])
    assert len(found) == TEXTS
    for name, (case, content) in letters().items():
        expected = ("final",) if case == SEEN_BY_ALL else ("fold0",) if case in FOLD_CASES[0] else ("fold1",)
        assert reader.reads[content] == expected
        assert found[name].held_out is (case != SEEN_BY_ALL)
        extra = {"fold0": 0.0, "fold1": 0.02, "final": 0.04}[expected[0]]
        np.testing.assert_allclose(
            found[name].probabilities, [0.05 + extra + 0.8 * said for said in truth_of(content)], rtol=1e-6
        )


def test_a_text_that_changed_its_case_makes_its_new_case_seen(world, start, attempt):
    """c3 was held out from fold1 only, until a text that fold1 learnt from was found to belong to it."""
    with writing() as session:
        session.execute(
            text('UPDATE texts SET groups = \'{"case": "c3"}\' WHERE id = :id'),
            {"id": world.built.texts["c0-0"]},
        )
    found = predictions(attempt(start()).result["run"])
    assert not any(found[f"c3-{number}"].held_out for number in range(PER_CASE))
    assert not found["c0-0"].held_out
    assert all(found[f"{case}-1"].held_out for case in ("c0", "c4"))


def test_after_the_corpus_is_grouped_otherwise_no_mate_of_a_seen_text_is_audited(world, start, attempt):
    """Grouped by judge, every judge has texts that each fold model learnt from."""
    with writing() as session:
        session.execute(
            text("UPDATE texts SET groups = groups || jsonb_build_object('judge', 'j' || id % 2)")
        )
        session.execute(text("UPDATE corpora SET fold_group = 'judge'"))
    result = attempt(start()).result
    assert (result["held_out_texts"], result["not_audited_texts"]) == (0, TEXTS)


def test_an_adapter_of_no_corpus_is_not_taken_in_by_equal_text_ids(world, start, attempt):
    """Another corpus counts its texts from 1 as well: that says nothing about what was seen."""
    with writing() as session:
        session.execute(text("UPDATE adapters SET corpus_id = NULL"))
        session.execute(
            text('UPDATE texts SET groups = \'{"case": "c3"}\' WHERE id = :id'),
            {"id": world.built.texts["c0-0"]},
        )
    found = predictions(attempt(start()).result["run"])
    assert found["c3-1"].held_out
    assert not found["c0-0"].held_out


def test_the_result_counts_what_was_read_and_how(world, start, attempt):
    result = attempt(start()).result
    assert result["texts"] == TEXTS
    assert (result["held_out_texts"], result["not_audited_texts"]) == (TEXTS - PER_CASE, PER_CASE)
    assert result["texts_per_models"] == {
        "held_out": {"1": TEXTS - PER_CASE},
        "not_held_out": PER_CASE,
        "unreadable": 0,
    }
    assert result["audited_cells"] == 2 * (TEXTS - PER_CASE)
    assert set(result["seconds"]) == {"freeze", "held-out members", "read", "score"}
    with reading() as session:
        run = session.get_one(RelabelRun, result["run"])
        assert run.finished_at is not None
        assert (run.watermark, run.text_count, run.not_audited) == (TEXTS, TEXTS, PER_CASE)


def test_wrong_labels_come_first_and_no_unaudited_text_is_listed(world, start, attempt):
    result = attempt(start()).result
    listed = disagreements(result["ranking"])
    assert set(listed[:2]) == world.wrong
    assert not any(name.startswith(SEEN_BY_ALL) for name, _ in listed)
    with reading() as session:
        first = session.scalars(
            select(Disagreement).where(Disagreement.ranking_id == result["ranking"]).order_by("position")
        ).all()
        assert [row.position for row in first] == list(range(1, len(first) + 1))
        assert {(row.human_value, row.model_value) for row in first[:2]} == {("no", "yes")} or all(
            row.human_value != row.model_value for row in first[:2]
        )
        assert all(row.probability < 0.2 for row in first[:2])
        assert session.scalar(select(func.count()).select_from(Suspicion)) == TEXTS - PER_CASE
        ranking = session.get_one(Ranking, result["ranking"])
        assert ranking.cells == [["arguments", "remorse"], ["arguments", "family"]]
        assert (ranking.audited_cells, ranking.flagged_cells) == (result["audited_cells"], len(first))


def test_the_stacked_score_is_what_ranks_when_nothing_is_replaced(world, start, attempt, monkeypatch):
    from models.audit.suspicion import score

    monkeypatch.setattr("workers.relabel.scoring.score", score)
    result = attempt(start()).result
    assert result["method"] == "stacked"
    assert set(disagreements(result["ranking"])[:2]) == world.wrong


def test_a_settled_cell_is_neither_audited_nor_listed(world, start, attempt):
    from app.corpora.codebook import load_codebook
    from app.db.tables import Review

    with writing() as session:
        book = load_codebook(session, world.built.corpus_id)
        question, option = book.question_ids["arguments"], book.option_ids["remorse"]
        session.add(
            Review(
                corpus_id=world.built.corpus_id, text_id=world.built.texts["c0-1"], text_version_id=world.built.versions["c0-1"],
                question_id=question, option_id=option, value="no", reviewer="vera", scheme_version=1,
                definition_digest=book.definitions()[question, option],
            )
        )  # fmt: skip
    result = attempt(start()).result
    assert ("c0-1", "remorse") not in disagreements(result["ranking"])
    assert result["settled_cells"] == 1


@pytest.mark.usefixtures("small_chunks")
def test_a_killed_attempt_is_taken_up_at_its_watermark(world, start, attempt, reader, monkeypatch):
    job_id, write, written = start(), predict._write, []

    def write_some(job, run, assignment, chunk):
        if len(written) == 3:
            raise RuntimeError("killed")
        written.append(chunk.end)
        write(job, run, assignment, chunk)

    monkeypatch.setattr(predict, "_write", write_some)
    first = attempt(job_id)
    assert (first.state, first.checkpoint["watermark"]) == ("queued", 15)
    reader.reads.clear()
    monkeypatch.setattr(predict, "_write", write)
    second = attempt(job_id)
    assert second.state == "succeeded"
    assert second.checkpoint["watermark"] == TEXTS
    done = [content for _, content in letters().values()][:15]
    assert not set(done) & set(reader.reads)
    assert len(predictions(second.result["run"])) == TEXTS


def test_killed_while_the_ranking_is_written_there_is_one_ranking_in_the_end(
    world, start, attempt, monkeypatch
):
    from workers.job_context import JobContext

    job_id, succeed = start(), JobContext.succeed

    def die(self, session, result):
        raise RuntimeError("killed")

    monkeypatch.setattr(JobContext, "succeed", die)
    assert attempt(job_id).state == "queued"
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Ranking)) == 0
        assert session.scalar(select(func.count()).select_from(Suspicion)) == 0
    monkeypatch.setattr(JobContext, "succeed", succeed)
    assert attempt(job_id).state == "succeeded"
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Ranking)) == 1
        assert session.scalar(select(func.count()).select_from(RelabelRun)) == 1


@pytest.mark.usefixtures("small_chunks")
def test_a_worker_that_goes_away_in_the_middle_is_waited_for(world, start, attempt, server, monkeypatch):
    write, gone = predict._write, threading.Event()

    def write_and_pull_the_plug(job, run, assignment, chunk):
        write(job, run, assignment, chunk)
        if chunk.end == 20 and not gone.is_set():
            gone.set()
            server.stop()
            threading.Timer(0.5, server.start).start()

    monkeypatch.setattr(predict, "_write", write_and_pull_the_plug)
    job = attempt(start())
    assert job.state == "succeeded", job.error
    assert gone.is_set()
    assert len(predictions(job.result["run"])) == TEXTS


def test_a_worker_that_never_answers_ends_the_job_with_a_reason(world, start, attempt, server, monkeypatch):
    monkeypatch.setattr("workers.relabel.job.PATIENCE_SECONDS", 0.3)
    server.stop()
    try:
        job = attempt(start())
    finally:
        server.start()
    assert job.state == "failed"
    assert job.error["code"] == "no-inference-worker"


@pytest.mark.usefixtures("small_chunks")
def test_asked_to_stop_it_stops_at_once_and_goes_on_later(world, start, attempt, reader):
    flag, job_id = StopFlag(), start()
    reader.gate = threading.Event()
    threading.Timer(0.5, flag.stop).start()
    assert attempt(job_id, flag).state == "queued"
    reader.gate.set()
    assert attempt(job_id).state == "succeeded"


def test_an_unreadable_text_is_counted_and_not_audited(world, start, attempt, reader):
    reader.unreadable = letters()["c1-4"][1]
    result = attempt(start()).result
    found = predictions(result["run"])["c1-4"]
    assert (found.held_out, found.models) == (False, 0)
    assert np.isnan(found.probabilities).all()
    assert result["texts_per_models"]["unreadable"] == 1
    assert not any(name == "c1-4" for name, _ in disagreements(result["ranking"]))


def test_embeddings_are_stored_and_taken_over_by_the_next_run(world, start, attempt, reader):
    from app.blobs import BlobStore
    from app.settings import get_settings

    first = attempt(start()).result
    assert reader.embedded == TEXTS
    rewrite(world, "c2-5")
    reader.embedded = 0
    second = attempt(start()).result
    assert reader.embedded == TEXTS  # the chunk of the changed text is embedded anew, and there is one chunk
    with reading() as session:
        blobs = BlobStore(get_settings().blob_root)
        stored = [
            np.load(blobs.path(session.get_one(RelabelRun, run["run"]).embeddings_blob))
            for run in (first, second)
        ]
    assert [array.dtype for array in stored] == [np.float16, np.float16]
    assert (stored[0] != stored[1]).any(axis=1).sum() == 1
    reader.embedded = 0
    attempt(start())
    assert reader.embedded == 0


def test_an_adapter_that_was_deleted_fails_the_job_in_words(world, start, attempt):
    job_id = start()
    with writing() as session:
        session.execute(text("DELETE FROM adapters"))
    job = attempt(job_id)
    assert (job.state, job.error["code"]) == ("failed", "adapter-gone")
