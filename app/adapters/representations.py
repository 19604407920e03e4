"""The forms an adapter's evidence is given in: the report with where it comes from, held-out probabilities as CSV or Arrow."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import polars as pl

from app.adapters.held_out import HeldOut
from app.db.tables import Adapter, GateDecision
from app.sheets import csv_block

MARKDOWN = "text/markdown; charset=utf-8"
CSV = "text/csv; charset=utf-8"
ARROW = "application/vnd.apache.arrow.file"
_BLOCK = 1000


def full_report(
    adapter: Adapter, decisions: list[dict[str, Any]], evaluations: list[dict[str, Any]]
) -> dict[str, Any]:
    """The report of the train job with where it comes from, what the gate decided and which evaluations there are."""
    manifest = adapter.manifest
    return {
        **adapter.report,
        "provenance": {
            "adapter_id": adapter.id,
            "digest": adapter.digest,
            "job_id": adapter.job_id,
            "snapshot_id": adapter.snapshot_id,
            "data_sha256": manifest.get("input_digest"),
            "base": manifest.get("base", {}),
            "seed": manifest.get("seed"),
            "versions": manifest.get("versions", {}),
            "created_at": adapter.created_at.isoformat(),
        },
        "gate": decisions,
        "evaluations": evaluations,
    }


def decision_document(decision: GateDecision) -> dict[str, Any]:
    """A gate decision as the report shows it."""
    names = ("automatic", "promoted", "override", "actor", "reason", "checks", "compared_id")
    return {"at": decision.at.isoformat(), **{name: getattr(decision, name) for name in names}}


def held_out_csv(found: HeldOut, option_keys: list[str]) -> Iterator[bytes]:
    """A CSV file in blocks: external id, fold, then a probability per option; empty where there is none."""
    yield csv_block([["external_id", "fold", *option_keys]])
    for start in range(0, len(found.keys), _BLOCK):
        part = found.probabilities[start : start + _BLOCK].round(6).tolist()
        yield csv_block(
            [
                found.keys[start + row],
                int(found.folds[start + row]),
                *(None if math.isnan(value) else value for value in values),
            ]
            for row, values in enumerate(part)
        )


def held_out_arrow(found: HeldOut, option_keys: list[str]) -> bytes:
    """An Arrow IPC file: external_id str, fold i32, and a float32 column per option."""
    columns = {key: found.probabilities[:, place] for place, key in enumerate(option_keys)}
    frame = pl.DataFrame(
        {"external_id": found.keys, "fold": found.folds} | {f"p:{key}": part for key, part in columns.items()}
    )
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="uncompressed")
    return buffer.getvalue()
