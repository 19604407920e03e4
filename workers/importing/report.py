"""The import's report in words. Pure."""

from __future__ import annotations

from typing import Any

from app.corpora.mapping import Mapping
from workers.importing.counting import TOO_RARE
from workers.importing.scripts import MULTILINGUAL

_ROLE_WORDS = {
    "id": "id",
    "text": "text",
    "split": "given split",
    "annotator": "annotator",
    "team": "team",
    "annotated_at": "time of annotation",
    "codebook_version": "codebook version",
}


def in_words(report: dict[str, Any], mapping: Mapping, foreign: tuple[str, float] | None) -> list[str]:
    """The report as sentences, most important first."""
    lines = [
        _headline(report),
        *_warnings(report, foreign),
        *report["notes"],
        *_columns(mapping, report["guessed"]),
        *_contents(report),
    ]
    if not report["commit"]:
        lines.append(
            "This was a dry run: nothing was stored. Import with `--commit` (commit=true) to store it."
        )
    return lines


def _headline(report: dict[str, Any]) -> str:
    texts, annotations = report["texts"], report["annotations"]
    stored = report["commit"]
    return (
        f"{_counted(report['rows'], 'row')}: {_became(texts['new'], 'text', stored)} new, {texts['updated']:,} updated, {texts['identical']:,} identical; "
        f"{_became(annotations['new'], 'annotation', stored)} new, {annotations['changed']:,} changed, {annotations['identical']:,} identical; "
        f"{_became(report['rejected']['rows'], 'row', stored)} rejected."
    )


def _counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _became(number: int, noun: str, stored: bool) -> str:
    """`1 row was`, `2 rows were`; `would be` of a dry run."""
    did = ("was" if number == 1 else "were") if stored else "would be"
    return f"{_counted(number, noun)} {did}"


def _warnings(report: dict[str, Any], foreign: tuple[str, float] | None) -> list[str]:
    lines = []
    for row in report["rejected"]["shown"][:5]:
        column = f", column {row['column']!r}" if row["column"] else ""
        lines.append(f"Rejected: line {row['line']}{column}: {row['reason']}")
    never = [item["option"] for item in report["options"] if not item["yes_texts"]]
    rare = [
        f"{item['option']} ({item['yes_texts']})"
        for item in report["options"]
        if 0 < item["yes_texts"] < TOO_RARE
    ]
    if never:
        lines.append(f"Never yes, so it cannot be learned or audited: {', '.join(never)}.")
    if rare:
        lines.append(f"Yes in fewer than {TOO_RARE} texts, too rare to be learned well: {', '.join(rare)}.")
    if not report["options"]:
        lines.append(
            "No labels were found: only texts are imported. Name the label columns under `questions` in the mapping if there are any."
        )
    if foreign is not None:
        script, share = foreign
        lines.append(
            f"{share:.0%} of the letters looked at are {script}. The default model MiniLM is English: choose a multilingual one "
            f"for training ({' or '.join(MULTILINGUAL)})."
        )
    return lines


def _columns(mapping: Mapping, guessed: list[str]) -> list[str]:
    lines = []
    for field, name in _ROLE_WORDS.items():
        column = getattr(mapping, field)
        if column is not None:
            lines.append(f"Column {column!r} is the {name}{' (guessed)' if field in guessed else ''}.")
    if mapping.id is None:
        lines.append(
            "There is no id column: ids are made from the content, so a text that changes is a new text."
        )
    if mapping.groups:
        mark = " (guessed)" if "groups" in guessed else ""
        lines.append(
            f"Grouping keys: {', '.join(mapping.groups)}{mark}; folds are split by {mapping.fold_group or 'text'}."
        )
    for question in mapping.questions or ():
        where = (
            _counted(len(question.columns), "column")
            if question.columns is not None
            else f"column {question.column!r}" + (f" ({question.shape})" if question.shape else "")
        )
        mark = " (guessed)" if "questions" in guessed else ""
        lines.append(f"Question {question.key!r} ({question.kind.value}): {where}{mark}.")
    if mapping.metadata:
        lines.append(f"Metadata: {', '.join(mapping.metadata)}.")
    return lines


def _contents(report: dict[str, Any]) -> list[str]:
    lines = []
    duplicates = report["duplicates"]
    if duplicates["groups"]:
        lines.append(
            f"{duplicates['texts']:,} texts are exact duplicates of one another, in {_counted(duplicates['groups'], 'group')}; "
            f"in {duplicates['conflicting']:,} of these the labels conflict."
        )
    if report["texts"]["unlabelled"]:
        unlabelled = report["texts"]["unlabelled"]
        lines.append(
            f"{_counted(unlabelled, 'text')} {'has' if unlabelled == 1 else 'have'} no labels in the file."
        )
    for name, words in (
        ("annotators", "annotator"),
        ("teams", "team"),
        ("codebook_versions", "codebook version"),
    ):
        found = report[name]
        if len(found) > 1 or (found and name != "annotators"):
            lines.append(
                f"{_counted(len(found), words)}: {', '.join(found[:12])}{' …' if len(found) > 12 else ''}."
            )
    if report["splits"]:
        lines.append(
            "Given split: "
            + ", ".join(f"{name} {number:,}" for name, number in report["splits"].items())
            + "."
        )
    return lines
