"""Which texts to label next: the doubtful, the diverse, both, and a random share with known probabilities beside them."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.integration.relabel.world import PER_CASE
from tests.integration.review_corpus import Built
from tests.samples import draw, texts_of

CORPUS = "synthetic letters"
TEXTS = 7 * PER_CASE
DOUBTFUL = {"c1-4", "c2-7", "z-3"}


@pytest.fixture
def relabelled(plain_score, world, attempt, start, engine: Engine) -> str:
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


def test_what_a_relabel_run_says_to_label_next(client: TestClient, relabelled: str, engine: Engine) -> None:
    """One run, read in every way: by measure, with a random share, by embeddings, and with too few predictions."""
    for measure in ("entropy", "margin"):
        sample = draw(client, CORPUS, strategy="uncertainty", size=3, measure=measure)
        texts = texts_of(client, sample["id"])
        assert {found["external_id"] for found in texts} == DOUBTFUL
        assert {(found["inclusion_probability"], found["certain"]) for found in texts} == {(None, True)}
        assert (sample["certain"], sample["represents_frame"]) == (3, False)
        assert sample["report"]["uncertainty"] == {
            "run": relabelled, "measure": measure, "predicted": TEXTS, "without_prediction": 0, "not_held_out": PER_CASE,
        }  # fmt: skip
    _random_share(client)
    _diverse(client, relabelled)
    kept = "(SELECT min(text_version_id) + 9 FROM predictions)"
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM predictions WHERE text_version_id > {kept}"))
    answer = client.post(f"/corpora/{CORPUS}/samples", json={"strategy": "uncertainty", "size": 11})
    assert (answer.status_code, answer.json()["field"], answer.json()["predicted"]) == (422, "/size", 10)
    sample = draw(client, CORPUS, strategy="uncertainty", size=10)
    assert sample["report"]["uncertainty"]["without_prediction"] == TEXTS - 10


def _random_share(client: TestClient) -> None:
    """Half of the sample is drawn of the whole frame, before anything is picked."""
    sample = draw(client, CORPUS, strategy="uncertainty", size=20, random_share=0.5)
    texts = texts_of(client, sample["id"])
    drawn = [found for found in texts if not found["certain"]]
    assert (sample["certain"], len(drawn), sample["represents_frame"]) == (10, 10, True)
    assert {found["inclusion_probability"] for found in drawn} == {10 / TEXTS}
    assert {found["external_id"] for found in texts} >= DOUBTFUL
    assert len({found["text_id"] for found in texts}) == 20


def _diverse(client: TestClient, run: str) -> None:
    """By the stored embeddings, the same again; and among the doubtful alone."""
    first, again = (draw(client, CORPUS, strategy="diversity", size=6, seed=2) for _ in range(2))
    facts = first["report"]["diversity"]
    assert (facts["space"], facts["run"], facts["covered"]) == ("embeddings", run, 0)
    assert texts_of(client, first["id"]) == texts_of(client, again["id"])
    both = draw(client, CORPUS, strategy="uncertain_diverse", size=2, pool=1.5)
    assert {found["external_id"] for found in texts_of(client, both["id"])} < DOUBTFUL
    assert both["report"]["diversity"]["candidates"] == 3


def test_without_a_run_words_are_the_space(client: TestClient, corpus: Built) -> None:
    """Labelled letters are covered; directions know nothing of the split Val."""
    asked = {"strategy": "diversity", "spreading": "k_means++", "frame": {"labels": "unlabelled"}}
    sample = draw(client, "letters", size=6, **asked)
    facts = sample["report"]["diversity"]
    assert (facts["space"], facts["covered"], facts["words"]["fitted_on"]) == ("tf-idf", 60, 60)
    assert {found["labelled"] for found in texts_of(client, sample["id"])} == {False}
