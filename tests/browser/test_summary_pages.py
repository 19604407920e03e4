"""Summaries in real Chromium: the list, and a summary beside its text, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Job, Summary, SummaryRun, TextVersion
from app.ids import new_id
from models.text.faithfulness import faithfulness
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
WRITTEN = "The writer is sorry and pays $9,000 to Jane Miller. Whales sing opera at night."


@pytest.fixture
def run(engine: Engine, built: Built) -> str:
    """A run over the small corpus: the first text has a summary that invents, the last has none."""
    versions = sorted(built.versions.values())
    with writing(engine) as session:
        job = Job(id=new_id("job"), corpus_id=built.corpus_id, kind="summary", state="succeeded")
        session.add(job)
        session.flush()
        row = SummaryRun(
            id=new_id("smr"), job_id=job.id, corpus_id=built.corpus_id, method="abstractive", model={"name": "tiny-t5"},
            text_version_ids=versions, text_count=len(versions), watermark=len(versions), without=1,
        )  # fmt: skip
        session.add(row)
        session.flush()
        for number in versions:
            content = session.get_one(TextVersion, number).content
            text = WRITTEN if number == versions[0] else content
            found = faithfulness(text, content).to_document(text)
            summary = Summary(
                run_id=row.id, text_version_id=number, text=text, words=14, words_in_text=40, strategy="whole",
                supported_share=found["supported_share"], faithfulness=found, details={"chunks": 1, "calls": 1},
            )  # fmt: skip
            if number == versions[-1]:
                summary.text, summary.strategy, summary.faithfulness = None, None, None
                summary.error = {
                    "code": "summary-unsupported",
                    "detail": "Only 20% of its sentences are supported.",
                }
            session.add(summary)
        return row.id


@pytest.mark.parametrize("width", [1280, 360])
def test_what_is_not_in_the_text_is_seen_beside_it(
    run: str, built: Built, visit: Callable[..., Any], pictures: Path, width: int
) -> None:
    vera = visit("vera", viewport={"width": width, "height": 800})
    page = vera.go(f"/summarized?corpus={built.corpus_id}")
    expect(page.get_by_role("heading", name="Summaries")).to_be_visible()
    expect(page.locator("article mark.missing")).to_have_text(["$9,000", "Jane Miller"])
    expect(page.get_by_text("Only 20% of its sentences are supported.")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=pictures / f"summaries-{width}.png", full_page=True)
    page.get_by_label("Show").select_option("doubtful")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("article")).to_have_count(1)
    page.locator("article h2 a").click()
    expect(page.get_by_role("heading", name="Not in the text")).to_be_visible()
    expect(page.locator("section mark.missing")).to_have_text(["$9,000", "Jane Miller"])
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=pictures / f"summary-{width}.png", full_page=True)
    assert vera.complaints == []


def test_the_overview_leads_to_the_summaries(run: str, visit: Callable[..., Any]) -> None:
    vera = visit("vera")
    page = vera.go("/")
    page.get_by_role("link", name="Summaries").click()
    expect(page.get_by_role("heading", name="Summaries")).to_be_visible()
    assert vera.complaints == []
