"""The review pages as people use them: sign in, read blind, vote, see, change, undo, collide, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from app.db.session import reading
from tests.integration.review_corpus import Built

pytestmark = pytest.mark.browser
Visits = Callable[..., Any]


def at(built: Built, place: int) -> str:
    return f"/review/dis_{built.disagreements[place]}?corpus=letters"


def decisions(engine: Engine) -> list[tuple[str | None, str, bool | None]]:
    """(value, reviewer, blind) of every row."""
    with reading(engine) as session:
        rows = session.execute(
            text("SELECT value, reviewer, (shown ->> 'blind')::bool FROM reviews ORDER BY id")
        )
        return [tuple(row) for row in rows]


def test_from_the_sign_in_link_to_a_blind_vote_and_an_undo(visit: Visits, engine: Engine) -> None:
    vera = visit("vera")
    page: Page = vera.page
    expect(page.get_by_role("heading", name="letters")).to_be_visible()
    expect(page.get_by_text("synthetic")).to_be_visible()
    page.get_by_role("link", name="Review disagreements").click()
    expect(page.locator(".item")).to_have_count(5)
    page.locator(".item").first.click()

    expect(page.get_by_role("heading", name="Does “Remorse” apply?")).to_be_visible()
    expect(page.get_by_text("The writer regrets the act.")).to_be_visible()
    shown = page.locator("main").inner_text()
    assert not re.search(r"\d %|probability of|\b(ann|ben|cem)\b", shown), (
        "nothing of model or annotators before the vote"
    )
    page.get_by_role("button", name="Yes").click()

    expect(page.get_by_role("status")).to_have_text("You said Yes, like the model.")
    expect(page.get_by_text("No ann, team 2019")).to_be_visible()
    expect(page.get_by_text("5.0 %", exact=True).first).to_be_visible()
    assert decisions(engine) == [("yes", "vera", True)]

    page.get_by_text("Change the decision").click()
    page.get_by_role("button", name="Uncertain").click()
    expect(page.get_by_role("status")).to_contain_text("You said Uncertain")
    page.get_by_role("button", name="Undo the decision").click()
    expect(page.get_by_role("status")).to_contain_text("You said Yes")
    assert decisions(engine) == [("yes", "vera", True), ("uncertain", "vera", False), (None, "vera", None)]

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    vera.complaints[:] = [
        c for c in vera.complaints if "401" not in c
    ]  # the sign-in page answers 401, rightly
    assert vera.complaints == []


def test_with_the_keyboard_alone(visit: Visits, built: Built, engine: Engine) -> None:
    vera = visit("vera")
    page = vera.go("/review?corpus=letters")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Remorse", exact=True)).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.type("yes, n and u are only letters here")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.get_by_role("status")).to_contain_text("You said No, like the annotators")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Outcome: which one?")).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_role("status")).to_contain_text("You said Granted")
    page.keyboard.press("z")
    expect(page.get_by_role("status")).to_contain_text("Not decided yet")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dependants", exact=True)).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_text("no. 4 · letter-3")).to_be_visible()
    assert decisions(engine) == [("no", "vera", True), ("granted", "vera", True), (None, "vera", None)]
    with reading(engine) as session:
        assert (
            session.scalar(text("SELECT note FROM reviews ORDER BY id LIMIT 1"))
            == "yes, n and u are only letters here"
        )
    assert vera.complaints == []


def test_going_on_walks_to_the_end_of_the_list(visit: Visits, built: Built) -> None:
    vera = visit("vera")
    page = vera.go("/review?corpus=letters&option=dependants")
    page.keyboard.press("Enter")
    for place in (3, 4):
        expect(page.get_by_text(f"no. {place} · letter")).to_be_visible()
        expect(page.get_by_role("heading", name="Does “Dependants” apply?")).to_be_visible()
        page.keyboard.press("y")
        expect(page.get_by_role("status")).to_contain_text("You said Yes")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All decided")).to_be_visible()
    assert vera.complaints == []


def test_a_stale_form_brings_both_versions(visit: Visits, built: Built, engine: Engine) -> None:
    vera, wim = visit("vera"), visit("wim")
    vera.go(at(built, 0))
    wim.go(at(built, 0))
    expect(wim.page.get_by_role("alert")).to_contain_text("vera is at work on this until")
    vera.page.get_by_role("button", name="Yes").click()
    expect(vera.page.get_by_role("status")).to_contain_text("You said Yes")
    wim.page.get_by_text("Add a note").click()
    wim.page.locator("textarea").fill("He is not sorry.")
    wim.page.get_by_role("button", name="No", exact=False).first.click()

    expect(wim.page.get_by_role("alert")).to_contain_text("This changed while you were reading")
    expect(wim.page.get_by_label("In force now")).to_contain_text("Yes")
    expect(wim.page.get_by_label("Your vote")).to_contain_text("No")
    assert decisions(engine) == [("yes", "vera", True)]
    expect(wim.page.locator("textarea")).to_have_value("He is not sorry.")
    wim.page.get_by_role("button", name="Record mine instead").click()
    expect(wim.page.get_by_role("status")).to_contain_text("You said No")
    assert decisions(engine) == [("yes", "vera", True), ("no", "wim", False)]
    wim.complaints[:] = [c for c in wim.complaints if "412" not in c]  # the stale page's own status
    assert (vera.complaints, wim.complaints) == ([], [])


def test_a_claim_made_meanwhile_keeps_the_vote(visit: Visits, built: Built, engine: Engine) -> None:
    vera, wim = visit("vera"), visit("wim")
    page = vera.go(at(built, 0))
    with engine.begin() as connection:
        connection.execute(text("UPDATE claims SET reviewer = 'wim'"))
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("alert")).to_contain_text("wim is at work on this")
    expect(page.get_by_role("alert")).to_contain_text("“Yes” is not recorded yet")
    assert decisions(engine) == []
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("status")).to_contain_text("You said Yes")
    assert decisions(engine) == [("yes", "vera", True)]
    assert wim.complaints == []


def test_looking_first_is_recorded_as_not_blind(visit: Visits, built: Built, engine: Engine) -> None:
    page = visit("vera").go(at(built, 0))
    page.get_by_role("link", name="Show the labels without voting").click()
    expect(page.get_by_text("The model gives the annotators’ “No”")).to_be_visible()
    page.get_by_role("button", name="No", exact=False).first.click()
    expect(page.get_by_role("status")).to_contain_text("You said No")
    assert decisions(engine) == [("no", "vera", False)]


@pytest.mark.parametrize("place", [1, 3])
def test_hostile_texts_are_only_text(visit: Visits, built: Built, place: int) -> None:
    vera = visit("vera")
    for path in ("/review?corpus=letters", at(built, place), at(built, place) + "&blind=false"):
        page = vera.go(path)
        expect(page.get_by_text("<script>window.pwned = 1</script>").first).to_be_visible()
        assert page.evaluate("window.pwned") is None
    assert vera.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(visit: Visits, built: Built, scheme: str) -> None:
    wim = visit(
        "wim", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    for path in ("/", "/review?corpus=letters", at(built, 0), at(built, 1), at(built, 0) + "&blind=false"):
        page = wim.go(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{path} is {wide} px wide"
    page = wim.go(at(built, 0))
    page.locator(".words-full").first.evaluate(
        "(text) => { text.textContent = 'A long letter. '.repeat(400); }"
    )
    expect(page.get_by_role("button", name="Yes")).to_be_in_viewport()
    page.get_by_role("button", name="Yes").tap()
    expect(page.get_by_role("status")).to_contain_text("You said Yes")
    assert wim.complaints == []


def test_without_scripts_too(visit: Visits, built: Built, engine: Engine) -> None:
    page = visit("vera", java_script_enabled=False).go(at(built, 0))
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("status")).to_contain_text("You said Yes")
    page.get_by_role("link", name="Keep it, next").click()
    expect(page.get_by_role("heading", name="Outcome: which one?")).to_be_visible()
    assert decisions(engine) == [("yes", "vera", True)]


def test_readers_see_and_cannot_vote(visit: Visits, built: Built) -> None:
    rita = visit("rita")
    page = rita.go(at(built, 0))
    expect(page.get_by_text("The model gives the annotators’ “No”")).to_be_visible()
    expect(page.get_by_role("button", name="Yes")).to_have_count(0)
    assert rita.complaints == []


def test_every_control_has_a_name(visit: Visits, built: Built) -> None:
    vera = visit("vera")
    nameless = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, progress')].filter(
        (e) => !(e.labels?.length || e.getAttribute('aria-label') || e.innerText.trim())).map((e) => e.outerHTML)"""
    for path in ("/", "/review?corpus=letters", at(built, 0), at(built, 1), at(built, 0) + "&blind=false"):
        page = vera.go(path)
        assert page.evaluate(nameless) == [], path
        assert page.locator("h1").count() == 1, path
