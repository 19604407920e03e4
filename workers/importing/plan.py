"""The mapping made exact for one file: column numbers, options in order, the code of every label value. Raises JobFailed for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.corpora.mapping import DEFAULT_ANNOTATOR, Mapping, QuestionMapping
from app.corpora.scheme_rules import extended
from app.http.problems import Invalid
from models.scheme import Dependency, Option, Question, QuestionKind, Scheme
from workers.importing.labels import labels_in, separator_of, shape_of
from workers.importing.profile import ColumnProfile, Profile
from workers.importing.values import CODE_LIKE, Unclear, label_codes, meanings, yes_no_table
from workers.job_context import JobFailed

_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class WideColumn:
    """A column that answers one option: its number, the option's place in the question, the code of each value."""

    column: int
    place: int
    table: dict[str, int]


@dataclass(frozen=True, slots=True)
class QuestionPlan:
    """Where a question's answers stand and what they mean."""

    key: str
    kind: QuestionKind
    shape: str
    """wide, value, list, annotators or long."""
    options: tuple[str, ...]
    """Option keys in the order of their positions: the order of stored values."""
    covered: tuple[bool, ...]
    """Which options the file speaks of; the others keep what the annotator said before."""
    wide: tuple[WideColumn, ...] = ()
    column: int = -1
    value_column: int = -1
    values: dict[str, int] | None = None
    """Of the value column of long files."""
    codes: dict[str, int] | None = None
    """Codes among labels."""
    separator: str = ";"
    unlisted_no: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read a row."""

    columns: tuple[str, ...]
    id: int
    """Column numbers; -1: there is none."""
    text: int
    split: int
    annotator: int
    team: int
    annotated_at: int
    codebook_version: int
    groups: tuple[tuple[str, int], ...]
    metadata: tuple[tuple[str, int], ...]
    annotator_name: str
    questions: tuple[QuestionPlan, ...]
    scheme: Scheme
    """The corpus's scheme with what the file adds."""


def make_plan(mapping: Mapping, profile: Profile, scheme: Scheme, max_options: int) -> Plan:
    """Settle a complete mapping against a file and the corpus's scheme.

    JobFailed: a column that the file does not have, no text column, label values whose meaning must be given, options that
    contradict the scheme.
    """
    columns = tuple(profile.columns)
    _check_columns(mapping, columns)
    if mapping.text is None:
        raise JobFailed(
            "no-text-column",
            f'No column looks like the text. Say which it is: {{"text": "…"}} in the mapping; the file has {_listed(columns)}.',
        )
    found = [_question(question, profile, mapping, scheme) for question in mapping.questions or ()]
    try:
        whole = extended(scheme, found, max_options)
    except Invalid as invalid:
        raise JobFailed("contradicts-scheme", invalid.detail, field=invalid.field) from None
    whole = _with_dependencies(whole, mapping)
    unclear: list[Unclear] = []
    questions = tuple(
        _plan(question, profile, mapping, whole, unclear) for question in mapping.questions or ()
    )
    if unclear:
        raise _must_be_told(unclear)

    def number(name: str | None) -> int:
        return -1 if name is None else columns.index(name)

    return Plan(
        columns=columns,
        id=number(mapping.id),
        text=number(mapping.text),
        split=number(mapping.split),
        annotator=number(mapping.annotator),
        team=number(mapping.team),
        annotated_at=number(mapping.annotated_at),
        codebook_version=number(mapping.codebook_version),
        groups=tuple((name, columns.index(name)) for name in mapping.groups or ()),
        metadata=tuple((name, columns.index(name)) for name in mapping.metadata or ()),
        annotator_name=mapping.annotator_name or DEFAULT_ANNOTATOR,
        questions=questions,
        scheme=whole,
    )


def _check_columns(mapping: Mapping, columns: Sequence[str]) -> None:
    wanted = [
        (field, getattr(mapping, field))
        for field in ("id", "text", "split", "annotator", "team", "annotated_at", "codebook_version")
    ]
    for field in ("groups", "metadata", "ignore"):
        wanted += [(field, name) for name in getattr(mapping, field) or ()]
    for place, question in enumerate(mapping.questions or ()):
        wanted += [(f"questions/{place}", wide.column) for wide in question.wide()]
        wanted += [(f"questions/{place}", question.column), (f"questions/{place}", question.value_column)]
    wanted += [("codes", name) for name in mapping.codes or () if name != "*"]
    for field, name in wanted:
        if name is not None and name not in columns:
            raise JobFailed(
                "no-such-column",
                f"The mapping's {field} names the column {name!r}, which the file does not have; it has {_listed(columns)}.",
                field=f"/mapping/{field}",
                column=name,
            )


def _question(question: QuestionMapping, profile: Profile, mapping: Mapping, scheme: Scheme) -> Question:
    """The question with the options that the mapping names or the file shows."""
    if question.columns is not None:
        options = [
            Option(wide.option_key, 0, wide.name or wide.option_key, wide.definition)
            for wide in question.wide()
        ]
    elif question.options is not None:
        options = [Option(o.key, 0, o.name or o.key, o.definition, o.retired) for o in question.options]
    else:
        known = next((q for q in scheme.questions if q.key == question.key), None)
        shown = sorted(_shown(question, profile.columns[question.column or ""], mapping))
        options = list(known.options) if known else []
        options += [Option(key, 0, key) for key in shown if key not in {option.key for option in options}]
    return Question(
        question.key, question.kind, tuple(options), question.name or question.key, question.definition
    )


def _shown(question: QuestionMapping, column: ColumnProfile, mapping: Mapping) -> list[str]:
    if column.many or len(column.items) > 1000:
        raise JobFailed(
            "not-labels",
            f"The column {column.name!r} has more than 1,000 different values: these are no labels. Take it out of the questions, "
            "or list the question's options.",
            column=column.name,
        )
    given = meanings(column.name, mapping.codes or {})
    return [
        label
        for label in labels_in(question, column)
        if len(label) <= _LONGEST_KEY and label.casefold() not in given and label.casefold() not in CODE_LIKE
    ]


def _plan(
    question: QuestionMapping, profile: Profile, mapping: Mapping, scheme: Scheme, unclear: list[Unclear]
) -> QuestionPlan:
    settled = next(q for q in scheme.questions if q.key == question.key)
    keys = tuple(option.key for option in settled.options)
    base = QuestionPlan(question.key, question.kind, shape_of(question), keys, (True,) * len(keys))
    if question.columns is not None:
        wide = _wide(question, profile, mapping, keys, unclear)
        known = {item.place for item in wide}
        return replace(base, wide=wide, covered=tuple(place in known for place in range(len(keys))))
    column = profile.columns[question.column or ""]
    names = list(profile.columns)
    labels = labels_in(question, column)
    codes = label_codes(column.name, labels, frozenset(keys), mapping.codes or {})
    values: dict[str, int] | None = None
    if question.value_column is not None:
        _check_answers(profile.columns[question.value_column])
        table = yes_no_table(
            question.value_column, profile.columns[question.value_column].values, mapping.codes or {}
        )
        values = _kept(table, unclear)
    shown = set(labels) | {option.key for option in question.options or ()}
    return replace(
        base,
        column=names.index(column.name),
        value_column=-1 if question.value_column is None else names.index(question.value_column),
        values=values,
        codes=_kept(codes, unclear),
        separator=separator_of(question, column),
        covered=tuple(question.kind is QuestionKind.CHOOSE_ONE or key in shown for key in keys),
        unlisted_no=(question.unlisted or ("missing" if question.value_column else "no")) == "no",
    )


def _wide(
    question: QuestionMapping,
    profile: Profile,
    mapping: Mapping,
    keys: tuple[str, ...],
    unclear: list[Unclear],
) -> tuple[WideColumn, ...]:
    names = list(profile.columns)
    wide = []
    for item in question.wide():
        column = profile.columns[item.column]
        _check_answers(column)
        table = _kept(yes_no_table(item.column, column.values, mapping.codes or {}), unclear)
        wide.append(WideColumn(names.index(item.column), keys.index(item.option_key), table))
    return tuple(wide)


def _check_answers(column: ColumnProfile) -> None:
    """JobFailed when a column cannot hold yes and no."""
    if column.many or column.lists or column.objects:
        raise JobFailed(
            "not-labels",
            f"The column {column.name!r} cannot answer an option: its values are not yes or no, or too many different ones.",
            column=column.name,
        )


def _kept(found: dict[str, int] | Unclear, unclear: list[Unclear]) -> dict[str, int]:
    if isinstance(found, Unclear):
        unclear.append(found)
        return {}
    return found


def _with_dependencies(scheme: Scheme, mapping: Mapping) -> Scheme:
    if mapping.dependencies is None:
        return scheme
    found = tuple(Dependency(item.option, tuple(item.needs_any)) for item in mapping.dependencies)
    for key in (key for item in found for key in (item.option, *item.needs_any)):
        if key not in scheme.option_keys:
            raise JobFailed(
                "no-such-option",
                f"A dependency names {key!r}, which is no option of the scheme.",
                field="/mapping/dependencies",
            )
    return replace(scheme, dependencies=found)


def _must_be_told(unclear: Sequence[Unclear]) -> JobFailed:
    """One failure for everything that must be told, with the mapping that would tell it."""
    parts = []
    for item in unclear:
        counts = ", ".join(
            f"{value!r} {'once' if count == 1 else f'{count:,} times'}"
            for value, count in sorted(item.counts.items(), key=lambda pair: -pair[1])[:10]
        )
        what = "mixes notations of yes and no" if item.mixed else "has values whose meaning must be given"
        parts.append(f"the column {item.column!r} {what} ({counts})")
    first = unclear[0]
    example = json.dumps(
        {"codes": {first.column: dict.fromkeys(list(first.counts)[:4], "missing")}}, ensure_ascii=False
    )
    return JobFailed(
        "mixed-values" if all(item.mixed for item in unclear) else "codes-need-meaning",
        f"Nothing was imported: {'; '.join(parts)}. Say what each value means (yes, no, missing, uncertain or not_applicable) in the mapping, "
        f"for example {example}; the column * speaks for all columns. Or, if a column is no label, name it in groups or ignore.",
        columns=[
            {"column": item.column, "counts": dict(list(item.counts.items())[:50]), "mixed": item.mixed}
            for item in unclear
        ],
    )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in columns[:30])
    return shown + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
