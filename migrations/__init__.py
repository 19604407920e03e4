"""Alembic migrations; every one runs forward on data."""
