"""What every test may ask for: real servers (once per test process), a fresh migrated database, settings, and a client."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # tests in parallel share the cores

# A busy machine is no failure: examples may take long to draw and to run.
settings.register_profile("remand", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("remand")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real legal texts; skips where it is not there."""
    if not DATA.is_dir():
        pytest.skip("the real texts of ../shared/data are not on this machine")
    return DATA


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A folder that the servers' account can enter (pytest's own is closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="remand-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(servers_folder: Path) -> Iterator[str]:
    """A real Postgres for this test process, with a migrated template database."""
    from app.db.migrate import upgrade
    from app.db.session import engine_for
    from app.stack.embedded import embedded_postgres

    with embedded_postgres(servers_folder / "pg", throwaway=True) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE remand_template")
        template = database_url(url, "remand_template")
        upgrade(template)
        engine_for(template.replace("postgresql://", "postgresql+psycopg://", 1)).dispose()
        engine_for.cache_clear()
        yield url


def database_url(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return head.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """A fresh migrated database; its libpq URI. Dropped afterwards."""
    name = "t_" + uuid4().hex
    with psycopg.connect(make_conninfo(postgres_url), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE remand_template STRATEGY file_copy").format(
                sql.Identifier(name)
            )
        )
        yield database_url(postgres_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def environment(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings of a throwaway Remand: this database, blobs and work under a temporary folder (which it gives)."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_DATABASE_URL", database)
    monkeypatch.setenv("REMAND_BLOB_ROOT", str(tmp_path / "blobs"))
    monkeypatch.setenv("REMAND_WORK_ROOT", str(tmp_path / "work"))
    monkeypatch.setenv("REMAND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REMAND_SECRET_KEY", "a key for tests")
    monkeypatch.setenv("REMAND_MEASURE_WAIT_SECONDS", "0")  # no worker is there to measure
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


@pytest.fixture
def engine(environment: Path) -> Iterator[Engine]:
    """The engine of that database, as the app uses it."""
    from app.db.session import engine_for, get_engine

    engine = get_engine()
    yield engine
    engine.dispose()
    engine_for.cache_clear()


@pytest.fixture(scope="session")
def redis_url(servers_folder: Path) -> Iterator[str]:
    """A real Redis for this test process."""
    from app.stack.embedded import embedded_redis

    with embedded_redis(servers_folder / "redis") as url:
        yield url
