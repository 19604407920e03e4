"""The two tables of a replication package: one row per text, without text or name, and one row per coefficient."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.sheets import safe
from models.estimates.answers import Answer
from models.estimates.panel import Column, Panel
from models.estimates.preparing import level_of
from models.estimates.regression import Estimate

ANALYSIS_FIELDS = (
    "analysis", "kind", "link", "rare", "tuning", "freedom", "level_of_intervals", "role", "type", "variable", "level", "name",
    "estimate", "standard_error", "low", "high", "naive", "naive_low", "naive_high",
)  # fmt: skip


def hashed(salt: bytes, kind: str, name: str) -> str:
    """A name that tells nothing without the salt, which never leaves the service: 16 hex digits of an HMAC."""
    return hmac.new(salt, f"{kind}:{name}".encode(), hashlib.sha256).hexdigest()[:16]


def texts_csv(panel: Panel, names: Sequence[str], answers: Sequence[Answer], salt: bytes) -> bytes:
    """One row per text of the frames, by hashed id: design, the three readings of every label, columns and predicted labels."""
    named: dict[str, Sequence[str]] = {"id": [hashed(salt, "text", name) for name in names]} | _design(panel)
    named["cluster"] = (
        named["id"]
        if panel.clusters is None
        else [hashed(salt, "cluster", str(number)) for number in panel.clusters.tolist()]
    )
    for key, label in panel.labels.items():
        named[f"student.{key}"] = _values(label.student)
        named[f"probability.{key}"] = _numbers(label.probability)
        named[f"expert.{key}"] = _values(label.expert)
    used = dict.fromkeys(name for one in answers for name in one.prepared.analysis.columns)
    for name in used:
        named[f"column.{name}"] = [_cell(value) for value in panel.columns[name]]
    for number, one in enumerate(answers, start=1):
        if one.refusal is None:
            named |= _of_analysis(number, one)
    order = np.argsort(named["id"])
    return written(tuple(named), ([values[row] for values in named.values()] for row in order.tolist()))


def _design(panel: Panel) -> dict[str, Sequence[str]]:
    """Stratum, whether drawn, and π; of several samples each by its number, with its share of the text's weight, empty outside of its frame."""
    named: dict[str, Sequence[str]] = {}
    for number, (one, share) in enumerate(zip(panel.samples, panel.shares, strict=True), start=1):
        end = f".{number}" if len(panel.samples) > 1 else ""
        frame = one.frame
        named[f"stratum{end}"] = ["" if value < 0 else str(value) for value in one.stratum.tolist()]
        named[f"drawn{end}"] = _flags(one.drawn)
        named[f"inclusion{end}"] = _numbers(np.where(frame, one.inclusion, np.nan))
        if end:
            named[f"share{end}"] = _numbers(np.where(frame, share, np.nan))
    return named


def _of_analysis(number: int, one: Answer) -> dict[str, Sequence[str]]:
    found = one.prepared
    return {
        f"asked.{number}": _flags(found.inside),
        f"read.{number}": _flags(found.sampled),
        f"inclusion.{number}": _numbers(found.inclusion),
        **{f"predicted.{number}.{key}": _numbers(values) for key, values in one.predicted.items()},
    }


def analyses_csv(answers: Sequence[Answer], level: float) -> bytes:
    """The outcome and every coefficient of each analysis that was answered, with what was estimated."""
    rows: list[list[str]] = []
    for number, one in enumerate(answers, start=1):
        if one.refusal is None:
            head = _head(number, one, level)
            rows.append([*head, "outcome", *_described(one.prepared.outcome), *[""] * 7])
            rows += [
                [*head, "intercept" if place == 0 else "covariate", *_described(column)[:3], safe(estimate.name), *_estimated(estimate)]
                for place, (column, estimate) in enumerate(zip(one.prepared.design, one.estimates, strict=True))
            ]  # fmt: skip
    return written(ANALYSIS_FIELDS, rows)


def _head(number: int, one: Answer, level: float) -> list[str]:
    first = one.estimates[0]
    kind = one.prepared.analysis.kind
    rare = first.tuning is None
    return [
        str(number), kind, "logistic" if kind == "logistic" else "linear", "1" if rare else "0",
        "" if first.tuning is None else repr(first.tuning), "" if first.freedom is None else str(first.freedom), repr(level),
    ]  # fmt: skip


def _described(column: Column) -> list[str]:
    """Type, variable, level and name."""
    if column.label is not None:
        return ["label", column.label, "", column.name]
    if column.column is None:
        return ["", "", "", column.name]
    level = "" if column.level is None else _cell(column.level)
    return ["column" if column.level is None else "level", column.column, level, safe(column.name)]


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula; the same for a column's values and the names of its levels."""
    words = "" if value is None else level_of(value)
    try:
        float(words)
    except ValueError:
        return str(safe(words))
    return words


def _estimated(found: Estimate) -> list[str]:
    numbers = (
        found.value, found.standard_error, found.low, found.high, found.naive, found.naive_low, found.naive_high,
    )  # fmt: skip
    return ["" if number is None else repr(float(number)) for number in numbers]


def written(fields: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """CSV as bytes."""
    buffer = io.StringIO(newline="")
    writer: Any = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _flags(values: NDArray[np.bool_]) -> list[str]:
    return ["1" if value else "0" for value in values.tolist()]


def _values(values: NDArray[np.int8]) -> list[str]:
    return ["" if value < 0 else str(value) for value in values.tolist()]


def _numbers(values: NDArray[np.float64]) -> list[str]:
    return ["" if value != value else repr(value) for value in values.tolist()]  # noqa: PLR0124  # NaN is an empty cell
