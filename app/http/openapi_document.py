"""The OpenAPI document as served and as committed in openapi.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.http.documented import ProblemDocument

_INTRODUCTION = """Import labelled texts, train held-out models on them, let them re-read every text, review the labels worth a second look, export.

Errors are RFC 9457 problem documents with a stable `type`. Long work answers `202` with `Location`; follow it there.
POSTs that create take an `Idempotency-Key`. Edits need `If-Match`. Times are UTC."""


def install_openapi(app: FastAPI, bodies: Sequence[type[BaseModel]] = ()) -> None:
    """Make the app serve `document(app, bodies)`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, bodies)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI, bodies: Sequence[type[BaseModel]] = ()) -> dict[str, Any]:
    """The document, with problem details in place of FastAPI's own form of validation errors.

    bodies: models of request bodies that a route reads by itself, so that FastAPI does not know of them.
    """
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_INTRODUCTION,
        routes=app.routes,
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    models: tuple[type[BaseModel], ...] = (ProblemDocument, *bodies)
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
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
    if "requestBody" in operation:
        responses.setdefault("400", {"description": "The body cannot be read.", "content": problem})
        responses.setdefault("413", {"description": "The body is over its limit.", "content": problem})
    responses.setdefault(
        "503", {"description": "The database does not answer at the moment.", "content": problem}
    )
    if "security" in operation:
        responses.setdefault("401", {"description": "No valid key or session.", "content": problem})
        responses.setdefault(
            "403", {"description": "The key's role or corpus does not allow it.", "content": problem}
        )
    operation["responses"] = dict(sorted(responses.items()))
