"""The page of agreement in real Chromium: from the corpora to it, groups, intervals, and nothing cut off on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from tests.integration.review_corpus import Built
from tests.several_annotators import several_annotators

pytestmark = pytest.mark.browser


def test_two_groups_stand_apart(
    visit: Callable[..., Any], engine: Engine, built: Built, pictures: Path
) -> None:
    apart = several_annotators(engine, texts=120, readers=2, apart=True)
    rita = visit("rita", viewport={"width": 360, "height": 740}, color_scheme="light")
    page = rita.go("/")
    page.get_by_label("several").get_by_role("link", name="How far annotators agree").click()
    expect(page.get_by_role("heading", name="ann, ben")).to_be_visible()
    expect(page.get_by_text("2 groups that fewer than 50 shared texts connect")).to_be_visible()
    assert page.locator("svg .whisker").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert apart.corpus_id in page.url
    page.set_viewport_size({"width": 1280, "height": 900})
    page.screenshot(path=pictures / "agreement.png", full_page=True)
    assert rita.complaints == []
