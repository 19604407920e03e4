"""The column mapping: the documents' examples hold, null differs from left out, contradictions are found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.corpora.mapping import Mapping, check_mapping
from app.http.problems import Invalid

PAGE = Path(__file__).resolve().parents[3] / "docs" / "imports.md"


def test_examples_of_the_documents_are_valid() -> None:
    """Every JSON block of docs/imports.md is a mapping, or a request that carries one."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        document = json.loads(block)
        mapping = Mapping.model_validate(document.get("mapping", document))
        check_mapping(mapping)
        assert mapping.document() == Mapping.model_validate(mapping.document()).document()


def test_null_is_not_left_out() -> None:
    """What is stored with the job keeps the difference."""
    mapping = Mapping.model_validate(json.loads('{"id": null}'))
    assert (mapping.given("id"), mapping.given("text")) == (True, False)
    assert mapping.document() == {"id": None}
    assert Mapping.model_validate(mapping.document()).given("id")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"id": "a", "groups": ["a"]}, "/mapping/groups/0"),
        ({"groups": ["a", "a"]}, "/mapping/groups/1"),
        ({"fold_group": "x", "groups": ["a"]}, "/mapping/fold_group"),
        ({"questions": [{"key": "q", "columns": ["a", "a"]}]}, "/mapping/questions/0/columns/1"),
        ({"questions": [{"key": "q", "columns": ["a"], "column": "b"}]}, "/mapping/questions/0"),
        ({"questions": [{"key": "q", "column": "a", "shape": "value"}]}, "/mapping/questions/0/shape"),
        (
            {"questions": [{"key": "q", "column": "a", "value_column": "b"}]},
            "/mapping/questions/0/value_column",
        ),
        (
            {"questions": [{"key": "q", "column": "a"}, {"key": "q", "column": "b"}]},
            "/mapping/questions/1/key",
        ),
        (
            {
                "questions": [
                    {"key": "q", "columns": [{"column": "a", "key": "k"}, {"column": "b", "key": "k"}]}
                ]
            },
            "/mapping/questions/0",
        ),
        ({"encoding": "base64"}, "/mapping/encoding"),
    ],
)
def test_contradictions(document: dict[str, object], field: str) -> None:
    """Each is refused at its place."""
    with pytest.raises(Invalid) as refused:
        check_mapping(Mapping.model_validate(document))
    assert refused.value.field == field
