"""A corpus of letters, a two-layer base model that the operator allows, and the api."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.api import client_of_an_admin
from tests.integration.review_corpus import Built
from tests.small_corpus import letters, store_letters
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder, below a folder of its own."""
    texts = [letter.content for letter in letters(200)]
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", texts)


@pytest.fixture
def allowed(tiny_model: Path, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model, in a folder the settings allow."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_MODEL_DIRS", str(tiny_model.parent))
    monkeypatch.setenv("REMAND_DEVICE", "cpu")
    monkeypatch.setenv("REMAND_THREADS", "2")
    get_settings.cache_clear()
    return tiny_model


@pytest.fixture
def corpus(allowed: Path, engine: Engine) -> Built:
    """Sixty letters in thirty cases."""
    return store_letters(engine)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app with an admin key."""
    with client_of_an_admin(engine) as client:
        yield client
