"""An app behind a real socket, for tests that need an address: uvicorn in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(app: Any, patience: int | None = None) -> Iterator[str]:
    """Where an app is served, from its first answer to the end of the block.

    Args:
        app: of ASGI.
        patience: seconds that answers under way have at the end; None: as long as they take.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = threading.Event()
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, timeout_graceful_shutdown=patience)
    server = uvicorn.Server(config)
    startup = server.startup

    async def announced(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30), "the server did not start"
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@contextmanager
def served_app() -> Iterator[str]:
    """Where the real app is served."""
    from app.main import create_app

    with served(create_app()) as address:
        yield address
