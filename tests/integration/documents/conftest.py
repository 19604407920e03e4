"""The api, and jobs that run in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.api import client_of_an_admin


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app with an admin key, and an empty corpus named judgments."""
    with client_of_an_admin(engine) as client:
        assert client.post("/corpora", json={"name": "judgments"}).status_code == 201
        yield client
