"""What was written of every item of an evaluation, with its scores: an Arrow file, given as CSV or JSON lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from app.sheets import csv_block, json_block


def read_items(path: Path) -> pl.DataFrame:
    """A line per item and arm: `key`, `group`, `arm`, `written` (null of a causal model), then numbers by their names."""
    return pl.read_ipc(path)


def items_csv(frame: pl.DataFrame) -> bytes:
    """UTF-8 CSV with a header; nothing that a spreadsheet would run."""
    return csv_block([frame.columns, *frame.fill_nan(None).iter_rows()])


def items_json(frame: pl.DataFrame) -> bytes:
    """A JSON object a line; what is undefined is null."""
    return json_block(_defined(row) for row in frame.iter_rows(named=True))


def _defined(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }
