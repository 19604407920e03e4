"""Charts as inline SVG, drawn on the server: no script, no style attribute (the pages' policy forbids both); colours are classes of remand.css."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 320, 230
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 20, 34
_LONG, _NAMES, _ROW, _ROW_TOP = 680, 200, 22, 22
"""Of the chart of intervals: width, room for names, height of a row, where the rows begin."""
SERIES = ("a", "b", "c", "d", "e", "f")
"""Classes of the lines, in order."""
Points = Sequence[tuple[float, float]]


def precision_recall_chart(
    curves: Mapping[str, Sequence[Sequence[float]]], prevalence: float | None, label: str
) -> Markup:
    """Precision against recall of several readings; the dashed line is what a constant score reaches.

    Args:
        curves: by name, [recall, precision, threshold] by growing recall.
        prevalence: share of yes, None where unknown.
        label: what a screen reader says.
    """
    lines = [
        _line([(point[0], point[1]) for point in points], SERIES[place % len(SERIES)], name)
        for place, (name, points) in enumerate(curves.items())
        if points
    ]
    if prevalence is not None:
        lines.insert(0, _line([(0.0, prevalence), (1.0, prevalence)], "guide", "prevalence"))
    return _framed([*_axes("recall", "precision"), *lines], label)


def reliability_chart(bins: Sequence[Mapping[str, Any]], label: str) -> Markup:
    """Share of yes against the mean probability of each bin, with Wilson intervals; the bars at the foot are rows.

    bins: {mean, share, rows, interval}, as `models.evaluation.curves.reliability` gives them.
    """
    most = max((bin_["rows"] for bin_ in bins), default=1)
    parts = [*_axes("probability", "share of yes"), _line([(0.0, 0.0), (1.0, 1.0)], "guide", "calibrated")]
    for bin_ in bins:
        x, low, high = _x(bin_["mean"]), *(_y(value) for value in bin_["interval"])
        title = f"{bin_['rows']} rows, mean probability {bin_['mean']:.3f}, yes {bin_['share']:.3f}"
        height = 16 * bin_["rows"] / most
        parts += [
            f'<rect class="mass" x="{x - 3:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" width="6" height="{height:.1f}"><title>{title}</title></rect>',
            f'<line class="whisker" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>',
            f'<circle class="dot" cx="{x:.1f}" cy="{_y(bin_["share"]):.1f}" r="3.5"><title>{title}</title></circle>',
        ]
    return _framed(parts, label)


def learning_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]], part: str, label: str) -> Markup:
    """One number after every epoch, a line per fold; the dashed line is the mean of always answering no where `part` is an accuracy.

    Args:
        curves: by fold, entries with `epoch` and the number.
        part: key of the number.
        label: what a screen reader says.
    """
    named = {
        fold: [(float(e["epoch"]), float(e[part])) for e in entries if e.get(part) is not None]
        for fold, entries in curves.items()
    }
    named = {fold: points for fold, points in named.items() if points}
    values = [value for points in named.values() for _, value in points]
    if not values:
        return Markup("")
    last = max(epoch for points in named.values() for epoch, _ in points) or 1.0
    guide = (
        [e["always_no"] for entries in curves.values() for e in entries if e.get("always_no") is not None]
        if "accuracy" in part
        else []
    )
    level = sum(guide) / len(guide) if guide else None
    low, high = _range([*values, *([] if level is None else [level])])

    def place(points: Points) -> list[tuple[float, float]]:
        return [(epoch / last, (value - low) / (high - low)) for epoch, value in points]

    lines = [
        _line(
            place(points),
            SERIES[number % len(SERIES)],
            f"fold {int(fold) + 1 if fold.isdigit() else fold}",
            dots=True,
        )
        for number, (fold, points) in enumerate(named.items())
    ]
    if level is not None:
        lines.insert(0, _line(place([(0.0, level), (last, level)]), "guide", "always no"))
    ticks = [(step / 4, f"{low + (high - low) * step / 4:.2g}") for step in range(5)]
    epochs = sorted({0, int(last), *(range(int(last) + 1) if last <= 8 else ())})
    across = [(epoch / last, str(epoch)) for epoch in epochs]
    return _framed(
        [*_axes("epoch", part.replace("_", " ").removeprefix("held out "), across, ticks), *lines], label
    )


def search_chart(trials: Sequence[tuple[int, float, bool]], label: str) -> Markup:
    """The score of every trial by its number, and as a line the best so far.

    Args:
        trials: (number, score, whole): only whole ones, carried to the end everywhere, count for the best; the others are hollow.
        label: what a screen reader says.
    """
    if not trials:
        return Markup("")
    last = max(number for number, _, _ in trials) or 1
    low, high = _range([score for _, score, _ in trials])

    def place(number: float, score: float) -> tuple[float, float]:
        return number / last, (score - low) / (high - low)

    best: list[tuple[float, float]] = []
    for number, score, whole in sorted(trials):
        if whole:
            top = max(score, best[-1][1]) if best else score
            best += ([(number, best[-1][1])] if best else []) + [(number, top)]
    if best:
        best.append((last, best[-1][1]))
    parts = [_line([place(*point) for point in best], "b", "best so far")] if best else []
    for number, score, whole in trials:
        x, y = place(number, score)
        title = f"trial {number}: {score:.3f}{'' if whole else ', not carried to the end everywhere'}"
        mark = 'class="dot" r="3.5"' if whole else 'class="point d" r="3"'
        parts.append(f'<circle {mark} cx="{_x(x):.1f}" cy="{_y(y):.1f}"><title>{title}</title></circle>')
    ticks = [(step / 4, f"{low + (high - low) * step / 4:.2g}") for step in range(5)]
    numbers = range(last + 1) if last <= 8 else sorted({round(last * step / 4) for step in range(5)})
    return _framed([*_axes("trial", "score", [(n / last, str(n)) for n in numbers], ticks), *parts], label)


def area_chart(
    points: Sequence[tuple[float, float, float, float]], across: str, up: str, label: str
) -> Markup:
    """A line that rises, in the band between its low and high ends.

    Args:
        points: (place, low, value, high) by growing place, from 0 up.
        across: name of the places.
        up: name of the values.
        label: what a screen reader says.
    """
    right, top = max(point[0] for point in points) or 1.0, max(point[3] for point in points) or 1.0
    ends = [(place / right, low / top) for place, low, _, _ in points]
    ends += [(place / right, high / top) for place, _, _, high in reversed(points)]
    band = " ".join(f"{_x(a):.1f},{_y(u):.1f}" for a, u in ends)
    ticks = [[(at / most, f"{at:,g}") for at in _round_steps(most)] for most in (right, top)]
    line = _line([(place / right, value / top) for place, _, value, _ in points], "a", up)
    return _framed([*_axes(across, up, *ticks), f'<polygon class="band" points="{band}"/>', line], label)


def interval_chart(
    rows: Sequence[Mapping[str, Any]],
    label: str,
    ticks: Sequence[float] | None = None,
    *,
    in_percent: bool = False,
) -> Markup:
    """A line per row from the low to the high end of its interval, a dot at the value and a mark at what it is compared with.

    Args:
        rows: {key, value, interval or None, mark or None}; from 0 to 1, or differences.
        label: what a screen reader says.
        ticks: rising values of the axis, its ends among them; None: round ones, 0 to 1 for shares.
        in_percent: how shares are written.
    """
    found = [row for row in rows if row.get("value") is not None]
    ticks = _round_ticks(found) if ticks is None else ticks
    low, high = ticks[0], ticks[-1]
    height = _ROW_TOP + _ROW * len(found) + 8

    def x(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * (_LONG - _NAMES - 60)

    parts = [part for tick in ticks for part in _tick(tick, x(tick), height, in_percent)]
    for number, row in enumerate(found):
        parts += _interval_row(row, _ROW_TOP + _ROW * number + 10, x, in_percent)
    return _svg(parts, label, _LONG, height, "chart long")


def _round_ticks(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """From three to ten round numbers that hold every value: 0 to 1 for shares."""
    ends = [row["value"] for row in rows]
    ends += [
        end for row in rows for end in (*(row.get("interval") or ()), row.get("mark")) if end is not None
    ]
    if not ends or 0 <= min(ends) <= max(ends) <= 1:
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    widest = max(abs(min(ends)), abs(max(ends)))
    sizes = (size * 10.0**power for power in range(-2, 300) for size in (1, 2, 5))
    step = next(size for size in sizes if widest <= 4 * size)
    first, last = math.floor(min(ends) / step), math.ceil(max(*ends, 0.0) / step)
    return [round(step * number, 2) for number in range(min(first, last - 1), last + 1)]


def ticks_around(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """At most six round shares that hold every value and interval, for shares that are all alike."""
    ends = [end for row in rows for end in (row["value"], *(row.get("interval") or ()))] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    for step in (0.01, 0.02, 0.05, 0.1, 0.2):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= 5:
            return [round(step * number, 2) for number in range(min(first, last - 1), last + 1)]
    return [0.0, 0.25, 0.5, 0.75, 1.0]


def _round_steps(most: float) -> list[float]:
    """Round numbers from 0 to at most `most`: from three to six."""
    sizes = (size * 10.0**power for power in range(-6, 300) for size in (1, 2, 5))
    step = next(size for size in sizes if most / size < 6)
    return [step * number for number in range(int(most / step) + 1)]


def _written(value: float, in_percent: bool, digits: str) -> str:
    return f"{100 * value:.3g} %" if in_percent else format(value, digits)


def _tick(value: float, x: float, height: int, in_percent: bool) -> list[str]:
    name = "zero" if value == 0 else "grid"
    return [
        f'<line class="{name}" x1="{x:.1f}" y1="{_ROW_TOP - 6}" x2="{x:.1f}" y2="{height - 6}"/>',
        f'<text class="tick" x="{x:.1f}" y="{_ROW_TOP - 10}" text-anchor="middle">{_written(value, in_percent, "g")}</text>',
    ]


def _interval_row(row: Mapping[str, Any], y: int, x: Callable[[float], float], in_percent: bool) -> list[str]:
    name = escape(_short(str(row["key"])))
    parts = [
        f'<text class="name" x="{_NAMES - 8}" y="{y + 4}" text-anchor="end">{name}<title>{escape(row["key"])}</title></text>'
    ]
    if row.get("interval"):
        first, second = (x(end) for end in row["interval"])
        parts.append(f'<line class="whisker" x1="{first:.1f}" y1="{y}" x2="{second:.1f}" y2="{y}"/>')
    if row.get("mark") is not None:
        at = x(row["mark"])
        parts.append(f'<line class="mark" x1="{at:.1f}" y1="{y - 7}" x2="{at:.1f}" y2="{y + 7}"/>')
    return [
        *parts,
        f'<circle class="dot" cx="{x(row["value"]):.1f}" cy="{y}" r="4"/>',
        f'<text class="tick" x="{_LONG - 4}" y="{y + 4}" text-anchor="end">{_written(row["value"], in_percent, ".3f")}</text>',
    ]


def _framed(parts: Sequence[str], label: str) -> Markup:
    return _svg(parts, label, WIDTH, HEIGHT, "chart")


def _svg(parts: Sequence[str], label: str, width: int, height: int, name: str) -> Markup:
    head = f'<svg class="{name}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704  # built from numbers and escaped words


def _axes(
    across: str,
    up: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    y_ticks: Sequence[tuple[float, str]] | None = None,
) -> list[str]:
    even = [(step / 4, f"{step / 4:g}") for step in range(5)]
    parts = []
    for place, words in y_ticks or even:
        parts.append(
            f'<line class="grid" x1="{LEFT}" y1="{_y(place):.1f}" x2="{WIDTH - RIGHT}" y2="{_y(place):.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{LEFT - 5}" y="{_y(place) + 3.5:.1f}" text-anchor="end">{escape(words)}</text>'
        )
    for place, words in x_ticks or even:
        parts.append(
            f'<text class="tick" x="{_x(place):.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{escape(words)}</text>'
        )
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(across)}</text>'
    )
    parts.append(f'<text class="axis" x="2" y="{TOP - 9}">{escape(up)}</text>')
    return parts


def _line(points: Points, name: str, title: str, *, dots: bool = False) -> str:
    placed = " ".join(f"{_x(across):.1f},{_y(up):.1f}" for across, up in points)
    line = f'<polyline class="line {name}" points="{placed}"><title>{escape(title)}</title></polyline>'
    if not dots:
        return line
    marks = "".join(
        f'<circle class="point {name}" cx="{_x(a):.1f}" cy="{_y(u):.1f}" r="2.5"/>' for a, u in points
    )
    return line + marks


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or 0.05
    return low - room, high + room


def _short(name: str, most: int = 27) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
