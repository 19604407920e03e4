"""Findings, budget and the report of following in a browser, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Finding
from tests.integration import review_corpus as corpus
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
Visits = Callable[..., Any]


@pytest.fixture
def built(built: Built, engine: Engine) -> Built:
    """With a newer, calibrated ranking, a broken dependency and a pair of copies, all on the same cells."""
    cells: list[dict[str, Any]] = [
        {"text": "letter-1", "question": "arguments", "option": "remorse", "human": "no", "model": "yes"},
        {"text": "letter-3", "question": "arguments", "option": "dependants", "human": "no", "model": "yes"},
    ]
    curve = {"reviewed": [1, 3, 9], "found": [0.8, 1.9, 2.5], "low": [0, 1, 1], "high": [1, 3, 5]}
    told = {"calibrated": True, "decisions": 240, "errors": 31, "audit_samples": ["aud_x"]}
    with writing(engine) as session:
        ranking = corpus.add_ranking(session, built, cells, budget=curve, calibration=told)
        first, second = built.disagreements
        session.add_all(
            [
                Finding(
                    ranking_id=ranking, position=1, kind="violation", text_id=built.texts["letter-3"],
                    detail={"option": "dependants", "needs_any": ["remorse"]}, disagreements=[second],
                ),
                Finding(
                    ranking_id=ranking, position=2, kind="conflict", text_id=built.texts["letter-1"],
                    other_text_id=built.texts["letter-3"], detail={"likeness": "near"}, disagreements=[first, second],
                ),
            ]
        )  # fmt: skip
    return built


def test_from_a_corpus_to_its_findings_and_to_a_decision(visit: Visits, pictures: Path) -> None:
    vera = visit("vera")
    page = vera.page
    page.get_by_role("link", name="Labels that cannot be right together").click()
    expect(page.get_by_role("heading", name="Labels that cannot be right together")).to_be_visible()
    expect(page.get_by_text("“Dependants” without “Remorse”")).to_be_visible()
    expect(page.get_by_text("Nearly the same text, labelled differently")).to_be_visible()
    page.screenshot(path=pictures / "findings.png", full_page=True)
    page.get_by_role("link", name="Duplicates").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Remorse: No").click()
    expect(page.get_by_text("Recorded as not blind.")).to_be_visible()
    assert vera.complaints == []


def test_the_budget_says_what_reviewing_would_find(visit: Visits, pictures: Path) -> None:
    vera = visit("vera", viewport={"width": 390, "height": 800})
    page = vera.page
    page.get_by_role("link", name="Budget").click()
    expect(page.get_by_role("heading", name="How far does reviewing go?")).to_be_visible()
    expect(page.get_by_role("img", name="Wrong labels found by number of labels reviewed")).to_be_visible()
    expect(page.get_by_text("By 240 blind decisions, 31 of them on wrong labels.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=pictures / "budget.png", full_page=True)
    assert vera.complaints == []


def test_the_report_of_following_counts_a_blind_vote(visit: Visits, built: Built, pictures: Path) -> None:
    vera = visit("vera")
    page = vera.page
    vera.go("/following?corpus=letters")
    expect(page.get_by_text("Nobody has decided anything")).to_be_visible()
    vera.go(f"/review/dis_{built.disagreements[0]}?corpus=letters")
    page.get_by_role("button", name="Yes").click()
    vera.go("/following?corpus=letters")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("row", name="vera blind flagged")).to_contain_text("1 of 1")
    page.screenshot(path=pictures / "following.png", full_page=True)
    assert vera.complaints == []
