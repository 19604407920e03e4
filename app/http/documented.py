"""Problem answers in the OpenAPI document: one schema, and the responses a route declares."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Stable; what programs decide by.", examples=["urn:remand:problem:not-found"]
    )
    title: str
    status: int
    detail: str = Field(description="What was wrong, where, and what to do.")
    field: str | None = Field(
        None, description="JSON pointer into the body, or the name of a parameter or header."
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses answer with a problem document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
            },
        }
        for status in statuses
    }
