"""GET /label-disagreements: filters, order, cursors that stay with their ranking, and what a blind reader is not told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from tests.integration import review_corpus as corpus


def cells(client: TestClient, **query: Any) -> list[tuple[str, str]]:
    """(text, option or question) of a listing."""
    answer = client.get("/label-disagreements", params={"corpus": "letters", "state": "all"} | query)
    assert answer.status_code == 200, answer.text
    return [(item["external_id"], item["option"] or item["question"]) for item in answer.json()["items"]]


ALL = [
    ("letter-1", "remorse"),
    ("letter-3", "outcome"),
    ("letter-1", "dependants"),
    ("letter-3", "dependants"),
    ("letter-1", "outcome"),
]


def test_by_falling_suspicion(vera: TestClient, built: corpus.Built) -> None:
    assert cells(vera) == ALL
    assert cells(vera, corpus=built.corpus_id) == ALL


def test_a_cell_without_a_score_comes_last_by_that_score(
    vera: TestClient, engine: Engine, built: corpus.Built
) -> None:
    """No similar text, no `knn`: to Postgres NaN is above every number."""
    listed = [
        {
            "text": "letter-1",
            "question": "arguments",
            "option": "remorse",
            "human": "yes",
            "model": "no",
            "scores": [0.9, float("nan")],
        },
        {
            "text": "letter-2",
            "question": "arguments",
            "option": "remorse",
            "human": "yes",
            "model": "no",
            "scores": [0.8, 0.1],
        },
        {
            "text": "letter-3",
            "question": "arguments",
            "option": "remorse",
            "human": "yes",
            "model": "no",
            "scores": [0.7, 0.6],
        },
    ]
    with writing(engine) as session:
        corpus.add_ranking(session, built, listed, score_names=["stacked", "knn"])
    expected = ["letter-3", "letter-2", "letter-1"]
    assert [text for text, _ in cells(vera, order_by="knn")] == expected
    walked, cursor = [], None
    for _ in expected:
        page = vera.get(
            "/label-disagreements",
            params={"corpus": "letters", "order_by": "knn", "limit": 1}
            | ({"cursor": cursor} if cursor else {}),
        ).json()
        walked += [item["external_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (walked, cursor) == (expected, None)


FILTERS: list[tuple[dict[str, str], list[int]]] = [
    ({"option": "remorse"}, [0]),
    ({"option": "granted"}, [1, 4]),
    ({"option": "denied"}, [1]),
    ({"option": "denied", "blind": "true"}, [1, 4]),
    ({"question": "outcome"}, [1, 4]),
    ({"annotator": "ben"}, [0, 2]),
    ({"annotator": "ben", "team": "2020"}, []),
    ({"team": "2020"}, [1, 3]),
    ({"metadata.court": "South"}, [1, 3]),
    ({"metadata.year": "2019"}, [0, 2, 4]),
    ({"metadata.year": "2019", "metadata.court": "South"}, []),
    ({"metadata.'; DROP TABLE texts; --": "x"}, []),
    ({"group.case": "A", "option": "remorse"}, [0]),
    ({"minimum_score": "0.98"}, [0, 1]),
]


def test_filters(vera: TestClient) -> None:
    for query, places in FILTERS:
        assert cells(vera, **query) == [ALL[place] for place in places], query


WRONG: list[tuple[dict[str, str], int, str]] = [
    ({}, 422, "corpus"),
    ({"corpus": "nothing"}, 404, "corpus"),
    ({"corpus": "letters", "option": "remores"}, 422, "option"),
    ({"corpus": "letters", "question": "remorse"}, 422, "question"),
    ({"corpus": "letters", "colour": "red"}, 422, "colour"),
    ({"corpus": "letters", "metadata.": "red"}, 422, "metadata."),
    ({"corpus": "letters", "minimum_score": "2"}, 422, "minimum_score"),
    ({"corpus": "letters", "ranking": "rnk_none"}, 404, "ranking"),
    ({"run": "run_none"}, 404, "run"),
    ({"corpus": "letters", "cursor": "garbage"}, 422, "cursor"),
]


def test_wrong_questions_name_the_field(vera: TestClient) -> None:
    for query, status, field in WRONG:
        answer = vera.get("/label-disagreements", params=query)
        assert (answer.status_code, answer.json()["field"]) == (status, field), query


def test_pages_follow_their_ranking_though_a_newer_one_appears(
    vera: TestClient, built: corpus.Built, engine: Engine
) -> None:
    query = {"corpus": "letters", "state": "all", "limit": 2}
    first = vera.get("/label-disagreements", params=query).json()
    old = built.ranking_id
    with writing(engine) as session:
        only = {
            "text": "letter-2",
            "question": "arguments",
            "option": "remorse",
            "human": "no",
            "model": "yes",
        }
        new = corpus.add_ranking(session, built, [only])
    seen = list(first["items"])
    cursor = first["next_cursor"]
    while cursor:
        page = vera.get("/label-disagreements", params={**query, "cursor": cursor}).json()
        assert page["ranking_id"] == old
        seen += page["items"]
        cursor = page["next_cursor"]
    assert [item["position"] for item in seen] == [1, 2, 3, 4, 5]
    assert cells(vera) == [("letter-2", "remorse")], "without a cursor the newest ranking is walked"
    wrong = vera.get("/label-disagreements", params={**query, "ranking": new, "cursor": first["next_cursor"]})
    assert wrong.status_code == 422
    assert wrong.json()["type"] == "urn:remand:problem:cursor-of-another-ranking"
    assert (wrong.json()["field"], wrong.json()["cursor_ranking"]) == ("cursor", old)


def test_a_cursor_of_another_corpus_is_refused(vera: TestClient, built: corpus.Built, engine: Engine) -> None:
    cursor = vera.get("/label-disagreements", params={"corpus": "letters", "limit": 1}).json()["next_cursor"]
    with writing(engine) as session:
        corpus.build_corpus(session, "others")
    answer = vera.get("/label-disagreements", params={"corpus": "others", "cursor": cursor})
    assert answer.json()["type"] == "urn:remand:problem:cursor-of-another-ranking"


def test_a_corpus_that_nobody_relabelled_has_no_disagreements(vera: TestClient, engine: Engine) -> None:
    with writing(engine) as session:
        corpus.build_corpus(session, "new")
    page = vera.get("/label-disagreements", params={"corpus": "new"}).json()
    assert page == {"items": [], "next_cursor": None, "ranking_id": None, "run_id": None}


def test_a_key_of_another_corpus_sees_nothing(
    person: Callable[[str], TestClient], built: corpus.Built, engine: Engine
) -> None:
    with writing(engine) as session:
        other = corpus.build_corpus(session, "others")
        corpus.add_key(session, built, "otto", "admin", other.corpus_id)
    otto = person("otto")
    first = f"dis_{built.disagreements[0]}"
    for path in (
        "/label-disagreements?corpus=letters",
        f"/label-disagreements?ranking={built.ranking_id}",
        f"/label-disagreements?run={built.run_id}",
        f"/label-disagreements/export?run={built.run_id}",
        f"/label-disagreements/{first}",
        f"/corpora/{built.corpus_id}/export",
    ):
        assert otto.get(path).status_code == 404, path
    assert otto.put(f"/label-disagreements/{first}/review", json={"value": "yes"}).status_code == 404
    assert otto.post(f"/label-disagreements/{first}/claim").status_code == 404


def test_blind_lists_tell_nothing_but_the_order(vera: TestClient) -> None:
    items = vera.get("/label-disagreements", params={"corpus": "letters", "blind": "true"}).json()["items"]
    hidden = ("human_value", "model_value", "probability", "suspicion")
    assert len(items) == 5
    assert all(item["blind"] and all(item[name] is None for name in hidden) for item in items)


def test_states_move_as_cells_are_decided_and_claimed(
    vera: TestClient, wim: TestClient, built: corpus.Built
) -> None:
    first, second = (f"/label-disagreements/dis_{number}" for number in built.disagreements[:2])
    etag = vera.get(first).headers["ETag"]
    assert vera.put(f"{first}/review", json={"value": "yes"}, headers={"If-Match": etag}).status_code == 200
    assert wim.post(f"{second}/claim").status_code == 200
    assert cells(vera, state="settled") == ALL[:1]
    assert cells(vera, state="claimed") == ALL[1:2]
    assert cells(vera, state="open") == ALL[2:]
    assert cells(wim, state="open") == ALL[1:], "one's own claim stays on one's own list"
