"""Every shape of file: wide, long, list, JSONL by annotator, one label; each read as it says."""

from __future__ import annotations

import io
import json

from tests.imports import Imports

YES_NO = "id,text,defendant,team,coder,remorse,youth\n"


def test_wide_blank_is_missing_zero_is_no(imports: Imports) -> None:
    """A blank cell is stored as NULL; a row without any answer makes no annotation."""
    report = imports.report(
        YES_NO
        + "a,I am sorry.,d1,red,kim,1,0\n"
        + "b,I was eighteen.,d2,red,kim,,1\n"
        + "c,Nothing to say.,d2,red,kim,,\n"
    )
    assert imports.values() == [("a", "kim", "labels", [1, 0]), ("b", "kim", "labels", [None, 1])]
    assert report["texts"] == {"new": 3, "updated": 0, "identical": 0, "unlabelled": 1}
    assert report["groups"] == {"defendant": 2}
    assert report["teams"] == ["red"]
    assert imports.rows("SELECT fold_group FROM corpora") == [("defendant",)]


def test_several_annotators_of_one_text(imports: Imports) -> None:
    """The same id and text from another annotator is one text with two annotations."""
    imports.report(YES_NO + "a,I am sorry.,d1,red,kim,1,0\na,I am sorry.,d1,blue,lee,0,0\n")
    assert imports.counts()["texts"] == 1
    assert imports.values() == [("a", "kim", "labels", [1, 0]), ("a", "lee", "labels", [0, 0])]
    assert imports.rows("SELECT team FROM annotations ORDER BY id") == [("red",), ("blue",)]


def test_list_column(imports: Imports) -> None:
    """Labels separated by semicolons: what is not listed is no, a blank cell is missing, [] is none."""
    report = imports.report(
        'id,text,labels\n1,First letter here.,remorse; youth\n2,Second letter here.,\n3,Third letter here.,[]\n4,Fourth.,"[""youth""]"\n'
    )
    assert imports.values() == [
        ("1", "unnamed annotator", "labels", [1, 1]),
        ("3", "unnamed annotator", "labels", [0, 0]),
        ("4", "unnamed annotator", "labels", [0, 1]),
    ]
    assert [item["option"] for item in report["options"]] == ["remorse", "youth"]


def test_long_rows(imports: Imports) -> None:
    """One row per text, annotator and label becomes one annotation per text and annotator."""
    imports.report(
        "id,text,annotator,label\n"
        "1,First letter here.,kim,remorse\n1,First letter here.,kim,youth\n1,First letter here.,lee,youth\n2,Second letter here.,kim,\n"
    )
    assert imports.values() == [
        ("1", "kim", "label", [1, 1]),
        ("1", "lee", "label", [0, 1]),
        ("2", "kim", "label", [0, 0]),
    ]


def test_long_rows_with_values(imports: Imports) -> None:
    """With a value column only what stands there counts: a label without a row is missing."""
    imports.report(
        "id,text,annotator,label,value\n1,First letter here.,kim,remorse,1\n1,First letter here.,kim,youth,0\n2,Second letter.,kim,youth,1\n"
    )
    assert imports.values() == [("1", "kim", "label", [1, 0]), ("2", "kim", "label", [None, 1])]


def test_jsonl_by_annotator(imports: Imports) -> None:
    """The shape of OPP-115: an empty list is "saw it, no label"."""
    lines = [
        {"id": "p:0", "policy": "p", "text": "We share data.", "annotations": {"84": ["Sharing"], "88": []}},
        {
            "id": "p:1",
            "policy": "p",
            "text": "We keep data.",
            "annotations": {"84": ["Retention", "Sharing"]},
        },
    ]
    imports.report("\n".join(json.dumps(line) for line in lines), name="segments.jsonl")
    assert imports.values() == [
        ("p:0", "84", "annotations", [0, 1]),
        ("p:0", "88", "annotations", [0, 0]),
        ("p:1", "84", "annotations", [1, 1]),
    ]


def test_one_label_in_a_column(imports: Imports) -> None:
    """A column of single labels is a choose_one question: one yes among noes."""
    lines = [
        {"id": "1", "doc": "d", "text": "It is denied.", "role": "Finding"},
        {"id": "2", "doc": "d", "text": "See rule 4.", "role": "Rule"},
    ]
    imports.report("\n".join(json.dumps(line) for line in lines), name="s.jsonl")
    assert imports.values() == [
        ("1", "unnamed annotator", "role", [1, 0]),
        ("2", "unnamed annotator", "role", [0, 1]),
    ]
    assert imports.rows("SELECT kind FROM questions") == [("choose_one",)]


def test_one_label_by_several_annotators(imports: Imports) -> None:
    """A choose_one question answered by each annotator; an empty list is no answer."""
    lines = [
        {"id": "1", "text": "It is denied.", "annotations": {"kim": ["Finding"], "lee": "Rule", "max": []}}
    ]
    mapping = {
        "questions": [{"key": "role", "kind": "choose_one", "column": "annotations", "shape": "annotators"}]
    }
    imports.report("\n".join(json.dumps(line) for line in lines), name="s.jsonl", mapping=mapping)
    assert imports.values() == [("1", "kim", "role", [1, 0]), ("1", "lee", "role", [0, 1])]


def test_questions_by_prefix_and_given_dependencies(imports: Imports) -> None:
    """Columns that begin with actor_ are a question of their own; dependencies come from the mapping."""
    content = "id,text,legal_basis,purpose,actor_state,actor_court\n1,The Court finds that.,1,0,0,1\n"
    imports.report(
        content,
        mapping={"dependencies": [{"option": "purpose", "needs_any": ["actor_state", "actor_court"]}]},
    )
    scheme = imports.client.get("/corpora/letters/scheme").json()
    assert {q["key"]: [o["key"] for o in q["options"]] for q in scheme["questions"]} == {
        "labels": ["legal_basis", "purpose"],
        "actor": ["actor_state", "actor_court"],
    }
    assert scheme["dependencies"] == [{"option": "purpose", "needs_any": ["actor_state", "actor_court"]}]


def test_mapping_given(imports: Imports) -> None:
    """Questions, keys, kinds and metadata as the mapping says, whatever the names suggest."""
    mapping = {
        "id": "nr",
        "text": "body",
        "groups": ["court"],
        "annotator": None,
        "annotator_name": "panel",
        "codebook_version": "cb",
        "annotated_at": "when",
        "metadata": ["year"],
        "questions": [
            {
                "key": "outcome",
                "kind": "choose_one",
                "columns": [{"column": "g", "key": "granted"}, {"column": "d", "key": "denied"}],
            }
        ],
    }
    imports.report(
        "nr,body,court,cb,when,year,g,d\n7,The motion is granted.,CA,v2,2020-05,2020,1,0\n", mapping=mapping
    )
    assert imports.values() == [("7", "panel", "outcome", [1, 0])]
    row = imports.rows(
        "SELECT codebook_version, annotated_at::date::text, source LIKE 'import:job_%' FROM annotations"
    )
    assert row == [("v2", "2020-05-01", True)]
    text = imports.client.get("/corpora/letters/texts?metadata=year=2020&group=court=CA").json()["items"][0]
    assert (text["external_id"], text["groups"], text["metadata"]) == ("7", {"court": "CA"}, {"year": "2020"})


def test_delimiters_bom_and_quoted_newlines(imports: Imports) -> None:
    """A byte order mark, semicolons and newlines inside quotes; line numbers are those of the file."""
    content = '\ufeffid;text;remorse\r\n1;"Dear judge,\r\n\r\nI am sorry.";1\r\n\r\n2;;1\r\n3;Short.;0\r\n'
    report = imports.report(content)
    assert report["rejected"]["shown"] == [{"line": 6, "column": "text", "reason": "The text is blank."}]
    assert imports.rows("SELECT content FROM text_versions ORDER BY id")[0] == (
        "Dear judge,\r\n\r\nI am sorry.",
    )


def test_tab_delimited_cp1252(imports: Imports) -> None:
    """Excel's encoding, named in the mapping."""
    imports.report(
        "id\ttext\tremorse\n1\tMonsieur le juge, désolé.\t1\n".encode("cp1252"),
        mapping={"encoding": "cp1252"},
    )
    assert imports.rows("SELECT content FROM text_versions") == [("Monsieur le juge, désolé.",)]


def test_workbook(imports: Imports) -> None:
    """The first sheet of an .xlsx file; whole numbers are not 1.0."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (("id", "text", "remorse"), (1, "I am sorry.", 1), (2, "No.", None)):
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    report = imports.report(file.getvalue(), name="letters.xlsx")
    assert report["format"] == "xlsx"
    assert imports.values() == [("1", "unnamed annotator", "labels", [1])]


def test_no_id_column(imports: Imports) -> None:
    """Ids come from the content, equal contents are counted; a second import finds every text again."""
    content = "text,remorse\nI am sorry.,1\nI am sorry.,0\nI was young.,0\n"
    first = imports.report(content)
    assert (first["texts"]["new"], first["duplicates"]) == (3, {"groups": 1, "texts": 2, "conflicting": 1})
    again = imports.report(content)
    assert (
        again["texts"]["identical"],
        again["annotations"]["identical"],
        imports.counts()["annotations"],
    ) == (3, 3, 3)


def test_other_scripts_are_pointed_out(imports: Imports) -> None:
    """Hebrew letters: the report names the models that read them."""
    report = imports.report("id,text,remorse\n1,כבוד השופט אני מצטער מאוד,1\n")
    assert report["non_latin"]["script"] == "Hebrew"
    assert any("multilingual-minilm" in line for line in report["words"])


def test_codes_with_their_meaning(imports: Imports) -> None:
    """99, NA and 9 mean what the mapping says, one column before all columns."""
    content = "id,text,remorse,youth\n1,One letter.,1,0\n2,Two letters.,99,1\n3,Three letters.,NA,9\n4,Four letters.,0,99\n"
    codes = {"*": {"99": "missing", "na": "not_applicable"}, "youth": {"9": "uncertain", "99": "uncertain"}}
    imports.report(content, mapping={"codes": codes})
    assert [row[3] for row in imports.values()] == [[1, 0], [None, 1], [3, 2], [0, 2]]


def test_text_without_labels(imports: Imports) -> None:
    """A file of texts alone is imported, and the report says that it has no labels."""
    report = imports.report("id,text,summary\n1,A long dialogue between two people.,They talk.\n")
    assert imports.counts()["annotations"] == 0
    assert any(line.startswith("No labels were found") for line in report["words"])
