"""A client of the real app on a real database, with a key of every role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets of one key per role, and the admin key's id."""

    reader: str
    reviewer: str
    admin: str
    admin_id: str


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def keys(engine: Engine) -> Keys:
    """One key per role."""
    from app.db.session import writing
    from app.http.security import create_api_key, forget_credentials

    forget_credentials()
    with writing(engine) as session:
        _, reader = create_api_key(session, "rita", "reader")
        _, reviewer = create_api_key(session, "rob", "reviewer")
        admin_key, admin = create_api_key(session, "ada", "admin")
        return Keys(reader, reviewer, admin, admin_key.id)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app, called in this process; redirects are not followed."""
    from app.main import create_app

    with TestClient(create_app(), follow_redirects=False) as client:
        yield client


@contextmanager
def client_of_an_admin(engine: Engine) -> Iterator[TestClient]:
    """A client of the running app that sends a new admin key; redirects are followed."""
    from app.db.session import writing
    from app.http.security import create_api_key, forget_credentials
    from app.main import create_app

    forget_credentials()
    with writing(engine) as session:
        _key, secret = create_api_key(session, "ada", "admin")
    with TestClient(create_app(), headers=bearer(secret)) as client:
        yield client


@pytest.fixture
def admin(client: TestClient, keys: Keys) -> TestClient:
    """A client that sends the admin key."""
    client.headers.update(bearer(keys.admin))
    return client
