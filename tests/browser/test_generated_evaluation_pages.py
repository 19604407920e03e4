"""The page of an evaluation of summaries, and its drawing by itself, in real Chromium: at a desk, on a phone, on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from tests.evidence import two_adapters
from tests.generated_evaluations import of_a_causal_model, of_summaries
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
Visits = Callable[..., Any]
SMALL_LETTERS = """() => [...document.querySelectorAll('.boxes text')].filter(
    (e) => e.getBoundingClientRect().height < 10).length"""
OUTSIDE = """() => [...document.querySelectorAll('svg.boxes')].flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text, rect, circle, line')].filter((e) => {
        const r = e.getBoundingClientRect(); return r.left < frame.left - 1 || r.right > frame.right + 1; });
}).length"""


SCROLLED = """() => [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth)
    .map((e) => e.getAttribute('aria-label'))"""
"""Tables that are wider than the page."""
UNPINNED = """() => [...document.querySelectorAll('.scroll:has(table.pinned)')].filter((e) => {
    e.scrollLeft = 10000;
    return Math.abs(e.querySelector('tbody th').getBoundingClientRect().left - e.getBoundingClientRect().left) > 2;
}).length"""
"""Tables whose names of rows leave the screen when it is scrolled."""


@pytest.fixture
def addresses(engine: Engine, built: Built) -> tuple[str, str, str]:
    """An adapter's report, and reports of two evaluations of it."""
    adapter, _ = two_adapters(engine, built)
    jobs = [make(engine, built.corpus_id, adapter) for make in (of_summaries, of_a_causal_model)]
    return f"/reports/{adapter}", f"/evaluations/{jobs[0]}/report", f"/evaluations/{jobs[1]}/report"


def test_summaries_at_a_desk(visit: Visits, addresses: tuple[str, str, str], pictures: Path) -> None:
    vera = visit("vera", viewport={"width": 1280, "height": 900})
    page = vera.go(addresses[1])
    for name in (
        "What was evaluated",
        "Scores",
        "Differences on the same texts",
        "Box plots",
        "Summaries side by side",
        "How it was made",
    ):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    minus = page.get_by_role("region", name="with the adapter minus …")
    expect(minus.get_by_role("columnheader", name="base model", exact=True)).to_be_visible()
    expect(
        page.get_by_role("region", name="… minus Lead").get_by_role("row", name="ROUGE-Lsum")
    ).to_be_visible()
    assert page.evaluate(SCROLLED) == []
    expect(page.get_by_text("of 1 texts, where that is empty, 3 words", exact=False)).to_be_visible()
    expect(
        page.get_by_text("Texts: 40 read whole, 18 extracted first, 2 failed.", exact=False).first
    ).to_be_visible()
    expect(page.get_by_role("img", name="ROUGE-Lsum")).to_be_visible()
    assert page.locator("svg.boxes").count() == 11
    expect(page.get_by_text("base says <i>0</i>.", exact=True)).to_be_visible()
    assert page.evaluate(OUTSIDE) == 0
    page.get_by_text("row-3", exact=True).press("Enter")
    expect(page.get_by_text("tuned says <i>3</i>.", exact=True)).to_be_visible()
    page.screenshot(path=pictures / "summaries.png", full_page=True)
    page.emulate_media(media="print")
    page.pdf(path=pictures / "summaries.pdf")
    assert vera.complaints == []


def test_a_causal_model_at_a_desk(visit: Visits, addresses: tuple[str, str, str], pictures: Path) -> None:
    vera = visit("vera", viewport={"width": 1280, "height": 900})
    page = vera.go(addresses[2])
    expect(page.get_by_role("heading", name="Continuations side by side")).to_be_visible()
    expect(page.get_by_role("img", name="Nats per token")).to_be_visible()
    expect(
        page.get_by_text("Ratio of perplexities, “with the adapter” over “base model”", exact=False)
    ).to_be_visible()
    page.screenshot(path=pictures / "causal.png", full_page=True)
    assert vera.complaints == []


def test_the_drawing_by_itself(visit: Visits, addresses: tuple[str, str, str], pictures: Path) -> None:
    """Opened as a file: its own colours, nothing refused by its policy."""
    vera = visit("vera", viewport={"width": 900, "height": 1200})
    page = vera.go(addresses[1].replace("/report", "/box-plots.svg"))
    colours = page.evaluate(
        "() => [...document.querySelectorAll('.box.model')].map((e) => getComputedStyle(e).stroke)"
    )
    assert set(colours) == {"rgb(31, 95, 91)"}
    assert (
        page.evaluate("() => document.documentElement.querySelector('title').textContent")
        == "Box plots of an evaluation"
    )
    page.screenshot(path=pictures / "drawing.png")
    assert vera.complaints == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 360)])
def test_on_a_phone(
    visit: Visits, addresses: tuple[str, str, str], scheme: str, width: int, pictures: Path
) -> None:
    rita = visit(
        "rita", viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    for place, path in enumerate(addresses[1:]):
        page = rita.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(UNPINNED) == 0
        assert page.evaluate(SMALL_LETTERS) == 0
        assert page.evaluate(OUTSIDE) == 0
        page.screenshot(path=pictures / f"phone-{place}.png", full_page=True)
    assert rita.complaints == []
