"""Fixtures of the api, for this folder."""

from tests.api import admin, client, keys

__all__ = ["admin", "client", "keys"]
