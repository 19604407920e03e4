"""Fixtures of the api and of imports, for this folder."""

from tests.api import admin, client, keys
from tests.imports import imports

__all__ = ["admin", "client", "imports", "keys"]
