"""A corpus of letters, a two-layer base model that the operator allows, and the api."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.command_line import Remand, command_line
from tests.integration.review_corpus import Built
from tests.small_corpus import letters, store_letters
from tests.tiny_decoder import make_decoder
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder, below a folder of its own."""
    texts = [letter.content for letter in letters(200)]
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", texts)


@pytest.fixture
def allowed(tiny_model: Path, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model, in a folder the settings allow."""
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


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama, GPT-J and T5."""
    folder = tmp_path_factory.mktemp("generative")
    for family in ("llama", "gptj", "t5"):
        make_decoder(folder / family, family)
    return folder


@pytest.fixture
def judgments_client(models: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The app with an admin key, generative models that the operator allows, and an empty corpus named judgments."""
    monkeypatch.setenv("REMAND_MODEL_DIRS", str(models))
    monkeypatch.setenv("REMAND_DEVICE", "cpu")
    monkeypatch.setenv("REMAND_THREADS", "1")
    get_settings.cache_clear()
    with client_of_an_admin(engine) as client:
        assert client.post("/corpora", json={"name": "judgments"}).status_code == 201
        yield client


@pytest.fixture
def remand(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Remand:
    """Runs a command line against the app; it must end with status 0 unless told otherwise."""
    return command_line(client, monkeypatch)
