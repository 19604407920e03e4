"""The small reviewed corpus behind the real app, with a client per person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.http.security import forget_credentials
from tests.integration.review_corpus import Built, reviewed_corpus


@pytest.fixture
def built(engine: Engine) -> Built:
    forget_credentials()
    return reviewed_corpus(engine)


@pytest.fixture
def person(built: Built) -> Iterator[Callable[[str], TestClient]]:
    """A client that sends a person's key: vera and wim review, rita reads, ada is admin."""
    from app.main import create_app

    with TestClient(create_app(), follow_redirects=False) as client:

        def of(name: str) -> TestClient:
            other = TestClient(client.app, follow_redirects=False)
            other.headers["Authorization"] = f"Bearer {built.keys[name]}"
            return other

        yield of


@pytest.fixture
def vera(person: Callable[[str], TestClient]) -> TestClient:
    return person("vera")


@pytest.fixture
def wim(person: Callable[[str], TestClient]) -> TestClient:
    return person("wim")
