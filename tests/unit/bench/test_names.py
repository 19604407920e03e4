"""Benches import within functions what they measure: every such name is still there, though no test runs the bench."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).parents[3] / "bench").rglob("*.py"))
OURS = ("app", "bench", "models", "workers")


@pytest.mark.parametrize("file", BENCHES, ids=lambda file: file.stem)
def test_what_a_bench_imports_of_ours_exists(file):
    imported = [
        (node.module, name.name)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS
        for name in node.names
    ]
    missing = [
        f"{module}.{name}"
        for module, name in imported
        if not hasattr(import_module(module), name) and find_spec(f"{module}.{name}") is None
    ]
    assert not missing
