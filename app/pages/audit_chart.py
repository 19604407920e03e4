"""The estimated number of wrong labels of every option as dots with 95 % intervals, drawn on the server."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from app.audits.result_schemas import AuditResult, ErrorEstimate
from app.pages.charts import interval_chart

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)


def totals_chart(result: AuditResult, names: Mapping[str, str]) -> Markup:
    """Shares of wrong labels in percent; the upright mark is the naive share, wrong among those read."""
    rows = [_row("All labels", result.labels)]
    rows += [
        _row(names.get(option.key, option.key), option.estimate)
        for option in result.options
        if option.estimate is not None
    ]
    label = "Estimated share of wrong labels with 95 % intervals; the marks are the naive shares"
    ticks = share_ticks(max(estimate.share_high for estimate in _all(result)))
    return interval_chart(rows, label, ticks, in_percent=True)


def share_ticks(most: float) -> list[float]:
    """From 0 in round steps to the first that is not below `most`, at most six."""
    step = next((size for size in _STEPS if most <= 5 * size), _STEPS[-1])
    return [round(step * number, 3) for number in range(max(1, math.ceil(most / step - 1e-9)) + 1)]


def _all(result: AuditResult) -> list[ErrorEstimate]:
    return [result.labels, *(option.estimate for option in result.options if option.estimate is not None)]


def _row(name: str, estimate: ErrorEstimate) -> dict[str, object]:
    return {
        "key": name,
        "value": estimate.share,
        "interval": [estimate.share_low, estimate.share_high],
        "mark": estimate.naive.share,
    }
