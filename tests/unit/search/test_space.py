"""What may be searched, and the points of a grid."""

from __future__ import annotations

from typing import Any

import pytest

from app.http.problems import Invalid
from app.training.schemas import TrainJobRequest
from app.training.search_rules import (
    SHARED,
    check_search,
    grid,
    grid_size,
    grid_values,
    searchable,
    trial_count,
)
from app.training.search_schemas import Choice, FloatRange, IntRange, SearchRequest
from models.training.members import SHARED as MEMBERS_SHARE


def request(**search: Any) -> TrainJobRequest:
    """A train request with that search."""
    return TrainJobRequest.model_validate({"corpus": "letters", "search": search})


def test_what_makes_trials_incomparable_cannot_be_searched() -> None:
    known = set(searchable())
    assert {
        "learning_rate",
        "lora_rank",
        "epochs",
        "loss",
        "dropout",
        "weight_decay",
        "window_pooling",
        "wide",
        "method",
    } <= known
    assert not known & {"corpus", "folds", "seed", "sample", "limit", "splits", "options", "search", "name"}


def test_both_sides_agree_on_what_members_share() -> None:
    assert SHARED == MEMBERS_SHARE
    for name in SHARED:
        values = {"method": ["lora"], "base_model": ["minilm"]}.get(name, [8])
        asked = request(space={name: {"type": "choice", "values": values}})
        with pytest.raises(Invalid) as refused:
            check_search(asked)
        assert refused.value.slug == "not-nested"


def test_values_of_a_dimension() -> None:
    assert grid_values(IntRange(type="int", low=2, high=9, step=3)) == [2, 5, 8]
    assert grid_values(IntRange(type="int", low=2, high=20, log=True)) == [2, 4, 8, 16, 20]
    assert grid_values(IntRange(type="int", low=3, high=3)) == [3]
    assert grid_values(FloatRange(type="float", low=0.0, high=1.0, steps=3)) == [0.0, 0.5, 1.0]
    assert grid_values(FloatRange(type="float", low=1e-4, high=1e-2, log=True, steps=3)) == pytest.approx(
        [1e-4, 1e-3, 1e-2]
    )
    assert grid_values(FloatRange(type="float", low=0.1, high=0.2, steps=1)) == [0.1]
    assert grid_values(Choice(type="choice", values=["auto", {"a": 1}])) == ["auto", {"a": 1}]


def test_a_grid_has_every_combination_once() -> None:
    space = {
        "wide": Choice(type="choice", values=[True, False]),
        "lora_rank": IntRange(type="int", low=1, high=16, log=True),
        "dropout": FloatRange(type="float", low=0, high=0.5, steps=2),
    }
    points = grid(space)
    assert len(points) == grid_size(space) == 20
    assert len({repr(point) for point in points}) == 20
    assert points[:2] == [
        {"wide": True, "lora_rank": 1, "dropout": 0},
        {"wide": True, "lora_rank": 1, "dropout": 0.5},
    ]


def test_a_huge_grid_is_counted_without_being_made() -> None:
    space = {name: {"type": "int", "low": 1, "high": 100} for name in ("epochs", "patience")}
    with pytest.raises(Invalid, match="10,000 combinations"):
        check_search(request(strategy="grid", space=space))


def test_how_many_trials() -> None:
    values = {"lora_rank": {"type": "choice", "values": [1, 2, 4]}}
    assert trial_count(check_search(request(strategy="grid", space=values))) == 3
    assert trial_count(check_search(request(strategy="grid", space=values, trials=50))) == 3
    assert trial_count(check_search(request(strategy="random", space=values, trials=7))) == 7
    assert trial_count(check_search(request(space=values))) == 20


@pytest.mark.parametrize(
    ("space", "place"),
    [
        ({"lora_rank": {"type": "float", "low": 1, "high": 8}}, "/search/space/lora_rank"),
        ({"wide": {"type": "int", "low": 0, "high": 1}}, "/search/space/wide/low"),
        ({"wide": {"type": "choice", "values": ["yes"]}}, "/search/space/wide/values/0"),
        ({"lora_rank": {"type": "choice", "values": [4, 4]}}, "/search/space/lora_rank/values"),
        ({"learning_rate": {"type": "float", "low": 1e-5, "high": 1}}, "/search/space/learning_rate/high"),
        ({"a/b": {"type": "choice", "values": [4]}}, "/search/space/a~1b"),
    ],
)
def test_a_wrong_value_is_named(space: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_search(request(space=space))
    assert refused.value.field == place


@pytest.mark.parametrize(
    "dimension",
    [
        {"type": "float", "low": 2, "high": 1},
        {"type": "float", "low": 0, "high": 1, "log": True},
        {"type": "int", "low": 1, "high": 8, "log": True, "step": 2},
        {"type": "choice", "values": []},
        {"type": "text"},
    ],
)
def test_ranges_that_are_none(dimension: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"low|begins above 0|step|at least 1 item|type"):
        SearchRequest.model_validate({"space": {"learning_rate": dimension}})
