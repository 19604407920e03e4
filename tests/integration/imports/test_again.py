"""Importing again: nothing doubles, changed content is a new version, changed answers are new rows, partial files keep the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.imports import Imports
from workers.importing import run as importing

FIRST = "id,text,case,coder,remorse,youth,year\n1,I am sorry.,c1,kim,1,0,2019\n2,I was eighteen.,c1,kim,0,1,2019\n"


def test_same_file_changes_nothing(imports: Imports) -> None:
    """A second import of the same bytes writes no row."""
    imports.report(FIRST)
    before = imports.counts()
    report = imports.report(FIRST)
    assert imports.counts() == before
    assert report["texts"] == {"new": 0, "updated": 0, "identical": 2, "unlabelled": 0}
    assert report["annotations"] == {"in_file": 2, "new": 0, "changed": 0, "identical": 2}


def test_dry_run_stores_nothing(imports: Imports) -> None:
    """The report is that of the import, the tables stay empty; the uploaded file can then be committed by its digest."""
    before = imports.counts()
    job = imports.send(FIRST, commit=False)
    assert job["result"]["texts"]["new"] == 2
    assert imports.counts() == before
    accepted = imports.client.post(
        "/corpora/letters/imports", json={"blob": job["params"]["blob"], "commit": True}
    )
    assert imports.run(accepted.json()["id"])["state"] == "succeeded"
    assert imports.counts()["texts"] == 2


def test_changed_content_is_a_new_version(imports: Imports) -> None:
    """The old version stays; the annotation of the new content speaks of the new version."""
    imports.report(FIRST)
    report = imports.report(FIRST.replace("I am sorry.", "I am truly sorry."))
    assert report["texts"] == {"new": 0, "updated": 1, "identical": 1, "unlabelled": 0}
    versions = "SELECT v.version, v.content, t.current_version_id = v.id FROM text_versions v JOIN texts t ON t.id = v.text_id WHERE t.external_id = '1' ORDER BY 1"
    assert imports.rows(versions) == [(1, "I am sorry.", False), (2, "I am truly sorry.", True)]
    history = imports.client.get("/corpora/letters/texts?external_id=1").json()["items"][0]
    assert history["version"] == 2
    spoken_of = "SELECT v.version FROM annotations a JOIN text_versions v ON v.id = a.text_version_id JOIN texts t ON t.id = a.text_id WHERE t.external_id = '1' ORDER BY a.id"
    assert imports.rows(spoken_of) == [(1,), (2,)]


def test_changed_answer_is_appended(imports: Imports) -> None:
    """The annotator's earlier answer stays beside the new one; a third import of the new file adds nothing."""
    imports.report(FIRST)
    changed = FIRST.replace("kim,1,0", "kim,0,0")
    assert imports.report(changed)["annotations"] == {"in_file": 2, "new": 0, "changed": 1, "identical": 1}
    assert [row[3] for row in imports.values() if row[0] == "1"] == [[1, 0], [0, 0]]
    imports.report(changed)
    assert imports.counts()["annotations"] == 3


def test_an_old_file_of_some_columns_again_changes_nothing(imports: Imports) -> None:
    """What it says of its columns was taken in once; that the other columns changed since makes it no newer."""
    imports.report(FIRST)
    part = "id,text,coder,youth\n1,I am sorry.,kim,1\n"
    imports.report(part)
    imports.report("id,text,coder,remorse,youth\n1,I am sorry.,kim,0,0\n")
    assert [row[3] for row in imports.values() if row[0] == "1"] == [[1, 0], [1, 1], [0, 0]]
    assert imports.report(part)["annotations"]["identical"] == 1
    assert [row[3] for row in imports.values() if row[0] == "1"][-1] == [0, 0]


def test_part_of_the_columns_keeps_the_rest(imports: Imports) -> None:
    """A file that speaks of one option only leaves the annotator's answers to the others as they were; new options are appended."""
    imports.report(FIRST)
    imports.report("id,text,coder,youth,health\n1,I am sorry.,kim,1,1\n")
    assert [row[3] for row in imports.values() if row[0] == "1"] == [[1, 0], [1, 1, 1]]
    scheme = imports.client.get("/corpora/letters/scheme").json()
    assert scheme["version"] == 2
    assert [(o["key"], o["position"]) for o in scheme["questions"][0]["options"]] == [
        ("remorse", 0),
        ("youth", 1),
        ("health", 2),
    ]
    before = imports.counts()
    imports.report(FIRST.replace("1,0,2019", "1,1,2019"))
    assert imports.counts() == before


def test_other_codebook_version_is_another_occasion(imports: Imports) -> None:
    """The same answer under a new codebook version is a new annotation."""
    content = "id,text,coder,codebook,remorse\n1,I am sorry.,kim,{},1\n"
    imports.report(content.format("v1"))
    imports.report(content.format("v2"))
    imports.report(content.format("v1"))
    assert imports.rows("SELECT codebook_version FROM annotations ORDER BY id") == [("v1",), ("v2",)]


def test_dated_occasions_of_one_annotator(imports: Imports) -> None:
    """Two answers of one annotator at two times are both kept, in order; importing them again adds nothing."""
    content = (
        "id,text,coder,coded_at,remorse\n1,I am sorry.,kim,2020-05-01,0\n1,I am sorry.,kim,2019-05-01,1\n"
    )
    imports.report(content)
    imports.report(content)
    assert imports.rows("SELECT values, annotated_at::date::text FROM annotations ORDER BY id") == [
        ([1], "2019-05-01"),
        ([0], "2020-05-01"),
    ]


def test_metadata_is_updated_without_a_new_version(imports: Imports) -> None:
    """Another year for the same content changes the text's metadata only."""
    imports.report(FIRST)
    imports.report(FIRST.replace("2019", "2020"))
    assert imports.rows("SELECT DISTINCT metadata->>'year' FROM texts") == [("2020",)]
    assert imports.counts()["text_versions"] == 2


def test_order_of_texts_is_that_of_the_file(imports: Imports) -> None:
    """Neighbours in the file are neighbours by ordinal."""
    imports.report("id,text,remorse\nz,First letter.,1\na,Second letter.,0\nm,Third letter.,0\n")
    assert imports.rows("SELECT external_id FROM texts ORDER BY ordinal") == [("z",), ("a",), ("m",)]


def test_a_scheme_that_changes_meanwhile_is_taken_into_account(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another import appends an option while this file is read: both end up with places of their own, in one attempt."""
    read, others = importing._understood, ["id,text,coder,health\n9,I am ill.,kim,1\n"]

    def meanwhile(*given: Any) -> Any:
        found = read(*given)
        if others:
            imports.report(others.pop())
        return found

    monkeypatch.setattr(importing, "_understood", meanwhile)
    job = imports.send(FIRST)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    options = "SELECT key, position FROM options ORDER BY position"
    assert imports.rows(options) == [("health", 0), ("remorse", 1), ("youth", 2)]
    assert [row[3] for row in imports.values() if row[0] == "1"] == [[None, 1, 0]]


def test_lost_lease_leaves_nothing(imports: Imports, monkeypatch: object) -> None:
    """Another attempt took the job over while this one was writing: nothing of this one is stored."""
    from workers.importing import run as module

    original = module.store

    def overtaken(*arguments: object) -> object:
        with imports.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET fence = fence + 1")
        return original(*arguments)

    monkeypatch.setattr(module, "store", overtaken)  # type: ignore[attr-defined]
    before = imports.counts()
    assert imports.send(FIRST)["state"] == "running"
    assert imports.counts() == before
