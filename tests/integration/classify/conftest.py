"""The api in front of a worker that knows words only, with a promoted adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Corpus
from app.settings import get_settings
from tests.api import client_of_an_admin, keys
from tests.integration.inference_server import InferenceServer
from tests.integration.relabel.conftest import reader, server
from tests.integration.relabel.world import World, build_world

__all__ = ["keys", "reader", "server"]


@pytest.fixture
def world(
    engine: Engine, server: InferenceServer, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("REMAND_INFERENCE_URLS", server.url)
    get_settings.cache_clear()
    world = build_world(engine, BlobStore(get_settings().blob_root), per_case=1)
    with writing(engine) as session:
        session.get_one(Corpus, world.built.corpus_id).promoted_adapter_id = world.adapter_id
    return world


@pytest.fixture
def client(world: World, engine: Engine) -> Iterator[TestClient]:
    with client_of_an_admin(engine) as client:
        yield client
