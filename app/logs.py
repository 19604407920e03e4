"""Log lines of every process: structlog in the configured form and level, never with the content of a text."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from app.settings import get_settings


def configure_structlog(**options: Any) -> None:
    """Send structlog through the one chain of processors; `options` go to `structlog.configure`."""
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
        **options,
    )
