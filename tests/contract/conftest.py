"""One app on one database for the whole contract, with a corpus that holds something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.api import bearer
from tests.conftest import database_url
from tests.imports import Imports
from tests.samples import draw


@dataclass(frozen=True, slots=True)
class Api:
    """The app, a client with an admin key, and ids that exist in it."""

    app: FastAPI
    client: TestClient
    headers: dict[str, str]
    known: dict[str, str]


@pytest.fixture(scope="module")
def api(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The app with a corpus named letters, imported from a small file."""
    from app.settings import get_settings

    name = "t_" + uuid4().hex
    with (
        psycopg.connect(make_conninfo(postgres_url), autocommit=True) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE remand_template STRATEGY file_copy").format(
                sql.Identifier(name)
            )
        )
        folder = tmp_path_factory.mktemp("contract")
        for variable, value in _environment(database_url(postgres_url, name), folder).items():
            patch.setenv(variable, value)
        get_settings.cache_clear()
        yield from _running()
        get_settings.cache_clear()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _environment(url: str, folder: Path) -> dict[str, str]:
    return {
        "REMAND_DATABASE_URL": url,
        "REMAND_BLOB_ROOT": str(folder / "blobs"),
        "REMAND_WORK_ROOT": str(folder / "work"),
        "REMAND_HOME": str(folder / "home"),
        "REMAND_SECRET_KEY": "a key for tests",
        # nothing listens there: what needs an inference worker answers 503
        "REMAND_INFERENCE_URLS": "http://127.0.0.1:9",
    }


def _running() -> Iterator[Api]:
    from app.db.session import engine_for, get_engine, writing
    from app.http.security import create_api_key, forget_credentials
    from app.main import create_app

    forget_credentials()
    engine, app = get_engine(), create_app()
    with writing(engine) as session:
        headers = bearer(create_api_key(session, "ada", "admin")[1])
    with TestClient(app, follow_redirects=False, headers=headers) as client:
        client.post("/corpora", json={"name": "letters"})
        job = Imports(client, engine, "letters").send(
            "id,text,case,coder,remorse,youth\n1,I am sorry.,c1,kim,1,0\n2,I was young.,c2,lee,0,1\n3,,c3,kim,1,1\n"
        )
        sample = draw(client, "letters", size=1)
        text = client.get("/corpora/letters/texts").json()["items"][0]
        known = {
            "corpus_id": "letters",
            "job_id": job["id"],
            "sample_id": sample["id"],
            "text_id": text["id"],
            "audit_sample_id": client.post(
                "/audit-samples", json={"corpus": "letters", "size": 1, "options": ["remorse"]}
            ).json()["id"],
            "corpus": "letters",
        }
        yield Api(app, client, headers, known)
    engine.dispose()
    engine_for.cache_clear()
