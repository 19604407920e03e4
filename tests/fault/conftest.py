"""One world of real processes for all kill tests; a process that a test killed is started again by the next that needs it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.session import engine_for
from app.settings import get_settings
from tests.fault.world import World, world_in


@pytest.fixture(scope="session")
def shared_world() -> Iterator[World]:
    """The servers, once."""
    outer = Path(tempfile.mkdtemp(prefix="remand-fault-"))
    outer.chmod(0o755)
    try:
        with world_in(outer / "servers") as world:
            yield world
    finally:
        shutil.rmtree(outer, ignore_errors=True)


@pytest.fixture
def world(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with dispatcher and jobs worker running, and this process's settings pointing at it."""
    for name, value in shared_world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.jobs.queries.KINDS", _kinds_with_probe())
    get_settings.cache_clear()
    shared_world.start("postgres", "redis", "dispatcher", "jobs")
    yield shared_world
    engine_for(shared_world.database_url).dispose()
    engine_for.cache_clear()
    get_settings.cache_clear()


def _kinds_with_probe() -> dict[str, object]:
    from app.jobs.kinds import KINDS, Kind

    return {**KINDS, "probe": Kind("probe", "tests.fault.probe_job", "import", "/probe-jobs", "probe")}
