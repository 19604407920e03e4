"""Log lines of the worker processes: one JSON object a line on standard error, never with the content of a text."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.settings import get_settings


def configure_logging(process: str) -> None:
    """Send structlog to standard error in the configured form and level; every line names its process."""
    settings = get_settings()
    console = settings.log_format == "console"
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(process=process)
