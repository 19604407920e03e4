"""Charts as SVG: well-formed whatever an option is called, drawn inside their frame, without script or style attributes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from app.pages.charts import (
    HEIGHT,
    WIDTH,
    area_chart,
    interval_chart,
    learning_chart,
    precision_recall_chart,
    reliability_chart,
    search_chart,
    ticks_around,
)

HOSTILE = '"><script>alert(1)</script> & ünï'
BINS = [
    {"mean": 0.1, "share": 0.0, "rows": 40, "interval": [0.0, 0.1]},
    {"mean": 0.9, "share": 1.0, "rows": 20, "interval": [0.8, 1.0]},
]
EPOCHS = [
    {"epoch": 0, "held_out_accuracy": 0.7, "always_no": 0.9},
    {"epoch": 1, "held_out_accuracy": 0.8, "always_no": 0.9},
]


def charts() -> dict[str, str]:
    row = {"key": HOSTILE, "value": 0.5, "interval": [0.4, 0.6], "mark": 0.45}
    return {
        "curve": precision_recall_chart(
            {HOSTILE: [[0.1, 1.0, 0.9], [1.0, 0.3, 0.1]], "empty": []}, 0.3, HOSTILE
        ),
        "reliability": reliability_chart(BINS, HOSTILE),
        "learning": learning_chart({"0": EPOCHS, HOSTILE: EPOCHS}, "held_out_accuracy", HOSTILE),
        "search": search_chart([(0, 0.5, True), (1, 0.7, False), (2, 0.6, True), (3, 0.4, True)], HOSTILE),
        "one trial": search_chart([(0, 0.5, False)], HOSTILE),
        "intervals": interval_chart([row, {"key": "none", "value": None}], HOSTILE),
        "differences": interval_chart(
            [row | {"value": -0.03, "interval": [-0.1, 0.02], "mark": None}], HOSTILE
        ),
    }


@pytest.mark.parametrize("name", charts())
def test_a_chart_is_well_formed_and_only_a_picture(name: str) -> None:
    drawn = str(charts()[name])
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert root.get("aria-label") == HOSTILE
    assert not re.search(r"<script|\sstyle=|\son\w+=|href", drawn)
    width, height = (float(part) for part in root.get("viewBox", "").split()[2:])
    for element in root.iter():
        for attribute, most in (
            ("x", width),
            ("x1", width),
            ("cx", width),
            ("y", height),
            ("y1", height),
            ("cy", height),
        ):
            if element.get(attribute) is not None:
                assert -1 <= float(element.get(attribute, "0")) <= most + 1, ElementTree.tostring(element)


def test_curves_begin_and_end_at_the_edges_of_their_frame() -> None:
    root = ElementTree.fromstring(
        str(precision_recall_chart({"model": [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]}, None, "x"))
    )
    (line,) = [e for e in root if e.tag == "polyline"]
    (left, top), (right, bottom) = (map(float, point.split(",")) for point in line.get("points", "").split())
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT
    assert (round(right - left), round(bottom - top)) == (WIDTH - 48, HEIGHT - 54)


def test_always_no_stands_beside_accuracy_alone() -> None:
    assert "always no" in str(charts()["learning"])
    losses = {"0": [{"epoch": 0, "train_loss": 0.7, "always_no": 0.9}]}
    assert "always no" not in str(learning_chart(losses, "train_loss", "x"))


def test_nothing_to_draw_is_nothing_drawn() -> None:
    assert learning_chart({"0": [{"epoch": 0}]}, "train_loss", "x") == ""
    for drawn in (precision_recall_chart({}, None, "x"), reliability_chart([], "x"), interval_chart([], "x")):
        assert ElementTree.fromstring(str(drawn)).tag == "svg"


def test_the_best_so_far_goes_up_in_steps_and_only_by_what_was_carried_to_the_end() -> None:
    root = ElementTree.fromstring(str(charts()["search"]))
    (line,) = [e for e in root if e.tag == "polyline"]
    points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    heights = [y for _, y in points]
    assert heights == sorted(heights, reverse=True)  # y grows downwards
    dots = {float(e.get("cy", "0")) for e in root if e.tag == "circle" and e.get("class") == "dot"}
    assert (len(dots), heights[-1]) == (3, min(dots))
    assert "best so far" not in str(charts()["one trial"])
    assert search_chart([], "x") == ""


def test_ticks_are_round_and_hold_everything() -> None:
    alike = [{"value": 0.961, "interval": [0.944, 0.98]}, {"value": 0.99, "interval": None}]
    assert ticks_around(alike) == [0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
    assert ticks_around([{"value": 0.5, "interval": [0.12, 0.97]}]) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks_around([{"value": 1.0}]) == [0.99, 1.0]
    assert ticks_around([]) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    drawn = str(area_chart([(0, 0, 0, 0), (6368, 58, 79.4, 104.2)], "labels", "wrong", "x"))
    assert re.findall(r'class="tick"[^>]*>([^<]+)<', drawn) == ["0", "20", "40", "60", "80", "100", "0", "2,000", "4,000", "6,000"]  # fmt: skip


def test_shares_are_written_as_they_are_asked_for() -> None:
    rows = [{"key": "remorse", "value": 0.0132, "interval": [0.01, 0.02]}]
    assert "1.32 %" in str(interval_chart(rows, "x", [0.0, 0.01, 0.02], in_percent=True))
    assert "0.013" in str(interval_chart(rows, "x", [0.0, 0.01, 0.02]))
