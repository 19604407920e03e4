"""Which texts to label next: the doubtful, the diverse, both, and a random share with known probabilities beside them."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.integration.relabel.world import PER_CASE
from tests.integration.review_corpus import Built
from tests.samples import draw, texts_of

CORPUS = "synthetic letters"
pytestmark = pytest.mark.usefixtures("plain_score")
DOUBTFUL = ("c1-4", "c2-7", "z-3")


@pytest.fixture
def relabelled(world, attempt, start, engine: Engine) -> str:
    """A finished relabel run that is unsure of three letters; its id."""
    run = attempt(start()).result["run"]
    with engine.begin() as connection:
        connection.execute(
            text(
                """UPDATE predictions p SET probabilities = '{0.5,0.45}' FROM text_versions v JOIN texts t ON t.id = v.text_id
                WHERE v.id = p.text_version_id AND t.external_id = ANY(:names)"""
            ),
            {"names": list(DOUBTFUL)},
        )
    return str(run)


@pytest.mark.parametrize("measure", ["entropy", "margin"])
def test_the_most_doubtful_come_first(client: TestClient, relabelled: str, measure: str) -> None:
    sample = draw(client, CORPUS, strategy="uncertainty", size=3, measure=measure)
    texts = texts_of(client, sample["id"])
    assert {found["external_id"] for found in texts} == set(DOUBTFUL)
    assert {(found["inclusion_probability"], found["certain"]) for found in texts} == {(None, True)}
    assert (sample["certain"], sample["represents_frame"]) == (3, False)
    assert sample["report"]["uncertainty"] == {
        "run": relabelled, "measure": measure, "predicted": 7 * PER_CASE, "without_prediction": 0, "not_held_out": PER_CASE,
    }  # fmt: skip


def test_a_random_share_has_known_probabilities(client: TestClient, relabelled: str) -> None:
    sample = draw(client, CORPUS, strategy="uncertainty", size=20, random_share=0.5)
    texts = texts_of(client, sample["id"])
    picked = [found for found in texts if found["certain"]]
    drawn = [found for found in texts if not found["certain"]]
    assert (len(picked), len(drawn), sample["represents_frame"]) == (10, 10, True)
    assert {found["inclusion_probability"] for found in drawn} == {10 / (7 * PER_CASE)}
    assert set(DOUBTFUL) <= {found["external_id"] for found in texts}
    assert len({found["text_id"] for found in texts}) == 20


def test_diverse_texts_use_the_stored_embeddings(client: TestClient, relabelled: str) -> None:
    sample = draw(client, CORPUS, strategy="diversity", size=6, seed=2)
    facts = sample["report"]["diversity"]
    assert (facts["space"], facts["run"], facts["covered"]) == ("embeddings", relabelled, 0)
    again = draw(client, CORPUS, strategy="diversity", size=6, seed=2)
    assert texts_of(client, sample["id"]) == texts_of(client, again["id"])


def test_without_a_run_words_are_the_space(client: TestClient, corpus: Built) -> None:
    """Labelled letters are covered; clusters and directions know nothing of the split Val."""
    sample = draw(client, "letters", strategy="diversity", size=6, spreading="k_means++", frame={"labels": "unlabelled"})  # fmt: skip
    facts = sample["report"]["diversity"]
    assert (facts["space"], facts["covered"], facts["words"]["fitted_on"]) == ("tf-idf", 60, 60)
    assert {found["labelled"] for found in texts_of(client, sample["id"])} == {False}


def test_diverse_among_the_doubtful(client: TestClient, relabelled: str) -> None:
    sample = draw(client, CORPUS, strategy="uncertain_diverse", size=2, pool=1.5)
    assert {found["external_id"] for found in texts_of(client, sample["id"])} < set(DOUBTFUL)
    assert sample["report"]["diversity"]["candidates"] == 3


def test_more_than_have_been_predicted_cannot_be_picked(
    client: TestClient, relabelled: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM predictions WHERE text_version_id > (SELECT min(text_version_id) + 9 FROM predictions)"))  # fmt: skip
    answer = client.post(f"/corpora/{CORPUS}/samples", json={"strategy": "uncertainty", "size": 11})
    assert (answer.status_code, answer.json()["field"], answer.json()["predicted"]) == (422, "/size", 10)
    assert draw(client, CORPUS, strategy="uncertainty", size=10)["report"]["uncertainty"]["without_prediction"] == 7 * PER_CASE - 10  # fmt: skip
