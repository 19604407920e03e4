"""Which column is what, as far as names and values tell. Everything guessed can be given instead, and is reported. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from app.corpora.mapping import Mapping, QuestionMapping
from models.scheme import QuestionKind, Scheme
from workers.importing.profile import ColumnProfile, Profile
from workers.importing.values import looks_like_yes_no

ROLES: dict[str, tuple[str, ...]] = {
    "id": (
        "id",
        "text_id",
        "external_id",
        "uid",
        "uuid",
        "paragraph_id",
        "sentence_id",
        "segment_id",
        "letter_id",
        "key",
    ),
    "text": (
        "text",
        "content",
        "letter",
        "paragraph",
        "sentence",
        "segment_text",
        "body",
        "full_text",
        "statement",
        "passage",
        "dialogue",
    ),
    "split": ("split", "given_split", "partition", "subset", "dataset_split"),
    "annotator": (
        "annotator",
        "annotator_id",
        "annotator_name",
        "coder",
        "coder_id",
        "rater",
        "labeler",
        "labeller",
        "student",
        "reader",
    ),
    "team": ("team", "team_id", "coder_team", "annotation_team", "cohort"),
    "annotated_at": (
        "annotated_at",
        "coded_at",
        "labeled_at",
        "labelled_at",
        "annotation_date",
        "coding_date",
        "date_coded",
        "coded_on",
    ),
    "codebook_version": ("codebook_version", "codebook", "scheme_version", "coding_scheme", "codebook_ver"),
}
"""Names by which single columns are known, most likely first."""
GROUPS = (
    "case", "defendant", "doc", "document", "policy", "contract", "decision", "docket", "judgment", "judgement", "author", "plaintiff",
    "statute", "opinion", "group", "judge",
)  # fmt: skip
"""Names of grouping keys (also with _id, _no, _number); folds are split by the first that a file has, by judge only if it has no other."""
OUTCOMES = frozenset({"decision", "judgment", "judgement", "opinion"})
"""Of these, names that without an _id are a label as well, where the values are labels."""
LABELS = (
    "annotations", "labels", "label", "categories", "category", "tags", "codes", "role", "rhetorical_role", "class", "type", "topics",
)  # fmt: skip
LONG_LABELS = ("label", "code", "tag", "category", "option")
LONG_VALUES = ("value", "answer", "present", "coded", "applies")
"""Names of the columns of long files."""
QUESTION_PREFIXES = frozenset(
    {"actor", "speaker", "party", "role", "topic", "issue", "outcome", "emotion", "tone"}
)
MARKS = frozenset({"synthetic"})
"""Columns of yes and no that say what a text is, not what somebody found in it: metadata."""
_LARGE_PREFIX_GROUP = 4


def guess(
    mapping: Mapping, profile: Profile, scheme: Scheme, repeats: Callable[[list[str]], bool]
) -> tuple[Mapping, list[str]]:
    """The mapping with everything that was left out filled in, and the names of the fields that were guessed.

    repeats: whether the values of these columns occur together more than once in the file.
    """
    fields = {name: getattr(mapping, name) for name in mapping.model_fields_set}
    free = [name for name in profile.columns if name not in set(_used(mapping))]
    guessed: list[str] = []

    def take(field: str, found: str | Sequence[str] | None) -> None:
        if not mapping.given(field):
            fields[field] = found
            for name in [found] if isinstance(found, str) else found or ():
                free.remove(name)
            if found:
                guessed.append(field)

    for role, names in ROLES.items():
        take(role, _named(free, names) if role != "text" else _text(free, profile))
    if not mapping.given("questions"):
        keys = [
            fields[role]
            for role in ("id", "annotator", "annotated_at", "codebook_version")
            if fields.get(role)
        ]
        questions = _questions(free, profile, scheme, keys if fields.get("id") else [], repeats)
        fields["questions"] = questions
        taken = {name for question in questions for name in _question_columns(question)}
        free = [name for name in free if name not in taken]
        if questions:
            guessed.append("questions")
    take("groups", [name for name in free if _is_group(name, profile)])
    take(
        "metadata", [name for name in free if profile.columns[name].filled or not name.startswith("(column")]
    )
    if not mapping.given("fold_group"):
        fields["fold_group"] = _fold_group(fields.get("groups") or ())
    return Mapping(**fields), guessed


def _used(mapping: Mapping) -> Iterable[str]:
    for field in ROLES:
        if getattr(mapping, field) is not None:
            yield getattr(mapping, field)
    for field in ("groups", "metadata", "ignore"):
        yield from getattr(mapping, field) or ()
    for question in mapping.questions or ():
        yield from _question_columns(question)


def _question_columns(question: QuestionMapping) -> list[str]:
    single = [name for name in (question.column, question.value_column) if name is not None]
    return [wide.column for wide in question.wide()] + single


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def _named(free: Sequence[str], names: Sequence[str]) -> str | None:
    folded = {_folded(name): name for name in reversed(free)}
    return next((folded[name] for name in names if name in folded), None)


def _text(free: Sequence[str], profile: Profile) -> str | None:
    """By name; else the column with the longest values, if they are longer than labels are."""
    named = _named(free, ROLES["text"])
    if named is not None and profile.columns[named].filled:
        return named
    plain = [
        profile.columns[name]
        for name in free
        if not profile.columns[name].lists + profile.columns[name].objects
    ]
    longest = max(plain, key=lambda column: column.mean_length, default=None)
    return longest.name if longest is not None and longest.mean_length > 20 else named


def _is_group(name: str, profile: Profile) -> bool:
    column = profile.columns[name]
    plain = not column.lists + column.objects
    return plain and column.filled > 0 and _names_a_group(name)


def _names_a_group(name: str) -> bool:
    return re.sub(r"_(id|no|nr|number|name)$", "", _folded(name)) in GROUPS


def _fold_group(groups: Sequence[str]) -> str | None:
    others = [name for name in groups if "judge" not in _folded(name)]
    return next(iter([*others, *groups]), None)


def _questions(
    free: Sequence[str],
    profile: Profile,
    scheme: Scheme,
    keys: list[str],
    repeats: Callable[[list[str]], bool],
) -> list[QuestionMapping]:
    known = set(scheme.option_keys)
    free = [name for name in free if name in known or _folded(name) in OUTCOMES or not _names_a_group(name)]
    columns = [profile.columns[name] for name in free]
    nested = [column for column in columns if column.objects or column.lists]
    if nested:
        return [_nested(column) for column in nested if _folded(column.name) in LABELS or len(nested) == 1]
    long = _long(columns, repeats=repeats(keys) if keys else False)
    if long is not None:
        return [long]
    wide = [
        column.name
        for column in columns
        if not column.many and looks_like_yes_no(column.values) and _folded(column.name) not in MARKS
    ]
    if wide:
        return _wide(wide, scheme)
    by_name = _named(free, LABELS)
    if by_name is None or profile.columns[by_name].many or not profile.columns[by_name].filled:
        return []
    return [_single(profile.columns[by_name])]


def _nested(column: ColumnProfile) -> QuestionMapping:
    return QuestionMapping(
        key=column.name, column=column.name, shape="annotators" if column.objects else "list"
    )


def _single(column: ColumnProfile) -> QuestionMapping:
    """A column of strings: lists when values hold separators or brackets, else one label each."""
    if _is_list(column):
        return QuestionMapping(key=column.name, column=column.name, shape="list")
    return QuestionMapping(key=column.name, kind=QuestionKind.CHOOSE_ONE, column=column.name, shape="value")


def _is_list(column: ColumnProfile) -> bool:
    return any(";" in value or "|" in value or value.startswith("[") for value in column.values)


def _long(columns: Sequence[ColumnProfile], *, repeats: bool) -> QuestionMapping | None:
    """One row per text and label: ids come again, and a column is named for the label of its row."""
    named = next((c for c in columns if _folded(c.name) in LONG_LABELS and c.filled and not c.many), None)
    if named is None or not repeats or _is_list(named) or looks_like_yes_no(named.values):
        return None
    value = next(
        (c.name for c in columns if _folded(c.name) in LONG_VALUES and looks_like_yes_no(c.values)), None
    )
    return QuestionMapping(key=named.name, column=named.name, shape="long", value_column=value)


def _wide(names: Sequence[str], scheme: Scheme) -> list[QuestionMapping]:
    """Columns that the scheme knows go to their question; the rest by prefix, or into one question."""
    homes = {option.key: question for question in scheme.questions for option in question.options}
    groups: dict[str, list[str]] = {}
    prefixes = _prefixes([name for name in names if name not in homes])
    fallback = next((q.key for q in scheme.questions if q.kind is QuestionKind.YES_NO_SET), "labels")
    for name in names:
        key = homes[name].key if name in homes else prefixes.get(name, fallback)
        groups.setdefault(key, []).append(name)
    kinds = {question.key: question.kind for question in scheme.questions}
    return [
        QuestionMapping(key=key, kind=kinds.get(key, QuestionKind.YES_NO_SET), columns=list(columns))
        for key, columns in groups.items()
    ]


def _prefixes(names: Sequence[str]) -> dict[str, str]:
    """Column → question, for columns that share the word before their first underscore and are a question of their own."""
    shared: dict[str, list[str]] = {}
    for name in names:
        prefix, underscore, rest = name.partition("_")
        if underscore and rest:
            shared.setdefault(prefix, []).append(name)
    return {
        name: prefix
        for prefix, columns in shared.items()
        if len(columns) < len(names)
        and (
            len(columns) >= _LARGE_PREFIX_GROUP
            or (len(columns) > 1 and prefix.casefold() in QUESTION_PREFIXES)
        )
        for name in columns
    }
