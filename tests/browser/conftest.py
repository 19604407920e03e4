"""Real Chromium against the real app: served by uvicorn in a thread, on a real database with the small reviewed corpus."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from sqlalchemy import Engine

from app.db.session import writing
from app.http.security import create_sign_in_link, forget_credentials
from tests.integration.review_corpus import Built, reviewed_corpus
from tests.served import served_app

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Per module: while Playwright runs, its event loop runs in this thread, and other tests need it free."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def built(engine: Engine) -> Built:
    forget_credentials()
    return reviewed_corpus(engine)


@pytest.fixture
def address(built: Built) -> Iterator[str]:
    """Where the app is served."""
    with served_app() as url:
        yield url


class Visit:
    """A signed-in browser of one person, which collects what its consoles complain about."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def go(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


@pytest.fixture
def visit(browser: Browser, address: str, built: Built, engine: Engine) -> Iterator[Callable[..., Visit]]:
    """`visit("vera")` signs a person in by a one-time link; keyword arguments are the browser context's."""
    contexts: list[BrowserContext] = []

    def of(name: str, **options: object) -> Visit:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        found = Visit(context, address)
        with writing(engine) as session:
            token = create_sign_in_link(session, built.key_ids[name])
        found.go(f"/sign-in?token={token}")
        return found

    yield of
    for context in contexts:
        context.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder for screenshots of what is being tested."""
    return tmp_path
