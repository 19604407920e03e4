"""The page of annotators in real Chromium: from the corpora to it, intervals, details by keyboard, nothing cut off on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from app.db.session import writing
from app.jobs.queries import create_job
from tests.attempts import exit_of_attempt
from tests.integration.review_corpus import Built
from tests.several_annotators import Several, several_annotators
from workers.annotators.job import run
from workers.job_context import EXIT_DONE

pytestmark = pytest.mark.browser


def report(engine: Engine, several: Several) -> None:
    """An annotator report, run in this process."""
    with writing(engine) as session:
        asked = {"codebook_version": "v1", "seed": 0}
        job_id = create_job(session, "annotators", several.corpus_id, asked, "ada").id
    assert exit_of_attempt(job_id, run) == EXIT_DONE


def test_each_annotator_beside_the_consensus(
    visit: Callable[..., Any], engine: Engine, built: Built, pictures: Path
) -> None:
    report(engine, several_annotators(engine, texts=300))
    rita = visit("rita", viewport={"width": 360, "height": 740}, color_scheme="light")
    page = rita.go("/")
    page.get_by_label("several").get_by_role("link", name="Each annotator").click()
    expect(page.get_by_role("heading", name="ann, ben, cem, dov")).to_be_visible()
    assert page.locator("svg .whisker").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    models = page.get_by_role("region", name="Models fitted without them")
    expect(models.get_by_role("rowheader", name="south")).to_be_visible()
    details = page.get_by_text("ben by option and quarter")
    details.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="2019 Q1").first).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.screenshot(path=pictures / "annotators.png", full_page=True)
    assert rita.complaints == []


def test_values_are_chosen_by_team_and_time(
    visit: Callable[..., Any], engine: Engine, built: Built, pictures: Path
) -> None:
    """What the address takes the form takes; empty fields are none, and what was chosen stays in it."""
    several = several_annotators(engine, texts=160)
    rita = visit("rita", viewport={"width": 1280, "height": 900}, color_scheme="light")
    for place in ("agreement", "annotators"):
        page = rita.go(f"/corpora/{several.corpus_id}/{place}")
        form = page.get_by_role("form", name="Filters")
        form.get_by_label("Team").select_option("north")
        form.get_by_label("Annotated from").fill("2019-01-01")
        form.get_by_role("button", name="Filter").click()
        expect(form.get_by_label("Annotated from")).to_have_value("2019-01-01")
        expect(form.get_by_label("Team")).to_have_value("north")
        assert "cem" not in page.locator("main").inner_text()
        page.screenshot(path=pictures / f"{place}-filtered.png", full_page=True)
    assert rita.complaints == []
