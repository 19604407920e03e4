"""Box plots as SVG: places worked out by hand, words for those who do not see them, nothing that a policy forbids."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from app.pages.box_plots import NAMES, VALUES, WIDTH, box_plot, drawing, panels, ticks
from models.evaluation.boxes import box

SVG = "{http://www.w3.org/2000/svg}"


def document(**arms: list[float]) -> dict[str, Any]:
    return {
        "measures": [{"key": "rouge1", "title": "ROUGE-1"}, {"key": "dates", "title": "Dates"}],
        "arms": [
            {"name": name, "title": f"{name} & <b>", "kind": "model" if name == "tuned" else "extractive",
             "boxes": {"rouge1": box(np.array(values)), "dates": None}}
            for name, values in arms.items()
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.12, 0.48, [0.1, 0.2, 0.3, 0.4, 0.5]),
        (3.0, 3.0, [3.0, 4.0, 5.0]),
        (0.0, 0.0, [0.0, 0.2, 0.4]),
        (-1.2, 37.0, [-10.0, 0.0, 10.0, 20.0, 30.0, 40.0]),
    ],
)
def test_ticks_are_round_and_hold_every_value(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 1.0, [0.6, 0.8, 1.0]),
        (1.0, 1.000001, [0.6, 0.8, 1.0]),
        (0.97, 1.0, [0.97, 0.98, 0.99, 1.0]),
        (0.0, 0.0, [0.0, 0.2, 0.4]),
        (-0.2, 0.9, [-0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_an_axis_of_shares_ends_at_one(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 1.0) == expected


def test_an_axis_ends_where_its_measure_says() -> None:
    """All at one: the last number below the panel is 1 of a share, and more where the report names no most."""
    given = document(tuned=[1.0, 1.0], lead=[1.0, 1.0])
    for most, last in ((1.0, "1"), (None, "1.4")):
        given["measures"][0]["most"] = most
        for drawn in (box_plot(given, "rouge1"), drawing(given)):
            texts = ElementTree.fromstring(drawn).iter(f"{SVG}text")
            marks = [element.text for element in texts if element.attrib.get("text-anchor") == "middle"]
            assert marks[-1] == last


def test_a_box_lies_where_its_numbers_are() -> None:
    """0, .25, .5, .75, 1 on an axis from 0 to 1: quartiles at a quarter, a half and three quarters of it."""
    root = ElementTree.fromstring(box_plot(document(tuned=[0, 0.25, 0.5, 0.75, 1]), "rouge1"))
    room = WIDTH - NAMES - VALUES
    (drawn,) = root.iter(f"{SVG}rect")
    assert float(drawn.attrib["x"]) == pytest.approx(NAMES + 0.25 * room, abs=0.1)
    assert float(drawn.attrib["width"]) == pytest.approx(0.5 * room, abs=0.1)
    assert drawn.attrib["class"] == "box model"
    (middle,) = (line for line in root.iter(f"{SVG}line") if line.attrib["class"] == "middle")
    assert float(middle.attrib["x1"]) == pytest.approx(NAMES + 0.5 * room, abs=0.1)


def test_those_who_do_not_see_it_are_told_every_number() -> None:
    found = ElementTree.fromstring(box_plot(document(lead=[*[0.2] * 9, 0.9]), "rouge1"))
    ids = str(found.attrib["aria-labelledby"]).split()
    words = {element.attrib.get("id"): element.text for element in found.iter()}
    assert words[ids[0]] == "ROUGE-1"
    assert words[ids[1]] == (
        "lead & <b>: median 0.200, quartiles 0.200 to 0.200, whiskers 0.200 to 0.200, mean 0.270, 10 items, 1 beyond the whiskers."
    )
    assert len(list(found.iter(f"{SVG}circle"))) == 1


def test_the_file_has_every_measure_with_values_and_stands_for_itself() -> None:
    given = document(tuned=[0.1, 0.3], lead=[0.2, 0.4])
    assert panels(given) == [("rouge1", "ROUGE-1")]
    found = drawing(given)
    assert found.startswith(b"<?xml")
    root = ElementTree.fromstring(found)
    assert [element.text for element in root.iter(f"{SVG}text") if element.attrib.get("font-weight")] == [
        "ROUGE-1"
    ]
    assert all(element.attrib.get("fill") for element in root.iter(f"{SVG}text"))
    assert not any(
        name in {"style", "href"} or name.startswith("on")
        for element in root.iter()
        for name in element.attrib
    )
