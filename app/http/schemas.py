"""The base of every request body: unknown fields are refused, and strings must be something Postgres can hold."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from app.http.problems import Invalid


def _no_number(value: Any) -> Any:
    """A year alone would be read as so many seconds after 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal()):
        raise ValueError(f"A number is no time: write it as {str(value).strip()[:4]}-01-01T00:00Z.")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_no_number)]
"""A point in time with its zone, ISO 8601."""


def _numbers_alone(schema: Any) -> Any:
    """A core schema in which what takes a number takes nothing but numbers."""
    if isinstance(schema, list | tuple):
        return type(schema)(_numbers_alone(each) for each in schema)
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key == "metadata" else _numbers_alone(value) for key, value in schema.items()}
    kind = inner.get("type")
    if kind not in ("int", "float"):
        return inner

    def no_truth_value(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticKnownError("int_type" if kind == "int" else "float_type")
        return value

    return core_schema.no_info_before_validator_function(no_truth_value, inner)


class RequestModel(BaseModel):
    """A request body. Unknown fields, NUL bytes, lone surrogates, NaN and truth values for numbers are refused with the field's name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Every number of the model refuses true and false, which pydantic would read as 1 and 0."""
        schema: CoreSchema = _numbers_alone(handler(source))
        return schema

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: Any) -> Any:
        try:
            check_storable(data)
        except RecursionError:
            raise Invalid("The body is nested too deeply.", field="body") from None
        return data


class AnswerModel(BaseModel):
    """An answer body."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


def check_storable(value: Any, pointer: str = "") -> None:
    """Raise Invalid, naming the place as a JSON pointer, for a string or number inside `value` that cannot be stored."""
    if isinstance(value, str):
        check_string(value, pointer)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Invalid("The number is not finite: JSON knows no NaN or Infinity.", field=pointer or "/")
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                check_string(key, pointer or "/")
            check_storable(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_storable(item, f"{pointer}/{index}")


def check_string(value: str, field: str) -> None:
    """Raise Invalid for a NUL character or a lone surrogate (half of a UTF-16 pair)."""
    if "\x00" in value:
        raise Invalid(
            f"There is a NUL character at position {value.index(chr(0))}: remove it.",
            field=field,
            slug="nul-character",
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"The character at position {error.start} is half of a surrogate pair and no valid Unicode text.",
            field=field,
            slug="invalid-unicode",
        ) from None
