"""`remand disagreements` and `remand export` against the served app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.disagreements import print_items
from app.cli.main import build
from app.cli.rankings import ranking_lines
from tests.integration.review_corpus import Built
from tests.served import served_app


@pytest.fixture
def served(built: Built, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A command line that is pointed at the running app, with vera's key."""
    with served_app() as address:
        monkeypatch.setenv("REMAND_URL", address)
        monkeypatch.setenv("REMAND_API_KEY", built.keys["vera"])
        monkeypatch.setenv("COLUMNS", "160")
        yield CliRunner()


def test_the_top_disagreements_as_a_table(served: CliRunner) -> None:
    found = served.invoke(build(), ["disagreements", "--corpus", "letters", "--top", "3"])
    assert found.exit_code == 0, found.output
    lines = [line.split() for line in found.stdout.splitlines() if " dis_" in line]
    assert [line[2:6] for line in lines] == [
        ["letter-1", "remorse", "no", "yes"],
        ["letter-3", "outcome", "denied", "granted"],
        ["letter-1", "dependants", "yes", "no"],
    ]


def test_another_order_shows_its_score_beside_the_suspicion(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"position": 3, "id": "dis_3", "external_id": "letter-3", "option": "youth", "question": "labels", "human_value": "no",
            "model_value": "yes", "probability": 0.4, "suspicion": 0.61, "state": "open", "scores": {"stacked": 0.61, "knn": 0.72}}  # fmt: skip
    print_items([item, item | {"scores": None}], "knn")
    head, first, hidden = capsys.readouterr().out.splitlines()
    assert "knn" in head.split()
    assert "0.720" in first.split()
    assert "0.720" not in hidden


def test_no_findings_are_claimed_before_anything_has_looked(
    served: CliRunner, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as as_admin:
        as_admin.setenv("REMAND_API_KEY", built.keys["ada"])
        assert served.invoke(build(), ["corpora", "create", "unread"]).exit_code == 0
    found = served.invoke(build(), ["findings", "unread"])
    assert "Nobody has looked yet" in found.stdout
    assert "0 broken" not in found.stdout


def test_rankings_and_their_texts(served: CliRunner, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.invoke(build(), ["rankings", "list", "letters"]).stdout.count("rnk_") >= 1
    bad = served.invoke(build(), ["rankings", "texts", "letters", "--by", "mean"])
    assert (bad.exit_code, "'any_wrong' or 'highest'" in bad.output) == (1, True)
    with monkeypatch.context() as as_admin:
        as_admin.setenv("REMAND_API_KEY", built.keys["ada"])
        assert served.invoke(build(), ["corpora", "create", "unread"]).exit_code == 0
    for verb in ("list", "texts"):
        assert "unread has no ranking yet" in served.invoke(build(), ["rankings", verb, "unread"]).stdout


def test_options_that_are_read_differently_from_group_to_group_are_named() -> None:
    item = {"id": "rnk_1", "created_at": "2026-11-29T20:00:00Z", "method": "stacked", "flagged_cells": 3, "decoy_cells": 0,
            "audited_cells": 90, "calibrated": False, "parameters": {"design_effects": {"remorse": 1.3, "dependants": 2.0}}}  # fmt: skip
    _, told = ranking_lines(item)
    assert told.strip() == "read differently from group to group: dependants (2.0)"
    for parameters in ({"design_effects": {"remorse": 1.3}}, {}):  # a ranking from before has none
        assert len(ranking_lines(item | {"parameters": parameters})) == 1


def test_blind_and_as_json(served: CliRunner) -> None:
    found = served.invoke(build(), ["disagreements", "--corpus", "letters", "--blind", "--json"])
    items = [json.loads(line) for line in found.stdout.splitlines() if line.startswith('{"id"')]
    assert len(items) == 5
    assert all(item["human_value"] is None and item["blind"] for item in items)


def test_export_into_a_file(served: CliRunner, tmp_path: Path) -> None:
    wide, lines, found = tmp_path / "labels.csv", tmp_path / "labels.jsonl", tmp_path / "disagreements.csv"
    for arguments in (
        ["--out", str(wide)],
        ["--out", str(lines), "--with-text"],
        ["--out", str(found), "--disagreements"],
    ):
        done = served.invoke(build(), ["export", "--corpus", "letters", *arguments])
        assert done.exit_code == 0, done.output
    assert wide.read_text().splitlines()[0].startswith("external_id,split,")
    assert len(wide.read_text().splitlines()) == 4
    assert [json.loads(line)["external_id"] for line in lines.read_text().splitlines()] == [
        "letter-1",
        "letter-2",
        "letter-3",
    ]
    assert len(found.read_text().splitlines()) == 6
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["disagreements.csv", "labels.csv"]


def test_what_goes_wrong_leaves_no_file(served: CliRunner, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    none = served.invoke(build(), ["export", "--corpus", "nothing", "--out", str(out)])
    assert none.exit_code == 1
    assert "There is no corpus" in none.output
    nowhere = served.invoke(
        build(), ["export", "--corpus", "letters", "--out", str(tmp_path / "no" / "x.csv")]
    )
    assert nowhere.exit_code == 1
    assert "cannot be written" in nowhere.output
    assert not list(tmp_path.glob("*.csv"))
    assert not list(tmp_path.glob(".*.part"))
