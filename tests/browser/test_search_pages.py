"""The pages of a search in real Chromium: sorted, looked at again while it runs, reachable by keyboard, whole on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Job
from tests.integration.review_corpus import Built
from tests.searches import a_search

pytestmark = pytest.mark.browser
Visits = Callable[..., Any]


def numbers(page: Page) -> list[str]:
    """Trials in the order of the table."""
    return page.get_by_role("region", name="Trials").locator("tbody th").all_inner_texts()


def test_from_the_jobs_to_the_search_to_a_trial_and_to_the_report(
    visit: Visits, engine: Engine, built: Built, pictures: Path
) -> None:
    a_search(engine, built)
    vera = visit("vera", viewport={"width": 1280, "height": 900})
    page = vera.go("/")
    page.get_by_role("link", name="search").click()
    expect(page.get_by_role("heading", name="Search of settings")).to_be_visible()
    expect(page.get_by_role("img", name="Score of every trial")).to_be_visible()
    assert page.locator(".chart circle").count() == 5  # trial 3 failed
    expect(page.get_by_text("out-of-memory: No room for <b>rank</b> 32")).to_be_visible()
    expect(page.get_by_role("region", name="What was chosen").get_by_text("+0.040")).to_have_count(2)
    page.screenshot(path=pictures / "search.png", full_page=True)
    page.get_by_role("region", name="Trials").get_by_role("link", name="2", exact=True).click()
    expect(page.get_by_role("heading", name="Trial 2")).to_be_visible()
    expect(page.get_by_text("2 (given up)")).to_be_visible()
    page.screenshot(path=pictures / "trial.png", full_page=True)
    page.get_by_role("link", name="Search of settings").click()
    page.get_by_role("link", name="report of").click()
    page.get_by_role("link", name="search of 2 trials").click()
    expect(page.get_by_role("heading", name="Search of settings")).to_be_visible()
    assert vera.complaints == []


def test_the_keyboard_alone_sorts_and_opens(visit: Visits, engine: Engine, built: Built) -> None:
    search_id = a_search(engine, built)
    vera = visit("vera")
    page = vera.go(f"/searches/{search_id}")
    assert numbers(page)[-1] == "3"  # best first, what failed last
    column = page.get_by_role("columnheader", name="Seconds")
    assert column.get_attribute("aria-sort") is None
    column.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Seconds")).to_have_attribute("aria-sort", "ascending")
    assert numbers(page) == ["0", "1", "2", "4", "5", "3"]
    page.get_by_role("columnheader", name="Seconds").get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Seconds")).to_have_attribute("aria-sort", "descending")
    assert numbers(page) == ["5", "4", "2", "1", "0", "3"]
    page.locator("#trial-4").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Trial 4")).to_be_visible()
    assert vera.complaints == []


def test_a_search_under_way_is_looked_at_again_and_its_reader_left_where_they_were(
    visit: Visits, engine: Engine, built: Built, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    monkeypatch.setattr("app.pages.searching.LOOK_SECONDS", 1)
    search_id = a_search(engine, built, over=False)
    vera = visit("vera", viewport={"width": 900, "height": 500})
    page = vera.go(f"/searches/{search_id}")
    expect(page.get_by_text("Trial 6 of 6")).to_be_visible()
    page.screenshot(path=pictures / "running.png", full_page=True)
    page.locator("#trial-0").focus()
    top = page.evaluate("scrollY")
    assert top > 0
    with writing(engine) as session:
        job = session.get_one(Job, search_id)
        job.progress = job.progress | {"stage": "training what was chosen"}
    expect(page.get_by_text("Training what was chosen")).to_be_attached()
    page.wait_for_function("document.activeElement.id === 'trial-0'")
    page.wait_for_function("(top) => Math.abs(scrollY - top) < 2", arg=top)
    page.get_by_role("link", name="Keep it still").click()
    expect(page.get_by_role("link", name="Keep it up to date")).to_be_visible()
    assert page.locator("[data-again]").count() == 0
    assert vera.complaints == []


def test_each_fold_s_own_settings_unfold(visit: Visits, engine: Engine, built: Built) -> None:
    search_id = a_search(engine, built, strategy="bayesian")
    with writing(engine) as session:
        for trial in session.query(Job).filter_by(kind="trial"):
            runs = [
                run | {"parameters": run["parameters"] | {"lora_rank": 8 + place}}
                for place, run in enumerate(trial.params["runs"])
            ]
            trial.params = trial.params | {"runs": runs}
    vera = visit("vera")
    page = vera.go(f"/searches/{search_id}")
    summary = page.get_by_text("each fold its own").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details[open]").get_by_text("lora_rank 10")).to_be_visible()
    assert vera.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(
    visit: Visits, engine: Engine, built: Built, scheme: str, pictures: Path
) -> None:
    search_id = a_search(engine, built)
    rita = visit(
        "rita", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    with writing(engine) as session:
        trial = session.query(Job).filter_by(kind="trial").first()
        assert trial is not None
        trial_id = trial.id
    for path in (f"/searches/{search_id}", f"/trials/{trial_id}"):
        page = rita.go(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{path} is {wide} px wide"
        page.screenshot(path=pictures / f"phone{path.replace('/', '-')}.png", full_page=True)
    assert rita.complaints == []
