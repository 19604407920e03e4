"""The pages of evidence in real Chromium: nothing complained about, nothing cut off on a phone, reachable by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from tests.evidence import an_evaluation, two_adapters
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
Visits = Callable[..., Any]

NAMELESS_CHARTS = (
    "() => [...document.querySelectorAll('svg')].filter((e) => !e.getAttribute('aria-label')).length"
)
EMPTY_CHARTS = """() => [...document.querySelectorAll('details[open] svg, section > figure svg')].filter(
    (e) => e.getBoundingClientRect().width < 200 || e.querySelectorAll('.line, .dot').length === 0).length"""


@pytest.fixture
def addresses(engine: Engine, built: Built) -> list[str]:
    """The report, the comparison with another adapter, and an evaluation."""
    first, second = two_adapters(engine, built)
    evaluation = an_evaluation(engine, built, first)
    return [
        f"/reports/{first}",
        f"/adapters/{first}/compare?with={second}",
        f"/evaluations/{evaluation}/report",
    ]


def test_the_report_at_a_desk(visit: Visits, addresses: list[str], pictures: Path) -> None:
    vera = visit("vera", viewport={"width": 1280, "height": 900})
    page = vera.go(addresses[0])
    expect(page.get_by_role("heading", name="careful & slow")).to_be_visible()
    for name in ("Beside its baselines", "Option by option", "Curves and confusion", "On the same cells", "Learning",
                 "Rows with and without a twin", "The sources’ claim", "Promotion", "How it was made"):  # fmt: skip
        expect(page.get_by_role("heading", name=name.replace("’", "'"))).to_be_visible()
    assert page.evaluate(NAMELESS_CHARTS) == 0
    assert page.evaluate(EMPTY_CHARTS) == 0
    assert page.locator("h1").count() == 1
    colours = page.evaluate(
        "() => [...document.querySelectorAll('.line.a')].map((e) => getComputedStyle(e).stroke)"
    )
    assert colours
    assert "none" not in colours
    page.screenshot(path=pictures / "report.png", full_page=True)
    assert vera.complaints == []


def test_details_open_with_the_keyboard(visit: Visits, addresses: list[str]) -> None:
    vera = visit("vera")
    page = vera.go(addresses[0])
    folded = page.locator("details.figure:not([open]) > summary").first
    name = folded.inner_text().split()[0]
    folded.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name=f"Reliability of {name}")).to_be_visible()
    region = page.get_by_role("region", name="Options")
    region.focus()
    before = region.evaluate("(e) => e.scrollLeft")
    page.set_viewport_size({"width": 700, "height": 800})
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(e) => e.scrollLeft > 0", arg=region.element_handle())
    assert before == 0
    assert vera.complaints == []


def test_two_adapters_side_by_side(visit: Visits, addresses: list[str], pictures: Path) -> None:
    vera = visit("vera")
    page = vera.go(addresses[1])
    expect(page.get_by_role("heading", name="Cells decided differently")).to_be_visible()
    expect(page.get_by_text("<b>quick</b>").first).to_be_visible()
    expect(page.get_by_text("of them", exact=False).first).to_be_visible()
    page.screenshot(path=pictures / "comparison.png", full_page=True)
    assert vera.complaints == []


def test_from_the_report_to_an_evaluation(visit: Visits, addresses: list[str], pictures: Path) -> None:
    vera = visit("vera")
    page = vera.go(addresses[0])
    page.get_by_role("link", name="letters, split val").click()
    expect(page.get_by_role("heading", name="careful & slow on the split val")).to_be_visible()
    expect(page.get_by_text("12 were left out, because every model had seen them")).to_be_visible()
    page.get_by_text("Left out", exact=True).click()
    expect(page.get_by_text("row-228, row-229")).to_be_visible()
    assert page.evaluate(EMPTY_CHARTS) == 0
    page.screenshot(path=pictures / "evaluation.png", full_page=True)
    assert vera.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(
    visit: Visits, addresses: list[str], scheme: str, pictures: Path
) -> None:
    rita = visit(
        "rita", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    for place, path in enumerate(addresses):
        page = rita.go(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{path} is {wide} px wide"
        page.screenshot(path=pictures / f"phone-{place}.png", full_page=True)
    assert rita.complaints == []
