"""The real texts of ../shared/data: each shape in full, and ECHR whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attempts import claimed
from tests.imports import Imports

pytestmark = pytest.mark.data


def test_echr_whole_in_a_child_process(imports: Imports, shared_data: Path) -> None:
    """35,433 paragraphs, seven arguments and five speakers, by the same child that a worker starts; a repeat changes nothing."""
    content = (shared_data / "echr_arguments" / "paragraphs.csv").read_bytes()
    accepted = imports.client.post(
        "/corpora/letters/imports", files={"file": ("paragraphs.csv", content)}, data={"commit": "true"}
    ).json()
    held = claimed(accepted["id"], 300)
    command = [sys.executable, "-m", "workers.importing", accepted["id"], str(held.fence)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, env=os.environ.copy()
    ) as child:  # its stdin is its life line
        assert child.wait(240) == 0
    report = imports.client.get(f"/imports/{accepted['id']}").json()["result"]
    assert (
        report["rows"],
        report["texts"]["new"],
        report["annotations"]["new"],
        report["rejected"]["rows"],
    ) == (35_433, 35_433, 70_866, 0)
    assert report["splits"] == {"train": 31_852, "val": 3_581}
    assert report["groups"] == {"case": 336}
    assert report["duplicates"]["groups"] == 1_432
    assert {question["key"]: len(question["columns"]) for question in report["mapping"]["questions"]} == {
        "labels": 7,
        "actor": 5,
    }
    before = imports.counts()
    assert imports.report(content)["texts"] == {"new": 0, "updated": 0, "identical": 35_433, "unlabelled": 0}
    assert imports.counts() == before


def test_opp115_tos_and_vetclaims(imports: Imports, shared_data: Path) -> None:
    """By annotator, by list, by single label."""
    expected = {
        "opp115/segments.jsonl": ("annotators", 2_302, 6_906, 10, 10),
        "tos_unfair_clauses/sentences.jsonl": ("list", 13_558, 13_558, 10, 1),
        "vetclaims_roles/sentences.jsonl": ("value", 8_804, 8_804, 6, 1),
    }
    for name, (shape, texts, answers, options, annotators) in expected.items():
        corpus = name.partition("/")[0]
        assert imports.client.post("/corpora", json={"name": corpus}).status_code == 201
        here = Imports(imports.client, imports.engine, corpus)
        report = here.report((shared_data / name).read_bytes(), name=name)
        assert report["mapping"]["questions"][0]["shape"] == shape
        assert (report["texts"]["new"], report["annotations"]["new"]) == (texts, answers)
        assert (len(report["options"]), len(report["annotators"])) == (options, annotators)
    # the shared file has 14 sentences without content
    assert report["rejected"]["rows"] == 14
