"""The command line as a person types it, against the app in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from app.cli.main import build

Remand = Callable[..., Result]


def command_line(client: TestClient, monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> Remand:
    """Runs a command line against the client's app; it must end with status 0 unless told otherwise.

    Args:
        client: sends the key.
        monkeypatch: of the test that types.
        columns: the terminal's width.
    """

    @contextmanager
    def connect(timeout: float = 60.0) -> Iterator[TestClient]:
        yield client

    # the app logs to the standard output that the command line has here
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    build()  # a verb's module that is first imported now would keep the replaced function for good
    monkeypatch.setattr("app.cli.client.connect", connect)
    monkeypatch.setattr("app.cli.documents.connect", connect)
    monkeypatch.setenv("COLUMNS", str(columns))

    def run(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(build(), list(words))
        assert done.exit_code == status, done.output
        return done

    return run
