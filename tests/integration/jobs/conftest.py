"""A client of the jobs' routes on a real database, with keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.api import client_of_an_admin


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app with an admin key."""
    with client_of_an_admin(engine) as client:
        yield client
