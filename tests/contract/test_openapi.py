"""openapi.json is what the code says, says enough, and the app does what it says (schemathesis)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.openapi import FILE, rendered
from tests.contract.conftest import Api

_CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
_EXAMPLES = 8
_KEPT = {("DELETE", "/corpora/{corpus_id}")}
"""Operations that would take what the others need: they get made-up ids only."""


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of the committed document."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    return [
        (method.upper(), path, found)
        for path, item in document["paths"].items()
        for method, found in item.items()
    ]


def test_the_file_is_what_the_code_says() -> None:
    """After a change: `python -m app.openapi`."""
    assert rendered() == FILE.read_text(encoding="utf-8")


def test_every_operation_is_described() -> None:
    """A summary, a description, a tag; problems where it can go wrong; no form of errors but ours."""
    for method, path, operation in operations():
        where = f"{method} {path}"
        assert operation.get("summary"), where
        assert operation.get("description"), where
        assert operation.get("tags"), where
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer.get("content", {"application/problem+json": None})) == [
                    "application/problem+json"
                ], f"{where} {status}"
        if "requestBody" in operation:
            assert {"413", "422"} <= set(operation["responses"]), where
    assert len({operation["operationId"] for _, _, operation in operations()}) == len(operations())


def test_everything_but_health_and_sign_in_needs_a_key(api: Api) -> None:
    """Without a key each operation answers 401, whatever else is wrong with the request."""
    api.client.headers.pop("Authorization")
    try:
        public = set()
        for method, path, operation in operations():
            status = api.client.request(method, path.replace("{", "").replace("}", ""), json={}).status_code
            if "security" in operation:
                assert status == 401, f"{method} {path} answered {status}"
            else:
                public.add(path)
        assert public == {"/livez", "/readyz", "/metrics", "/sign-in"}
    finally:
        api.client.headers.update(api.headers)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_the_app_keeps_its_contract(api: Api, mode: GenerationMode) -> None:
    """Made-up requests, valid and invalid: documented statuses, media types and bodies only, and never a 500."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app)
    broken, tried = [], 0
    for found in schema.get_all_operations():
        operation = found.ok()
        tried += 1
        if mode is GenerationMode.NEGATIVE and not _takes_anything(operation):
            continue
        try:
            _try(operation.as_strategy(generation_mode=mode), api, real=mode is GenerationMode.POSITIVE)
        except Exception as error:  # noqa: BLE001  # every operation is tried, then all that broke are told
            broken.append(
                f"{operation.method.upper()} {operation.path}: {type(error).__name__} {_words(error)}"
            )
    assert broken == []
    assert tried == len(operations())


def _takes_anything(operation: Any) -> bool:
    return any((operation.path_parameters, operation.query, operation.headers, operation.body))


def _words(error: BaseException) -> str:
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
    return "; ".join(str(part) for part in parts)[:1500]


def _try(strategy: Any, api: Api, *, real: bool) -> None:
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: Case) -> None:
        nonlocal number
        number += 1
        # Every other request is about something that exists.
        if real and number % 2 and (case.method.upper(), case.path) not in _KEPT:
            _point_at_real_things(case, api.known)
        response = case.call(headers=api.headers, allow_redirects=False)
        assert response.status_code != 500, f"{case.method} {case.path}: {response.text}"
        case.validate_response(response, checks=_CHECKS)

    number = 0
    check()


def _point_at_real_things(case: Case, known: dict[str, str]) -> None:
    for place in (case.path_parameters, case.query, case.body if isinstance(case.body, dict) else None):
        for name in set(place or ()) & set(known):
            place[name] = known[name]  # type: ignore[index]
