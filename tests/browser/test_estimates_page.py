"""The page of estimates in real Chromium: nothing complained about, charts drawn within the page, nothing cut off on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import expect

from tests.api import admin, client, keys
from tests.integration.estimates.conftest import attempt, estimated, world

__all__ = ["admin", "attempt", "client", "estimated", "keys", "world"]
pytestmark = pytest.mark.browser

ANALYSES: tuple[dict[str, Any], ...] = (
    {"kind": "prevalence"},
    {"kind": "difference", "label": "remorse", "between": "court", "reference": "North", "missing": "drop"},
    {"kind": "difference", "label": "remorse", "between": "court"},
    {"kind": "logistic", "outcome": {"label": "remorse"}, "covariates": [{"column": "year"}]},
)


@pytest.fixture
def path(estimated: Callable[..., dict[str, Any]]) -> str:
    return f"/estimates/{estimated(*ANALYSES)['job_id']}/report"


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_at_a_desk_and_on_a_phone(
    path: str, visit: Callable[..., Any], pictures: Path, width: int, admin: TestClient
) -> None:
    vera = visit("vera", viewport={"width": width, "height": 800})
    page = vera.go(path)
    expect(page.get_by_role("heading", name="Remorse between groups of court").first).to_be_visible()
    expect(page.get_by_text("Not estimated.").first).to_be_visible()
    assert page.locator("section > figure svg").count() == 3
    assert page.get_by_role("link", name="Replication package").count() == 0  # vera reviews
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=pictures / f"estimates-{width}.png", full_page=True)
    assert vera.complaints == []
