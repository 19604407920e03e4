"""A client of the jobs' routes on a real database, with keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app with an admin key."""
    from app.db.session import writing
    from app.http.security import create_api_key, forget_credentials
    from app.main import create_app

    forget_credentials()
    with writing(engine) as session:
        _key, secret = create_api_key(session, "ada", "admin")
    with TestClient(create_app()) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client
