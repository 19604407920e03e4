"""One world of real processes for all kill tests; a process that a test killed is started again by the next that needs it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.session import engine_for
from app.jobs.kinds import KINDS, from_words
from app.settings import get_settings
from tests.fault.world import TEST_KINDS, World, world_in
from tests.small_corpus import letters, store_letters
from tests.tiny_model import write_tiny_model

CORPUS = "letters"


@pytest.fixture(scope="session")
def shared_world() -> Iterator[World]:
    """The servers and a corpus of letters, once."""
    outer = Path(tempfile.mkdtemp(prefix="remand-fault-"))
    outer.chmod(0o755)
    try:
        with world_in(outer / "servers") as world:
            engine = engine_for(world.database_url)
            store_letters(engine, 40, CORPUS)
            engine.dispose()
            engine_for.cache_clear()
            yield world
    finally:
        shutil.rmtree(outer, ignore_errors=True)


@pytest.fixture
def world(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with dispatcher and jobs worker running, and this process's settings pointing at it."""
    for name, value in shared_world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "app.jobs.queries.KINDS", {**KINDS, **{kind.name: kind for kind in from_words(TEST_KINDS)}}
    )
    get_settings.cache_clear()
    shared_world.start("postgres", "redis", "dispatcher", "jobs")
    yield shared_world
    engine_for(shared_world.database_url).dispose()
    engine_for.cache_clear()
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def model(shared_world: World) -> str:
    """The two-layer base model that jobs of these tests train on."""
    folder = Path(shared_world.environment["REMAND_MODEL_DIRS"]) / "tiny"
    return str(write_tiny_model(folder, [letter.content for letter in letters(200)]))


@pytest.fixture
def adapter(world: World, model: str) -> str:
    """An adapter of the corpus: one that another test has trained, or a new one."""
    query = "SELECT a.id FROM adapters a JOIN corpora c ON c.id = a.corpus_id WHERE c.name = %s"
    if not world.rows(query, CORPUS):
        request = {"corpus": CORPUS, "base_model": model, "folds": 2, "epochs": 1}
        job = world.ended(world.queue("train", CORPUS, request), 120)
        assert job["state"] == "succeeded", job["error"]
    return str(world.rows(query, CORPUS)[0]["id"])
