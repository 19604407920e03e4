"""Exports: corrected labels with their whole history, wide, long and as JSON lines; safe in spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.review import exports
from tests.integration import review_corpus as corpus


def sheet(client: TestClient, path: str, **query: Any) -> list[dict[str, str]]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def lines(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params={"format": "jsonl", **query})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture
def reviewed(vera: TestClient, built: corpus.Built) -> TestClient:
    """vera changed remorse of letter-1 to yes, then thought again; and chose granted for letter-3."""
    for place, value, note in ((0, "yes", "=1+1"), (0, "no", ""), (1, "granted", "Says so.")):
        cell = f"/label-disagreements/dis_{built.disagreements[place]}"
        etag = vera.get(cell, params={"blind": "true"}).headers["ETag"]
        answer = vera.put(f"{cell}/review", json={"value": value, "note": note}, headers={"If-Match": etag})
        assert answer.status_code == 200
        if value == "no":
            vera.delete(f"{cell}/review", headers={"If-Match": answer.headers["ETag"]})
    return vera


def test_wide_has_one_row_a_text_and_blank_for_missing(reviewed: TestClient) -> None:
    rows = sheet(reviewed, "/corpora/letters/export")
    named = reviewed.get("/corpora/letters/export").headers["content-disposition"]
    assert named == 'attachment; filename="letters-synthetic-labels.csv"'
    assert list(rows[0]) == [
        "external_id", "split", "group.case", "metadata.court", "metadata.year",
        "remorse", "dependants", "granted", "denied", "open",
    ]  # fmt: skip
    values = {row["external_id"]: [row[key] for key in corpus.SCHEME.option_keys] for row in rows}
    assert values == {
        "letter-1": ["1", "1", "0", "0", "1"],
        "letter-2": ["", "", "", "", ""],
        "letter-3": ["", "0", "1", "0", "0"],
    }
    assert rows[1]["metadata.court"] == ""


def test_long_has_one_row_a_cell_with_its_history(reviewed: TestClient) -> None:
    rows = {
        (row["external_id"], row["option"] or row["question"]): row
        for row in sheet(reviewed, "/corpora/letters/export", layout="long")
    }
    assert len(rows) == 9
    remorse = rows["letter-1", "remorse"]
    assert (remorse["value"], remorse["source"], remorse["consensus"]) == ("yes", "review", "no")
    assert [r["value"] for r in json.loads(remorse["reviews"])] == ["yes", "no", None]
    assert [a["value"] for a in json.loads(remorse["annotations"])] == ["no", "no", "yes"]
    tie = rows["letter-2", "remorse"]
    assert (tie["value"], tie["source"]) == ("", "tie")
    assert json.loads(tie["votes"]) == {"yes": 1, "no": 1, "uncertain": 0, "not_applicable": 0}
    assert rows["letter-2", "outcome"]["source"] == "missing"
    assert rows["letter-3", "dependants"]["source"] == "consensus"


def test_json_lines_carry_everything(reviewed: TestClient, built: corpus.Built) -> None:
    records = {
        record["external_id"]: record
        for record in lines(reviewed, "/corpora/letters/export", with_text="true")
    }
    third = records["letter-3"]
    assert (third["synthetic"], third["sensitive"]) == (True, False)
    assert third["text"].startswith("=HYPERLINK"), "JSON is lossless"
    assert third["labels"] == {"remorse": None, "dependants": 0, "granted": 1, "denied": 0, "open": 0}
    outcome = next(cell for cell in third["cells"] if cell["question"] == "outcome")
    assert (outcome["value"], outcome["source"], outcome["consensus"]) == ("granted", "review", "denied")
    assert outcome["annotations"] == [
        {
            "annotator": "cem",
            "team": "2020",
            "annotated_at": "2019-05-01T00:00:00Z",
            "codebook_version": "",
            "source": "import:test",
            "value": "denied",
        }
    ]
    (review,) = outcome["reviews"]
    assert (review["reviewer"], review["note"], review["value"]) == ("vera", "Says so.", "granted")
    assert review["shown"] == {"blind": True, "ranking": built.ranking_id}


def test_csv_cells_cannot_run(reviewed: TestClient) -> None:
    texts = [row["text"] for row in sheet(reviewed, "/corpora/letters/export", with_text="true")]
    assert texts[2].startswith("'=HYPERLINK")
    notes = [
        row["note"]
        for row in sheet(reviewed, "/label-disagreements/export", corpus="letters", state="settled")
    ]
    assert notes == ["'=1+1", "Says so."]


def test_disagreements_with_their_decisions(reviewed: TestClient) -> None:
    rows = lines(reviewed, "/label-disagreements/export", corpus="letters", state="all")
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5]
    assert (rows[0]["state"], rows[0]["review_value"], rows[0]["reviewer"]) == ("settled", "yes", "vera")
    assert rows[2]["review_value"] is None
    open_ones = sheet(reviewed, "/label-disagreements/export", corpus="letters")
    assert [row["position"] for row in open_ones] == ["3", "4", "5"]
    with_text = lines(
        reviewed, "/label-disagreements/export", corpus="letters", with_text="true", option="dependants"
    )
    assert [row["text"][:11] for row in with_text] == ["Your Honour", "=HYPERLINK("]


def test_many_blocks_are_one_export(
    vera: TestClient, built: corpus.Built, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BLOCK", 2)
    with writing(engine) as session:
        for number in range(5):
            corpus.add_text(session, built, f"more-{number}", "Another.")
    names = [row["external_id"] for row in sheet(vera, "/corpora/letters/export")]
    assert names == ["letter-1", "letter-2", "letter-3", *(f"more-{number}" for number in range(5))]
    assert len(lines(vera, "/label-disagreements/export", corpus="letters", state="all")) == 5


def test_wrong_questions_are_answered_before_the_export_begins(vera: TestClient, engine: Engine) -> None:
    assert vera.get("/corpora/none/export").status_code == 404
    assert vera.get("/corpora/letters/export", params={"format": "xls"}).json()["field"] == "format"
    assert (
        vera.get("/label-disagreements/export", params={"corpus": "letters", "option": "x"}).json()["field"]
        == "option"
    )
    with writing(engine) as session:
        corpus.build_corpus(session, "new")
    header = vera.get("/label-disagreements/export", params={"corpus": "new"}).text
    assert header.startswith("id,ranking_id,")
    assert len(header.splitlines()) == 1
