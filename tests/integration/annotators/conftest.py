"""A corpus that several people annotated, behind the real app."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.api import admin, client, keys
from tests.several_annotators import Several, several_annotators

__all__ = ["admin", "client", "keys"]


@pytest.fixture
def several(engine: Engine) -> Several:
    return several_annotators(engine)
