"""The corpus of known truth behind the real app, with a client per person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.http.security import forget_credentials
from tests.audits import audit_corpus
from tests.integration.review_corpus import Built

Person = Callable[[str], TestClient]


@pytest.fixture
def built(engine: Engine) -> Built:
    forget_credentials()
    return audit_corpus(engine)


@pytest.fixture
def person(built: Built) -> Iterator[Person]:
    """A client that sends a person's key."""
    from app.main import create_app

    with TestClient(create_app(), follow_redirects=False) as client:

        def of(name: str) -> TestClient:
            other = TestClient(client.app, follow_redirects=False)
            other.headers["Authorization"] = f"Bearer {built.keys[name]}"
            return other

        yield of


@pytest.fixture
def ada(person: Person) -> TestClient:
    return person("ada")
