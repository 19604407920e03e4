"""Box plots as SVG, drawn on the server: on a page by the classes of remand.css, and as a file that stands for itself.

Colours are presentation attributes, which a style sheet overrides: so one drawing follows the page's light and dark, and
prints in its own colours where there is no style sheet. No script, no style attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, NAMES, VALUES = 400, 112, 46
"""Of a panel: its width, room for names on the left and for medians on the right; as wide as a telephone, so that letters stay readable."""
HEAD, ROW, FOOT = 26, 24, 24
_HALF = 7
"""Half the height of a box."""
GAP = 28
_INK, _MUTED, _LINE, _BOX, _MODEL = "#1d2026", "#5c626d", "#dfdace", "#e2efec", "#1f5f5b"
_SHORT = 17


def panels(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, title) of every measure that some arm has values of."""
    return [
        (measure["key"], measure["title"])
        for measure in document["measures"]
        if any(arm["boxes"].get(measure["key"]) for arm in document["arms"])
    ]


def box_plot(document: Mapping[str, Any], key: str) -> Markup:
    """One measure of all arms, for a page."""
    title = dict(panels(document))[key]
    rows = _rows(document, key)
    height = HEAD + ROW * len(rows) + FOOT
    return _svg(
        _panel(rows, title, _most(document, key)), title, _described(rows), (WIDTH, height), f"box-{key}"
    )


def drawing(document: Mapping[str, Any]) -> bytes:
    """All measures in two columns, as a file: UTF-8 SVG."""
    found = panels(document)
    arms = len(document["arms"])
    high = HEAD + ROW * arms + FOOT + GAP
    parts = ['<rect width="100%" height="100%" fill="#ffffff"/>']
    words = []
    for number, (key, title) in enumerate(found):
        rows = _rows(document, key)
        place = f"translate({GAP + (number % 2) * (WIDTH + GAP)} {GAP + number // 2 * high})"
        parts.append(f'<g transform="{place}">{"".join(_panel(rows, title, _most(document, key)))}</g>')
        words.append(f"{title}: {_described(rows)}")
    lines = math.ceil(len(found) / 2)
    size = (2 * WIDTH + 3 * GAP, GAP + lines * high)
    whole = _svg(parts, "Box plots of an evaluation", " ".join(words), size, "boxes")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'.encode()


def ticks(low: float, high: float, most: float | None = None) -> list[float]:
    """From three to seven round numbers, the first at most `low` and the last at least `high`; none above `most`, a round number itself."""
    if most is not None:  # rounding may leave a value a millionth above it
        low, high = min(low, most), min(high, most)
    room = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(room / 4))
    step = next(power * size for size in (1, 2, 5, 10) if room / (power * size) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 2)
    if most is not None and step * last > most:
        last = round(most / step)
        first = min(first, last - 2)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _most(document: Mapping[str, Any], key: str) -> float | None:
    """The most that a measure can be, where its report says so."""
    most: float | None = next(one.get("most") for one in document["measures"] if one["key"] == key)
    return most


def _rows(document: Mapping[str, Any], key: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(title, kind, box) of every arm that has values."""
    return [
        (arm["title"], arm["kind"], arm["boxes"][key]) for arm in document["arms"] if arm["boxes"].get(key)
    ]


def _panel(rows: Sequence[tuple[str, str, Mapping[str, Any]]], title: str, most: float | None) -> list[str]:
    ends = [value for _, _, box in rows for value in (box["low"], box["high"], box["mean"], *box["outliers"])]
    marks = ticks(min(ends), max(ends), most)
    low, high = marks[0], marks[-1]
    foot = HEAD + ROW * len(rows)

    def x(value: float) -> float:
        return NAMES + (value - low) / (high - low) * (WIDTH - NAMES - VALUES)

    parts = [
        f'<text class="name" x="0" y="12" font-weight="600" fill="{_INK}">{escape(title)}</text>',
        f'<text class="tick" x="{WIDTH}" y="12" text-anchor="end" fill="{_MUTED}">median</text>',
    ]
    for mark in marks:
        at = f"{x(mark):.1f}"
        parts.append(f'<line class="grid" x1="{at}" y1="{HEAD - 4}" x2="{at}" y2="{foot}" stroke="{_LINE}"/>')
        parts.append(
            f'<text class="tick" x="{at}" y="{foot + 15}" text-anchor="middle" fill="{_MUTED}">{mark:g}</text>'
        )
    for number, (name, kind, box) in enumerate(rows):
        parts.append(_row(name, kind, box, HEAD + ROW * number + ROW // 2, x))
    return parts


def _row(name: str, kind: str, box: Mapping[str, Any], y: int, x: Any) -> str:
    edge = _MODEL if kind == "model" else _MUTED
    low, first, median, high, mean = (
        f"{x(box[part]):.1f}" for part in ("low", "first", "median", "high", "mean")
    )
    wide = f"{max(0.8, x(box['third']) - x(box['first'])):.1f}"
    mark = "box model" if kind == "model" else "box"
    shown = name if len(name) <= _SHORT else name[: _SHORT - 1] + "…"
    parts = [
        f"<g><title>{escape(_words(name, box))}</title>",
        f'<text class="name" x="{NAMES - 8}" y="{y + 4}" text-anchor="end" fill="{_INK}">{escape(shown)}</text>',
        f'<line class="reach" x1="{low}" y1="{y}" x2="{high}" y2="{y}" stroke="{edge}"/>',
        *(
            f'<line class="reach" x1="{at}" y1="{y - 4}" x2="{at}" y2="{y + 4}" stroke="{edge}"/>'
            for at in (low, high)
        ),
        f'<rect class="{mark}" x="{first}" y="{y - _HALF}" width="{wide}" height="{2 * _HALF}" rx="2" fill="{_BOX}" stroke="{edge}"/>',
        f'<line class="middle" x1="{median}" y1="{y - _HALF}" x2="{median}" y2="{y + _HALF}" stroke="{_INK}" stroke-width="2"/>',
        f'<path class="mean" d="M{mean} {y - 4}l4 4l-4 4l-4 -4z" fill="#ffffff" stroke="{_INK}"/>',
        *(
            f'<circle class="far" cx="{x(value):.1f}" cy="{y}" r="1.8" fill="none" stroke="{_MUTED}"/>'
            for value in box["outliers"]
        ),
        f'<text class="tick" x="{WIDTH}" y="{y + 4}" text-anchor="end" fill="{_INK}">{_number(box["median"])}</text></g>',
    ]
    return "".join(parts)


def _words(name: str, box: Mapping[str, Any]) -> str:
    beyond = f", {box['beyond']} beyond the whiskers" if box["beyond"] else ""
    first, third, low, high, mean = (_number(box[part]) for part in ("first", "third", "low", "high", "mean"))
    return (
        f"{name}: median {_number(box['median'])}, quartiles {first} to {third}, whiskers {low} to {high}, mean {mean}, "
        f"{box['items']} items{beyond}."
    )


def _described(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    return " ".join(_words(name, box) for name, _, box in rows)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _svg(parts: Sequence[str], title: str, words: str, size: tuple[int, int], name: str) -> Markup:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart boxes" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-labelledby="{name}-title {name}-words" font-family="system-ui, sans-serif" font-size="12">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-words">{escape(words)}</desc>'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704  # built from numbers and escaped words
