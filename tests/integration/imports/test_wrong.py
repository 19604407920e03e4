"""Wrong files and mappings: a helpful failure or a rejected row with its line, and nothing left behind."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest

from tests.imports import Imports

GOOD = "id,text,remorse\n1,I am sorry.,1\n2,I was young.,0\n"


def rejected(report: dict[str, Any]) -> list[tuple[int, str]]:
    """(line, column) of the rejected rows of a report."""
    return [(row["line"], row["column"]) for row in report["rejected"]["shown"]]


UNREADABLE = [
    ("\n\n \n", "empty-file"),
    ("id,text,remorse\n", "no-rows"),
    ("id,text,text\n1,a,b\n", "column-twice"),
    ("a,b\n1,2\n", "no-text-column"),
    (b"\x00\x01\x02\x03" * 400, "not-text"),
    (b"PK\x03\x04 no archive", "unreadable"),
    (b"\xd0\xcf\x11\xe0 old excel", "unsupported-format"),
    (b"<stata_dta><header>", "unsupported-format"),
    ("id,text,remorse\n1,x\n2,y\n", "no-rows"),
    ('id,text,remorse\n1,"never closed,1\n' + "2,y,0\n" * 3, "no-rows"),
    ('{"id": 1\n{"id": 2\n', "empty-file"),
]


def test_files_that_cannot_be_read(imports: Imports) -> None:
    """Each fails with its own code, in a dry run as in an import."""
    for content, code in UNREADABLE:
        assert imports.failure(content, commit=False)["code"] == code
        assert imports.failure(content)["code"] == code


def test_other_formats_are_named(imports: Imports) -> None:
    """By their first bytes or the names in the archive; text that is called .xlsx is no workbook."""
    word, plain = io.BytesIO(), io.BytesIO()
    for file, name in ((word, "word/document.xml"), (plain, "letters.csv")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, GOOD)
    for content, name, words in (
        (b"%PDF-1.7\n%\xe2\xe3", "letters.csv", "a PDF document"),
        (word.getvalue(), "letters.docx", "a Word document (.docx)"),
        (plain.getvalue(), "letters.zip", "a zip archive, not an Excel workbook"),
        (GOOD, "letters.xlsx", "no Excel workbook"),
    ):
        error = imports.failure(content, name=name)
        assert (error["code"], words in error["detail"]) == ("unsupported-format", True), error


def test_invalid_utf8_names_the_line_and_the_way_out(imports: Imports) -> None:
    """The byte's line, and cp1252 as the likely encoding."""
    error = imports.failure("id,text,remorse\n1,plain,1\n2,désolé,0\n".encode("cp1252"))
    assert (error["code"], error["line"]) == ("invalid-encoding", 3)
    assert "cp1252" in error["detail"]


def test_no_such_column(imports: Imports) -> None:
    """The mapping names a column that the file lacks: the failure lists those it has."""
    error = imports.failure(GOOD, mapping={"groups": ["case"]})
    assert (error["code"], error["column"]) == ("no-such-column", "case")
    assert "'remorse'" in error["detail"]


def test_codes_are_asked_about(imports: Imports) -> None:
    """99 in one column and NA in another are asked about together, with counts; nothing is imported."""
    content = "id,text,remorse,youth\n1,One letter.,1,0\n2,Two letters.,99,1\n3,Three letters.,0,NA\n4,Four letters.,99,0\n"
    error = imports.failure(content)
    assert error["code"] == "codes-need-meaning"
    assert error["columns"] == [
        {"column": "remorse", "counts": {"99": 2}, "mixed": False},
        {"column": "youth", "counts": {"NA": 1}, "mixed": False},
    ]
    assert '"codes"' in error["detail"]
    assert "name it in groups or ignore" in error["detail"]


def test_mixed_notations_are_asked_about(imports: Imports) -> None:
    """0/1 and yes/no in one column: whoever made the file must say what it means."""
    error = imports.failure(
        "id,text,remorse\n1,One letter.,1\n2,Two letters.,yes\n3,Three letters.,no\n4,Four letters.,\n"
    )
    assert error["code"] == "mixed-values"
    assert error["columns"][0]["counts"] == {"1": 1, "yes": 1, "no": 1}
    codes = {"remorse": {"yes": "yes", "no": "no", "1": "yes"}}
    imports.report("id,text,remorse\n1,One letter.,1\n2,Two letters.,yes\n", mapping={"codes": codes})


def test_rows_are_rejected_with_line_and_column(imports: Imports) -> None:
    """Ragged rows, NUL bytes, blank texts and ids, bad dates: counted, shown, and offered as CSV."""
    content = (
        "id,text,coder,coded_at,remorse\n"
        "1,I am sorry.,kim,2020-01-01,1\n"
        "2,too few\n"
        "3,with a \x00 byte,kim,2020-01-01,1\n"
        "4,,kim,2020-01-01,1\n"
        ",no id,kim,2020-01-01,1\n"
        "6,bad date,kim,31/12/2020,1\n"
    )
    job = imports.send(content)
    assert rejected(job["result"]) == [(3, ""), (4, "text"), (5, "text"), (6, "id"), (7, "coded_at")]
    assert imports.counts()["texts"] == 1
    answer = imports.client.get(f"/imports/{job['id']}/rejected")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["line", "column", "reason"]
    assert [row[0] for row in rows[1:]] == ["3", "4", "5", "6", "7"]


def test_same_id_with_another_text(imports: Imports) -> None:
    """The first row counts; the later ones are rejected with the line of the first. Their labels do not count either."""
    report = imports.report(
        "id,text,coder,remorse\n1,I am sorry.,kim,1\n2,Other.,kim,0\n1,I am not sorry.,lee,0\n"
    )
    assert rejected(report) == [(4, "text")]
    assert "line 2" in report["rejected"]["shown"][0]["reason"]
    assert imports.values() == [("1", "kim", "labels", [1]), ("2", "kim", "labels", [0])]


def test_same_annotator_contradicts_himself(imports: Imports) -> None:
    """Two undated answers of one annotator to one text: the second is rejected; an equal one is passed over."""
    report = imports.report(
        "id,text,coder,remorse\n1,I am sorry.,kim,1\n1,I am sorry.,kim,0\n1,I am sorry.,kim,1\n"
    )
    assert rejected(report) == [(3, "remorse")]
    assert imports.values() == [("1", "kim", "labels", [1])]


def test_contradictory_long_rows(imports: Imports) -> None:
    """The same label with yes and with no."""
    content = "id,text,coder,label,value\n1,I am sorry.,kim,remorse,1\n1,I am sorry.,kim,remorse,0\n1,I am sorry.,kim,youth,0\n"
    assert rejected(imports.report(content)) == [(3, "label")]
    assert imports.values() == [("1", "kim", "label", [1, 0])]


def test_texts_over_the_limit(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 characters are fine, one more than the limit is a rejected row with both numbers."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_MAX_TEXT_CHARACTERS", "100000")
    get_settings.cache_clear()
    report = imports.report(f"id,text,remorse\n1,{'a' * 100_000},1\n2,{'b' * 100_001},1\n")
    assert rejected(report) == [(3, "text")]
    assert "100,001" in report["rejected"]["shown"][0]["reason"]
    assert imports.rows("SELECT length(content) FROM text_versions") == [(100_000,)]


def test_options_never_or_rarely_yes(imports: Imports) -> None:
    """They are reported in numbers and in words, and imported."""
    rows = "".join(f"{number},Letter number {number}.,{int(number < 3)},0\n" for number in range(20))
    report = imports.report("id,text,remorse,youth\n" + rows)
    assert {item["option"]: item["yes_texts"] for item in report["options"]} == {"remorse": 3, "youth": 0}
    assert any("youth" in line and "Never yes" in line for line in report["words"])
    assert any("remorse (3)" in line for line in report["words"])


def test_lines_of_jsonl_that_are_no_objects(imports: Imports) -> None:
    """Broken lines, NULs and half surrogates are rejected with their line; the rest is imported."""
    lines = [
        '{"id": "1", "text": "fine", "labels": ["a"]}',
        '{"id": "2",',
        "[1]",
        r'{"id": "3", "text": "x\u0000y", "labels": []}',
        r'{"id": "4", "text": "\ud800", "labels": []}',
    ]
    report = imports.report("\n".join(lines), name="x.jsonl")
    assert [line for line, _ in rejected(report)] == [2, 3, 4, 5]
    assert imports.counts()["texts"] == 1


def test_two_answers_to_a_choose_one_question(imports: Imports) -> None:
    """The row is rejected, naming the question."""
    mapping = {"questions": [{"key": "outcome", "kind": "choose_one", "columns": ["granted", "denied"]}]}
    report = imports.report(
        "id,text,granted,denied\n1,The motion is heard.,1,1\n2,The motion is moot.,0,1\n", mapping=mapping
    )
    assert rejected(report) == [(2, "granted")]
    assert "'outcome'" in report["rejected"]["shown"][0]["reason"]


def test_label_outside_the_options_given(imports: Imports) -> None:
    """With the options listed in the mapping, another label is a rejected row."""
    mapping = {
        "questions": [
            {"key": "role", "kind": "choose_one", "column": "role", "options": [{"key": "Finding"}]}
        ]
    }
    report = imports.report("id,text,role\n1,It is denied.,Finding\n2,See rule 4.,Rule\n", mapping=mapping)
    assert rejected(report) == [(3, "role")]


def test_option_of_another_question(imports: Imports) -> None:
    """The scheme knows the option under another question: the file must not move it."""
    imports.report(GOOD)
    mapping = {"questions": [{"key": "other", "columns": ["remorse"]}]}
    assert imports.failure(GOOD, mapping=mapping)["code"] == "contradicts-scheme"


def test_too_many_labels_for_a_question(imports: Imports) -> None:
    """A column of a thousand different values is no label column."""
    rows = "".join(f"{number},Letter number {number}.,v{number}\n" for number in range(1100))
    mapping = {"questions": [{"key": "q", "kind": "choose_one", "column": "value"}]}
    assert imports.failure("id,text,value\n" + rows, mapping=mapping)["code"] == "not-labels"
    assert (
        imports.failure(
            "id,text,value\n" + rows, mapping={"questions": [{"key": "q", "columns": ["value"]}]}
        )["code"]
        == "not-labels"
    )
    long = {"questions": [{"key": "q", "column": "id", "shape": "long", "value_column": "value"}]}
    assert imports.failure("id,text,value\n" + rows, mapping=long)["code"] == "not-labels"


CONTRADICTIONS = [
    ({"text": "text", "id": "text"}, "/mapping/text"),
    (
        {"questions": [{"key": "a", "columns": ["remorse"]}, {"key": "b", "columns": ["remorse"]}]},
        "/mapping/questions/1/columns/0",
    ),
    (
        {
            "questions": [
                {"key": "a", "columns": [{"column": "x", "key": "k"}]},
                {"key": "b", "columns": [{"column": "y", "key": "k"}]},
            ]
        },
        "/mapping/questions/1",
    ),
    ({"questions": [{"key": "a"}]}, "/mapping/questions/0"),
    (
        {"questions": [{"key": "a", "kind": "choose_one", "column": "x", "shape": "list"}]},
        "/mapping/questions/0/shape",
    ),
    ({"encoding": "klingon"}, "/mapping/encoding"),
    ({"texts": "text"}, "/mapping/texts"),
    ({"codes": {"*": {"99": "perhaps"}}}, "/mapping/codes/*/99"),
    ({"text": "a\x00b"}, "/mapping/text"),
]


def test_mappings_that_contradict_themselves(imports: Imports) -> None:
    """Refused before there is a job; the uploaded file is gone again."""
    for mapping, field in CONTRADICTIONS:
        answer = imports.client.post(
            "/corpora/letters/imports", files={"file": ("f.csv", GOOD)}, data={"mapping": json.dumps(mapping)}
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == field
        assert imports.rows("SELECT count(*) FROM blobs") == [(0,)]
        assert imports.rows("SELECT count(*) FROM jobs") == [(0,)]
