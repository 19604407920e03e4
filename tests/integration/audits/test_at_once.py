"""Release and review at the same moment, and what a reader may have seen of another sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.corpora.codebook import load_codebook
from app.db.session import writing
from app.db.tables import Review
from tests.audits import OTHER, close, draw, read_all, truth_of
from tests.integration.audits.conftest import Person
from tests.integration.review_corpus import Built

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
_LOCKED = text("SELECT id FROM texts WHERE id = :text FOR NO KEY UPDATE")


def test_a_decision_made_while_a_sample_is_released_stands(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    """A reviewer's transaction holds the text, as deciding does; the release waits for it and leaves its decision alone."""
    sample = draw(ada, design="random", size=60, seed=1)
    read_all(person("vera"), sample["id"])
    close(ada, sample["id"])
    said = OTHER[str(truth_of(3)["remorse"])]
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as session:
            session.execute(_LOCKED, {"text": built.texts["letter-3"]})
            released = pool.submit(ada.post, f"/audit-samples/{sample['id']}/release")
            while not released.done():
                with engine.connect() as other:
                    if other.scalar(_WAITING):
                        break
            codebook = load_codebook(session, built.corpus_id)
            place = (codebook.question_ids["arguments"], codebook.option_ids["remorse"])
            session.add(
                Review(
                    corpus_id=built.corpus_id,
                    text_id=built.texts["letter-3"],
                    text_version_id=built.versions["letter-3"],
                    question_id=place[0],
                    option_id=place[1],
                    value=said,
                    reviewer="wim",
                    scheme_version=codebook.version,
                    definition_digest=codebook.definitions()[place],
                )
            )
        answer = released.result().json()
    assert (answer["reviews"], answer["kept"], answer["contradicted"]) == (179, 1, 1)


def test_whoever_has_seen_the_strata_of_a_sealed_sample_reads_its_texts_not_blind(
    ada: TestClient, person: Person
) -> None:
    vera, wim = person("vera"), person("wim")
    banded = draw(ada, design="stratified", size=30, seed=1)
    read_all(vera, banded["id"])
    close(ada, banded["id"])
    assert wim.get(f"/audit-samples/{banded['id']}/seal").status_code == 200
    every = draw(ada, design="random", size=60, seed=2)
    read_all(wim, every["id"])
    assert close(ada, every["id"])["not_blind"] == 30
