"""Log lines of the worker processes: on standard error, each naming its process."""

from __future__ import annotations

import sys

import structlog

from app.logs import configure_structlog


def configure_logging(process: str) -> None:
    """Send structlog to standard error in the configured form and level; every line names its process."""
    configure_structlog(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    structlog.contextvars.bind_contextvars(process=process)
