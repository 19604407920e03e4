"""`/searches/{id}` and `/trials/{id}`: a page for browsers, JSON for everybody else, for those alone whose key reaches the corpus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Adapter, Job
from tests.api import bearer, client_of_an_admin
from tests.integration.review_corpus import Built, reviewed_corpus
from tests.searches import a_search

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def built(engine: Engine) -> Built:
    return reviewed_corpus(engine)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of_an_admin(engine) as client:
        yield client


def test_the_accept_header_decides(client: TestClient, engine: Engine, built: Built) -> None:
    search_id = a_search(engine, built)
    (trial_id, *_) = [item["job_id"] for item in client.get(f"/searches/{search_id}/trials").json()["items"]]
    for path in (f"/searches/{search_id}", f"/trials/{trial_id}"):
        document = client.get(path)
        assert document.json()["links"]["self"] == path
        page = client.get(path, headers=HTML)
        assert page.headers["Content-Type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "<script>" not in page.text
        assert " style=" not in page.text
        assert page.headers["Vary"] == "Accept, Cookie"


def test_hostile_words_of_an_error_stay_words(client: TestClient, engine: Engine, built: Built) -> None:
    page = client.get(f"/searches/{a_search(engine, built)}", headers=HTML).text
    assert "No room for &lt;b&gt;rank&lt;/b&gt; 32" in page
    assert "<b>rank</b>" not in page


@pytest.mark.parametrize(("query", "field"), [("sort=nonsense", "sort"), ("still=2", "still")])
def test_a_wrong_query_is_a_problem_that_names_it(
    client: TestClient, engine: Engine, built: Built, query: str, field: str
) -> None:
    answer = client.get(f"/searches/{a_search(engine, built)}?{query}", headers=HTML)
    assert answer.status_code == 422
    assert field in answer.text


def test_only_a_search_under_way_is_looked_at_again(client: TestClient, engine: Engine, built: Built) -> None:
    running = a_search(engine, built, over=False)
    assert "refresh.js" in client.get(f"/searches/{running}", headers=HTML).text
    assert "refresh.js" not in client.get(f"/searches/{running}?still=1", headers=HTML).text
    with writing(engine) as session:
        session.get_one(Job, running).progress = {}
    assert "refresh.js" in client.get(f"/searches/{running}", headers=HTML).text
    assert "refresh.js" not in client.get(f"/searches/{a_search(engine, built)}", headers=HTML).text


def test_a_search_without_any_trial_has_a_page(client: TestClient, engine: Engine, built: Built) -> None:
    page = client.get(f"/searches/{a_search(engine, built, 0, over=False)}", headers=HTML)
    assert page.status_code == 200
    assert "No trial has been made yet" in page.text


def test_keys_of_another_corpus_find_nothing(client: TestClient, engine: Engine, built: Built) -> None:
    from app.http.security import create_api_key
    from tests.integration.review_corpus import build_corpus

    search_id = a_search(engine, built)
    with writing(engine) as session:
        other = build_corpus(session, "elsewhere")
        _, secret = create_api_key(session, "guest", "reader", other.corpus_id)
    answer = client.get(f"/searches/{search_id}", headers=HTML | bearer(secret))
    assert answer.status_code == 404
    assert search_id not in client.get("/", headers=HTML | bearer(secret)).text


def test_the_report_leads_to_the_search_while_it_is_there(
    client: TestClient, engine: Engine, built: Built
) -> None:
    search_id = a_search(engine, built)
    with writing(engine) as session:
        adapter = next(
            row
            for row in session.query(Adapter)
            if row.report.get("search", {}).get("search_id") == search_id
        )
        path = f"/reports/{adapter.id}"
    assert f'href="/searches/{search_id}"' in client.get(path, headers=HTML).text
    with writing(engine) as session:
        adapter = session.get_one(Adapter, path.removeprefix("/reports/"))
        adapter.report = adapter.report | {
            "search": adapter.report["search"] | {"search_id": "job_elsewhere"}
        }
    page = client.get(path, headers=HTML).text
    assert "/searches/" not in page
    assert "search of 2 trials" in page
