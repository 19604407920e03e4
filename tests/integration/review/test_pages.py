"""Pages without a browser: headers, errors as pages, CSRF, the report, and addresses that make no sense."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.db.session import reading, writing
from app.db.tables import Adapter, Corpus, Job, Review
from app.http.security import create_sign_in_link
from models.training.report import Reading, build_report
from tests.integration import review_corpus as corpus

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(built: corpus.Built, engine: Engine) -> Iterator[TestClient]:
    """vera's browser, signed in."""
    from app.main import create_app

    with TestClient(create_app(), headers=HTML) as client:
        with writing(engine) as session:
            token = create_sign_in_link(session, built.key_ids["vera"])
        assert client.get(f"/sign-in?token={token}").status_code == 200
        yield client


def field(page: str, name: str) -> str:
    """A hidden field's value."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found.group(1).replace("&#34;", '"').replace("&amp;", "&")


def test_every_page_says_what_it_may_load(browser: TestClient, built: corpus.Built) -> None:
    for path in ("/", "/review?corpus=letters", f"/review/dis_{built.disagreements[0]}", "/nowhere"):
        headers = browser.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; style-src 'self'; script-src 'self'"
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-store"


def test_pages_load_nothing_from_elsewhere(browser: TestClient, built: corpus.Built) -> None:
    for path in ("/", "/review?corpus=letters", f"/review/dis_{built.disagreements[0]}"):
        page = browser.get(path).text
        assert not re.search(r'(src|href|action)="(https?:)?//', page)
        assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page)
        for address in re.findall(r'"(/static/[^"]+)"', page):
            assert browser.get(address).status_code == 200


def test_errors_are_pages_for_browsers_and_problems_for_programs(browser: TestClient) -> None:
    page = browser.get("/review?corpus=nothing")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no corpus" in page.text
    problem = browser.get("/review?corpus=nothing", headers={"Accept": "*/*"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert browser.get("/review?corpus=<script>alert(1)</script>").text.count("<script>alert") == 0


def test_without_a_session_there_is_the_sign_in_form(built: corpus.Built) -> None:
    from app.main import create_app

    with TestClient(create_app(), headers=HTML) as client:
        for path in ("/", "/review?corpus=letters", "/reports/adp_x"):
            page = client.get(path)
            assert page.status_code == 401
            assert 'name="key"' in page.text
            assert 'role="alert"' not in page.text
        wrong = client.post("/sign-in", data={"key": "rmd_wrong"})
        assert (wrong.status_code, 'role="alert"' in wrong.text) == (401, True)
        assert "used before or has expired" in client.get("/sign-in?token=wrong").text
        assert client.post("/sign-in", data={"key": built.keys["vera"]}).url.path == "/"
        assert client.get("/review?corpus=letters").status_code == 200


def test_votes_need_the_page_s_token(browser: TestClient, built: corpus.Built, engine: Engine) -> None:
    path = f"/review/dis_{built.disagreements[0]}"
    page = browser.get(path).text
    form = {"value": "yes", "etag": field(page, "etag"), "back": field(page, "back")}
    for token in (None, "", "wrong"):
        refused = browser.post(f"{path}/vote", data=form | ({} if token is None else {"csrf_token": token}))
        assert refused.status_code == 403
    with reading(engine) as session:
        assert session.query(Review).count() == 0
    done = browser.post(f"{path}/vote", data=form | {"csrf_token": field(page, "csrf_token")})
    assert (done.status_code, done.url.path) == (200, path)
    missing = browser.post(
        f"{path}/vote", data={"value": "yes", "csrf_token": field(page, "csrf_token"), "etag": ""}
    )
    assert missing.status_code in {422, 428}


def test_a_value_that_does_not_fit_is_a_page(browser: TestClient, built: corpus.Built) -> None:
    path = f"/review/dis_{built.disagreements[1]}"
    page = browser.get(path).text
    form = {"value": "yes", "etag": field(page, "etag"), "csrf_token": field(page, "csrf_token")}
    refused = browser.post(f"{path}/vote", data=form)
    assert refused.status_code == 422
    assert "choose one of granted, denied, open" in refused.text


ADDRESSES = [
    ("corpus=letters&state=odd", 422),
    ("corpus=letters&minimum_score=nan", 422),
    ("corpus=letters&option=none", 422),
    ("", 422),
    ("corpus=letters&option=&team=&metadata.court=", 200),
    ("corpus=letters&metadata.court=South&state=all", 200),
    ("corpus=letters&after=2", 200),
    ("corpus=letters&after=-1", 422),
]


def test_addresses_of_the_list(browser: TestClient) -> None:
    for query, status in ADDRESSES:
        assert browser.get(f"/review?{query}").status_code == status, query


def test_the_list_hides_what_the_model_says(
    browser: TestClient, built: corpus.Built, person: Callable[[str], TestClient]
) -> None:
    wim = person("wim")
    cell = f"/label-disagreements/dis_{built.disagreements[1]}"
    etag = wim.get(cell).headers["ETag"]
    wim.put(f"{cell}/review", json={"value": "granted"}, headers={"If-Match": etag})
    page = browser.get("/review?corpus=letters&state=all").text
    assert "decided by wim" in page
    items = page[page.index('class="items"') :]
    assert "Granted" not in items
    assert "0.9" not in items


def test_an_unread_corpus_and_an_empty_overview(browser: TestClient, engine: Engine) -> None:
    with writing(engine) as session:
        corpus.build_corpus(session, "new", sensitive=True)
    assert "No model has read this corpus yet" in browser.get("/review?corpus=new").text
    assert "sensitive" in browser.get("/").text


def test_a_key_of_one_corpus_sees_one_corpus(built: corpus.Built, engine: Engine) -> None:
    from app.main import create_app

    with writing(engine) as session:
        other = corpus.build_corpus(session, "others")
        corpus.add_key(session, built, "otto", "reviewer", other.corpus_id)
        token = create_sign_in_link(session, built.key_ids["otto"])
    with TestClient(create_app(), headers=HTML) as client:
        overview = client.get(f"/sign-in?token={token}").text
        assert "others" in overview
        assert "letters" not in overview
        assert client.get("/review?corpus=letters").status_code == 404
        assert client.get(f"/review/dis_{built.disagreements[0]}").status_code == 404


def test_the_report_shows_always_no_beside_accuracy(
    browser: TestClient, built: corpus.Built, engine: Engine
) -> None:
    generator = np.random.default_rng(1)
    rows = 60
    labels = np.zeros((rows, 5), dtype=np.int8)
    labels[:, 0] = generator.random(rows) < 0.3
    labels[:, 1] = generator.random(rows) < 0.1
    labels[np.arange(rows), 2 + generator.integers(0, 3, rows)] = 1

    def reading_of(noise: float) -> Reading:
        probabilities = np.clip(labels + generator.normal(0, noise, labels.shape), 0.01, 0.99).astype(
            np.float32
        )
        return Reading(probabilities, (probabilities > 0.5).astype(np.int8))

    readings = {"model": reading_of(0.4), "tfidf": reading_of(0.6)}
    groups = [str(row // 6) for row in range(rows)]
    epochs = [
        {"epoch": 1, "train_loss": 0.5, "inner_loss": 0.4321, "inner_average_precision": None, "seconds": 2.5}
    ]
    folds = [{"fold": 0, "best_epoch": 1, "inner_epochs": epochs}, {"fold": 1, "best_epoch": 1}]
    report = build_report(corpus.SCHEME, labels, readings, [0.5] * 5, groups, folds=folds)
    with writing(engine) as session:
        session.execute(update(Adapter).values(report=report, beats_baselines=True))
    with reading(engine) as session:
        adapter_id = session.query(Adapter).one().id
    page = browser.get(f"/reports/{adapter_id}").text
    assert "Always no" in page
    assert "beats its baselines" in page
    assert ">F1 TF-IDF<" in page
    assert "Epochs of the 2 held-out folds" in page
    assert "0.432" in page
    options = page[page.index('id="options"') : page.index('id="curves"')]
    assert [options.count(f'<th scope="row">{key}</th>') for key in ("remorse", "granted")] == [1, 2]
    assert page.count("<svg") == 1 + 2 * 5
    assert "Its settings come of a search" not in page
    search = {"nested": False, "trials": [{}, {}], "sentence": "The held-out score is a little too good."}
    with writing(engine) as session:
        session.execute(update(Adapter).values(report=report | {"search": search}))
    page = browser.get(f"/reports/{adapter_id}").text
    assert "Its settings come of a search of 2 trials. The held-out score is a little too good." in page
    cell = browser.get(f"/review/dis_{built.disagreements[0]}?blind=false").text
    assert "50 %" in cell, "the threshold stands beside the probability"


def test_an_empty_corpus_and_a_long_error_take_little_room(browser: TestClient, engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Corpus(id="cor_empty", name="empty <one>"))
        session.flush()
        failed = {"code": "x", "detail": "It failed. " * 40}
        session.add(Job(id="job_long", corpus_id="cor_empty", kind="import", state="failed", error=failed))
    page = browser.get("/").text
    card = page[page.index('aria-labelledby="cor_empty"') :].split("</section>")[0]
    assert "--corpus empty &lt;one&gt; --commit" in card
    assert "annotators" not in card
    assert f'class="small clamp" title="{failed["detail"]}"' in page


def test_an_adapter_without_a_report(browser: TestClient, engine: Engine) -> None:
    with reading(engine) as session:
        adapter_id = session.query(Adapter).one().id
    assert "came without a report" in browser.get(f"/reports/{adapter_id}").text
    assert browser.get("/reports/adp_none").status_code == 404
