"""JSON's true and false are no numbers, wherever a body takes one."""

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from app.http.schemas import RequestModel


class Inner(RequestModel):
    """A body within a body."""

    size: Annotated[int, Field(ge=1)] = 1
    rate: float | None = None
    counts: list[int] = Field(default_factory=list)
    by_name: dict[str, float] = Field(default_factory=dict)
    wanted: bool = False


class Body(RequestModel):
    """A whole one."""

    inner: Inner


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"size": True}, ("inner", "size")),
        ({"rate": False}, ("inner", "rate")),
        ({"counts": [2, True]}, ("inner", "counts", 1)),
        ({"by_name": {"a": True}}, ("inner", "by_name", "a")),
    ],
)
def test_a_truth_value_is_refused_where_a_number_is_due(
    value: dict[str, Any], place: tuple[Any, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"inner": value})
    (error,) = refused.value.errors()
    assert error["loc"][: len(place)] == place
    assert "number" in error["msg"] or "integer" in error["msg"]


def test_numbers_and_truth_values_are_taken_where_they_are_due() -> None:
    given = {"size": 3, "rate": 0.5, "counts": [1, 2], "by_name": {"a": 2}, "wanted": True}
    assert Body.model_validate({"inner": given}).inner.model_dump() == given
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Body.model_validate({"inner": {"size": 0}})
