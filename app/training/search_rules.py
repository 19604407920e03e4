"""What may be searched, and the points of a grid: pure rules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.http.answers import plain_words
from app.http.problems import Invalid
from app.training.schemas import TrainJobRequest
from app.training.search_schemas import MOST_TRIALS, Choice, Dimension, FloatRange, IntRange, SearchRequest

AUTO_TRIALS = 20
SHARED = frozenset({"base_model", "max_tokens", "method", "trained_layers"})
"""What all members of an adapter have in common, so that no fold can choose it for itself."""
NOT_SEARCHED = frozenset(
    {
        "corpus", "name", "folds", "seed", "options", "splits", "sample", "limit", "time_budget_seconds", "search",
        "task", "device", "memory_bytes",
    }
)  # fmt: skip
"""What trials must agree in to be compared: texts, labels, folds, seed."""
_BETWEEN = 1 / math.pi
"""A place inside a range that no whole number lies at."""


def searchable() -> list[str]:
    """Fields of a train request that a search may vary."""
    request = TrainJobRequest(corpus="any").trainer_request()
    return sorted(
        name for name in TrainJobRequest.model_fields if name not in NOT_SEARCHED and _reaches(name, request)
    )


def _reaches(name: str, request: Mapping[str, Any]) -> bool:
    """Whether the trainer hears of a field; what is `auto` is left out of its request."""
    return name in request or TrainJobRequest.model_fields[name].default == "auto"


def check_search(request: TrainJobRequest) -> SearchRequest:
    """The search of a train request once every value that it may try is one that a request may have.

    Raises Invalid, naming the place under /search.
    """
    search = request.search
    assert search is not None
    task = getattr(request, "task", "classify")
    if task != "classify":
        raise Invalid(
            f"Searches are made for classification, not for {task!r}.",
            field="/search",
            slug="search-unsupported",
        )
    known = searchable()
    for name, dimension in search.space.items():
        place = f"/search/space/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in known:
            raise Invalid(
                f"{name!r} cannot be searched. What can: {', '.join(known)}.",
                field=place,
                slug="not-searchable",
            )
        _check_dimension(request, name, dimension, place)
    shared = sorted(SHARED & set(search.space))
    if shared and search.nested:
        raise Invalid(
            f"All members of an adapter share {shared[0]}, so no fold can choose it by itself. Give one value, or accept a held-out "
            'score that is a little too good with "nested": false; the report will say so.',
            field=f"/search/space/{shared[0]}",
            slug="not-nested",
        )
    if search.strategy == "grid":
        _check_grid(request, search)
    return search


def trial_count(search: SearchRequest) -> int:
    """How many trials a checked search makes."""
    if search.strategy == "grid":
        return grid_size(search.space)
    return search.trials or AUTO_TRIALS


def grid_values(dimension: Dimension) -> list[Any]:
    """The values of a dimension in order; a float range needs `steps`."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    if isinstance(dimension, IntRange):
        return _whole_numbers(dimension)
    assert dimension.steps is not None
    if dimension.steps == 1:
        return [dimension.low]
    places = [number / (dimension.steps - 1) for number in range(dimension.steps)]
    if dimension.log:
        low, high = math.log(dimension.low), math.log(dimension.high)
        inner = [math.exp(low + place * (high - low)) for place in places]
    else:
        inner = [dimension.low + place * (dimension.high - dimension.low) for place in places]
    return [dimension.low, *inner[1:-1], dimension.high]


def grid(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """Every combination; the last parameter varies fastest."""
    columns = [grid_values(dimension) for dimension in space.values()]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*columns)]


def grid_size(space: Mapping[str, Dimension]) -> int:
    """Combinations of a grid, counted without making them."""
    return math.prod(_size(dimension) for dimension in space.values())


def _size(dimension: Dimension) -> int:
    if isinstance(dimension, Choice):
        return len(dimension.values)
    if isinstance(dimension, FloatRange):
        return dimension.steps or 0
    if dimension.log:
        return len(_whole_numbers(dimension))
    return (dimension.high - dimension.low) // dimension.step + 1


def _whole_numbers(dimension: IntRange) -> list[int]:
    """Even distances, or doubling on a logarithmic scale; `high` is the last of the latter."""
    if not dimension.log:
        return list(range(dimension.low, dimension.high + 1, dimension.step))
    values = [dimension.low]
    while values[-1] * 2 < dimension.high:
        values.append(values[-1] * 2)
    return values if values[-1] == dimension.high else [*values, dimension.high]


def _check_grid(request: TrainJobRequest, search: SearchRequest) -> None:
    for name, dimension in search.space.items():
        if isinstance(dimension, FloatRange) and dimension.steps is None:
            raise Invalid(
                f'A grid needs to know how many values of {name} it has: give "steps", or a choice of values.',
                field=f"/search/space/{name}/steps",
                slug="grid-without-steps",
            )
    size = grid_size(search.space)
    if size > (most := search.trials or MOST_TRIALS):
        raise Invalid(
            f"The grid has {size:,} combinations, more than the {most:,} trials. Ask for more trials (at most {MOST_TRIALS:,}), fewer "
            "values, or another strategy.",
            field="/search/trials",
            slug="grid-too-large",
        )
    for point in grid(search.space):
        if wrong := _refused(request, point):
            raise Invalid(
                f"The combination {point} is no valid request: {wrong[1]}",
                field="/search/space",
                slug="invalid-combination",
            )


def _check_dimension(request: TrainJobRequest, name: str, dimension: Dimension, place: str) -> None:
    if isinstance(dimension, Choice):
        given = [(f"{place}/values/{number}", value) for number, value in enumerate(dimension.values)]
        if len({repr(value) for value in dimension.values}) < len(dimension.values):
            raise Invalid(
                f"A value of {name} stands there twice.", field=f"{place}/values", slug="doubled-value"
            )
    else:
        given = [(f"{place}/low", dimension.low), (f"{place}/high", dimension.high)]
        if isinstance(dimension, FloatRange) and dimension.low < dimension.high:
            inside = dimension.low + _BETWEEN * (dimension.high - dimension.low)
            given.append((place, inside))
    for field, value in given:
        if wrong := _refused(request, {name: value}):
            raise Invalid(f"{name} cannot be {value!r}: {wrong[1]}", field=field, slug="invalid")


def _refused(request: TrainJobRequest, values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Place and words of what is wrong with a request that has these values; None where nothing is."""
    document = request.model_dump(mode="json", exclude={"search"})
    try:
        changed = TrainJobRequest.model_validate(document | dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        words = dict.fromkeys(plain_words(item["type"], item["msg"]) for item in found)
        return ".".join(map(str, found[0]["loc"])), "; or: ".join(words)
    except Invalid as error:
        return error.field or "", error.detail
    for name, value in values.items():
        kept = getattr(changed, name)
        if isinstance(value, int | float | str) and kept != value:
            return name, f"it would be read as {kept!r}"
        if isinstance(value, bool) != isinstance(kept, bool) and isinstance(value, int | float):
            return name, "it is no such kind of value"
    return None
