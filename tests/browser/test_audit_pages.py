"""Audit samples as people use them in the browser: plan, draw, read blind by keyboard and on a phone, settle, close, see, release."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from app.audits import closing, making
from app.db.session import reading
from app.http.security import forget_credentials
from tests.audits import audit_corpus, given_of, truth_of
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
LOADED = closing, making
"""They load scipy.stats, which the served app would otherwise do while a page waits for it."""
Visits = Callable[..., Any]
KEYS = {"yes": "y", "no": "n", "granted": "1", "denied": "2", "open": "3"}
WIDE = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def built(engine: Engine) -> Built:
    """Sixty letters of known truth instead of the reviewed corpus."""
    forget_credentials()
    return audit_corpus(engine)


def number_shown(page: Page) -> int:
    return int(page.locator("article").get_attribute("aria-label").removeprefix("Text letter-"))  # type: ignore[union-attr]


def read_by_keyboard(page: Page, *, wrongly: bool = False) -> None:
    """Answer every cell of the text that is shown, in order, and go on."""
    number = number_shown(page)
    said = given_of(number) if wrongly else truth_of(number)
    for key in [page.locator("fieldset input").nth(0).get_attribute("name")] if page.locator("fieldset").count() == 1 else ["value.remorse", "value.dependants", "value.outcome"]:  # fmt: skip
        page.keyboard.press(KEYS[str(said[str(key).removeprefix("value.")])])
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_a_sample_from_the_plan_to_the_release(visit: Visits, engine: Engine, pictures: Path) -> None:
    ada = visit("ada", **WIDE)
    page: Page = ada.page
    page.get_by_role("link", name="Audit samples").click()
    expect(page.get_by_text("Nothing has been audited yet")).to_be_visible()
    page.get_by_role("link", name="Plan a sample").click()
    page.get_by_label("Texts", exact=True).fill("70")
    page.get_by_role("button", name="What would it say?").click()
    expect(page.get_by_role("alert")).to_contain_text("ask for 1 to 60")
    page.get_by_label("Texts", exact=True).fill("24")
    page.get_by_label("Readers").select_option("2")
    page.get_by_role("button", name="What would it say?").click()
    expect(page.get_by_role("heading", name="24 of 60 texts: 48 readings")).to_be_visible()
    expect(page.get_by_text("not certifiable").first).to_be_visible()
    page.screenshot(path=pictures / "plan.png", full_page=True)
    page.get_by_role("button", name="Draw and seal it").click()
    expect(page.get_by_text("being read")).to_be_visible()
    place = page.url.removeprefix(ada.address)

    vera = visit("vera", **WIDE)
    vera.go(f"{place}/read")
    shown = vera.page.locator("main").inner_text()
    assert not re.search(r"\bann\b|suspicio|stratum|band", shown), "nothing but the text and the codebook"
    vera.page.screenshot(path=pictures / "read.png")
    for _ in range(24):
        read_by_keyboard(vera.page)
    expect(vera.page.get_by_text("You have read every text of this sample.")).to_be_visible()

    wim = visit("wim", **PHONE)
    wim.go(f"{place}/read")
    wim.page.screenshot(path=pictures / "phone.png")
    for _ in range(24):
        read_by_keyboard(wim.page, wrongly=True)

    xen = visit("xen", **WIDE)
    xen.go(f"{place}/read")
    expect(xen.page.get_by_role("heading", name="Settle what two readers differ on")).to_be_visible()
    xen.page.screenshot(path=pictures / "settle.png")
    while xen.page.locator("article").count():
        read_by_keyboard(xen.page)
    expect(xen.page.get_by_text("No dispute waits for you.")).to_be_visible()

    ada.go(place)
    page.screenshot(path=pictures / "progress.png", full_page=True)
    page.get_by_role("button", name="Close and see the result").click()
    expect(page.get_by_role("heading", name="What may be said")).to_be_visible()
    expect(page.locator("svg.chart")).to_be_visible()
    expect(page.get_by_role("heading", name="Annotators against what was settled")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^ann"))).to_contain_text("72")
    page.screenshot(path=pictures / "result.png", full_page=True)
    page.get_by_role("button", name="Release into reviews").click()
    expect(page.get_by_text("released")).to_be_visible()
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM reviews")) == 72
    assert [vera.complaints, wim.complaints, xen.complaints] == [[], [], []]
    assert all(
        "422" in complaint for complaint in ada.complaints
    )  # Chromium's own, of the form that came back


def test_one_can_go_back_and_skip(visit: Visits, built: Built, engine: Engine) -> None:
    ada = visit("ada")
    ada.go(f"/audits/new?corpus={built.corpus_id}")
    ada.page.get_by_label("Texts", exact=True).fill("2")
    ada.page.get_by_role("button", name="What would it say?").click()
    ada.page.get_by_role("button", name="Draw and seal it").click()
    place = ada.page.url.removeprefix(ada.address)
    vera = visit("vera", viewport={"width": 1280, "height": 450})
    page: Page = vera.go(f"{place}/read")
    page.get_by_role("button", name="Skip the whole text").scroll_into_view_if_needed()
    assert page.evaluate("scrollY") > 200
    expect(page.locator("article")).to_be_in_viewport(ratio=1)  # the text stays beside the last question
    page.keyboard.press("y")
    page.keyboard.press("u")
    page.keyboard.press("Backspace")
    page.keyboard.press("n")
    page.keyboard.press("s")
    page.get_by_role("button", name="Record and go on").click()
    page.get_by_role("link", name="Change what you said of the text before").click()
    expect(page.locator("input:checked")).to_have_count(2)  # a skip is asked again
    page.keyboard.press("2")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Skip the whole text").click()
    expect(page.get_by_text("You have read every text of this sample.")).to_be_visible()
    with reading(engine) as session:
        rows = session.scalars(text("SELECT values FROM audit_readings ORDER BY id")).all()
    assert rows == [[1, 0, None, None, None], [1, 0, 0, 1, 0], [None] * 5]
    assert vera.complaints == []


def test_on_a_phone_one_thing_is_asked_at_a_time(visit: Visits, built: Built, engine: Engine, pictures: Path) -> None:  # fmt: skip
    """The text keeps most of the screen; answers are told together at the end, and one that is touched is asked again."""
    ada = visit("ada")
    ada.go(f"/audits/new?corpus={built.corpus_id}")
    ada.page.get_by_label("Texts", exact=True).fill("2")
    ada.page.get_by_role("button", name="What would it say?").click()
    ada.page.get_by_role("button", name="Draw and seal it").click()
    place = ada.page.url.removeprefix(ada.address)
    vera = visit("vera", **PHONE)
    page: Page = vera.go(f"{place}/read")
    shown = page.locator("fieldset:visible")

    def answer(name: str) -> None:
        shown.locator("label", has_text=re.compile(rf"^\s*{name}\b")).tap()

    expect(shown).to_have_count(1)
    expect(page.get_by_text("1 of 3")).to_be_visible()
    expect(page.get_by_role("button", name="Record and go on")).to_be_hidden()
    panel = page.locator("form.decide").bounding_box()
    assert panel is not None
    assert panel["height"] < 0.36 * 844
    assert panel["y"] + panel["height"] <= 844
    page.screenshot(path=pictures / "one.png")
    for said in ("Yes", "No"):
        answer(said)
    page.get_by_text("What the answers mean").tap()
    expect(page.get_by_text("The plea was denied.")).to_be_visible()
    page.get_by_role("button", name="‹ Back").tap()
    expect(page.get_by_text("2 of 3")).to_be_visible()
    answer("Uncertain")
    answer("Denied")
    expect(shown).to_have_count(3)
    expect(page.locator("fieldset label:visible")).to_have_text([re.compile(said) for said in ("Yes", "Uncertain", "Denied")])  # fmt: skip
    page.screenshot(path=pictures / "told.png")
    shown.nth(0).tap()
    expect(shown).to_have_count(1)
    answer("No")
    with page.expect_navigation():
        page.get_by_role("button", name="Record and go on").tap()
    page.get_by_role("button", name="Skip the whole text").tap()
    expect(page.get_by_text("You have read every text of this sample.")).to_be_visible()
    with reading(engine) as session:
        rows = session.scalars(text("SELECT values FROM audit_readings ORDER BY id")).all()
    assert rows == [[0, 2, 0, 1, 0], [None] * 5]
    assert vera.complaints == []
