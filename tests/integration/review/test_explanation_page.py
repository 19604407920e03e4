"""The page of marked words: after the vote, written down as seen, without a script or a style of its own."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, update

from app.db.session import reading, writing
from app.db.tables import Adapter, AuditLog, Text, TextVersion
from app.http.security import create_sign_in_link
from app.inference.pool import WorkerPool
from app.review.sightings import TEXTS_ACTION
from app.settings import get_settings
from tests.integration import review_corpus as corpus
from tests.integration.review.test_pages import HTML, field


class Worker:
    """Explains every option by the first word (for) and the last one (against)."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.asked.append(body)
        (text,), (keys,) = body["texts"], body["options"]
        if self.error:
            return httpx.Response(200, json={"results": [{"error": self.error}]})
        words = [[match.start(), match.end(), weight] for match, weight in zip(
            [*re.finditer(r"\w+", text)][:: max(1, len(text.split()) - 1)], (2.0, -1.0), strict=False
        )]  # fmt: skip
        option = {
            "logit": 1.0, "base_logit": 0.0, "words": words, "other_words": {"count": 0, "weight": 0.0},
            "sentences": [[0, len(text), 1.0, 0.25]] * 2, "completeness_error": 0.0, "bound": 0.02, "steps": 8,
        }  # fmt: skip
        result = {
            "precision": "float32", "windows": 1, "explained_windows": [[0, len(text)]], "sentences_in_text": 2,
            "options": [{"key": key, **option} for key in keys],
        }  # fmt: skip
        return httpx.Response(200, json={"results": [result]})


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def browser(built: corpus.Built, engine: Engine, worker: Worker) -> Iterator[TestClient]:
    """vera's browser, signed in; her adapter says what its options are."""
    from app.main import create_app

    with writing(engine) as session:
        session.execute(update(Adapter).values(manifest={"scheme": corpus.SCHEME.to_document()}))
    with TestClient(create_app(), headers=HTML, follow_redirects=False) as client:
        client.app.state.workers = WorkerPool(["http://worker"], transport=httpx.MockTransport(worker))  # type: ignore[attr-defined]
        with writing(engine) as session:
            token = create_sign_in_link(session, built.key_ids["vera"])
        assert client.get(f"/sign-in?token={token}").status_code == 303
        yield client


def vote(browser: TestClient, path: str, value: str) -> None:
    shown = browser.get(path).text
    form = {name: field(shown, name) for name in ("csrf_token", "etag")}
    assert browser.post(f"{path}/vote", data={"value": value, **form}).status_code == 303


def path_of(built: corpus.Built, engine: Engine, question: str) -> tuple[str, str]:
    """The page of the first disagreement about a question, and its text."""
    from app.db.tables import Disagreement

    with reading(engine) as session:
        row = session.scalars(
            select(Disagreement).where(Disagreement.question_id == built.questions[question])
        ).first()
        assert row is not None
        version = session.get_one(Text, row.text_id).current_version_id
        return f"/review/dis_{row.id}", session.get_one(TextVersion, version).content


def test_nothing_is_explained_before_the_vote(
    browser: TestClient, built: corpus.Built, engine: Engine, worker: Worker
) -> None:
    path, _ = path_of(built, engine, "arguments")
    answer = browser.get(f"{path}/explanation")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{path}?")
    assert "explanation" not in browser.get(path).text
    assert worker.asked == []


def test_after_the_vote_words_are_marked(
    browser: TestClient, built: corpus.Built, engine: Engine, worker: Worker
) -> None:
    path, text = path_of(built, engine, "arguments")
    vote(browser, path, "no")
    link = re.search(rf'href="({path}/explanation[^"]*)"', browser.get(path).text)
    assert link is not None
    answer = browser.get(html.unescape(link.group(1)))
    assert answer.status_code == 200
    assert len(worker.asked[0]["options"][0]) == 1
    assert re.findall(r'<mark class="([^"]+)"', answer.text) == ["for w4", "against w3"]
    shown = re.search(r'<div class="words-full" dir="auto">(.*?)</div>', answer.text, re.DOTALL)
    assert shown is not None
    assert html.unescape(re.sub(r"<[^>]+>", "", shown.group(1))) == text
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", answer.text)


def test_the_page_says_that_neighbours_are_left_out(
    browser: TestClient, built: corpus.Built, engine: Engine
) -> None:
    path, _ = path_of(built, engine, "arguments")
    vote(browser, path, "no")
    words = "explained as it is read alone"
    assert words not in browser.get(f"{path}/explanation").text
    manifest = {"scheme": corpus.SCHEME.to_document(), "encoder": {"context": True}}
    with writing(engine) as session:
        session.execute(update(Adapter).values(manifest=manifest))
    assert words in browser.get(f"{path}/explanation").text


def test_it_is_written_down_as_seen(browser: TestClient, built: corpus.Built, engine: Engine) -> None:
    path, _ = path_of(built, engine, "arguments")
    vote(browser, path, "no")
    browser.get(f"{path}/explanation")
    with reading(engine) as session:
        assert session.scalars(select(AuditLog.actor).where(AuditLog.action == TEXTS_ACTION)).all() == [
            "vera"
        ]


def test_every_answer_of_a_question_is_explained(
    browser: TestClient, built: corpus.Built, engine: Engine, worker: Worker
) -> None:
    path, _ = path_of(built, engine, "outcome")
    vote(browser, path, "uncertain")
    page = browser.get(f"{path}/explanation").text
    assert worker.asked[0]["options"] == [["granted", "denied", "open"]]
    assert page.count("<details") == 3


def test_why_there_is_no_explanation_is_said(
    browser: TestClient, built: corpus.Built, engine: Engine, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = path_of(built, engine, "arguments")
    vote(browser, path, "no")
    worker.error = "it took longer"
    assert "There is no explanation: it took longer." in browser.get(f"{path}/explanation").text
    monkeypatch.setenv("REMAND_EXPLAIN_CHARACTERS", "3")
    get_settings.cache_clear()
    assert browser.get(f"{path}/explanation").status_code == 422
    assert browser.get("/review/dis_999999/explanation").status_code == 404
