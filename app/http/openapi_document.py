"""The OpenAPI document as served and as committed in openapi.json."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.http.documented import ProblemDocument

_INTRODUCTION = """Import labelled texts, train held-out models on them, let them re-read every text, review what looks wrong, export.

Errors are RFC 9457 problem documents with a stable `type`. Long work answers `202` with `Location`; follow it there.
POSTs that create take an `Idempotency-Key`. Edits need `If-Match`. Times are UTC."""


def install_openapi(app: FastAPI) -> None:
    """Make the app serve `document(app)`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI) -> dict[str, Any]:
    """The document, with problem details in place of FastAPI's own form of validation errors."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_INTRODUCTION,
        routes=app.routes,
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in found["paths"].values():
        for operation in path.values():
            _correct(operation)
    return found


def _correct(operation: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    responses = operation["responses"]
    if "422" in responses:
        responses["422"] = {"description": "A value is wrong; `field` names it.", "content": problem}
    if "security" in operation:
        responses.setdefault("401", {"description": "No valid key or session.", "content": problem})
        responses.setdefault(
            "403", {"description": "The key's role or corpus does not allow it.", "content": problem}
        )
    operation["responses"] = dict(sorted(responses.items()))
