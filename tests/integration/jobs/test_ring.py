"""Ringing a Redis that accepts connections and never answers ends with an error instead of holding the dispatcher."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from kombu.exceptions import OperationalError

from workers.celery_app import TASK, make_celery


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """The address of a server that says nothing."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for connection in kept:
        connection.close()


@pytest.mark.timeout(60)
def test_a_silent_redis_is_an_error(silent_redis: str) -> None:
    with make_celery(silent_redis) as celery, pytest.raises(OperationalError):
        celery.send_task(TASK, args=["job_x"], queue="train", retry=False)
