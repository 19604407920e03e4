"""What a train job learns from, as pure rules: options, rows, counts, what is refused and what is warned of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.corpora.rules import Annotations, positions, widened
from app.http.problems import Invalid
from models.scheme import MISSING, NO, YES, Dependency, Labels, Question, QuestionKind, Scheme

RARE_POSITIVES = 5
"""Options with fewer positives are warned of."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a snapshot that is trained on."""

    scheme: Scheme
    """The chosen options, at positions 0, 1, 2 …"""
    rows: NDArray[np.int64]
    """int64 (rows,): rows of the snapshot, in its order; each has at least one label."""
    labels: Labels
    """int8 (rows, options of `scheme`)."""


@dataclass(frozen=True, slots=True)
class OptionCount:
    """How often an option was labelled."""

    key: str
    yes: int
    no: int
    missing: int


def chosen_scheme(scheme: Scheme, wanted: Sequence[str] | None) -> tuple[Scheme, list[int]]:
    """The scheme of the wanted options (all: None) and their columns in the full one.

    A question's key stands for all its options. Raises Invalid for an unknown key, and for a part of a choose_one question.
    """
    if wanted is None:
        return scheme, list(range(len(scheme.options)))
    keys = _expanded(scheme, wanted)
    columns = [option.position for option in scheme.options if option.key in keys]
    place = {column: number for number, column in enumerate(columns)}
    questions = tuple(
        _part(question, keys, place)
        for question in scheme.questions
        if any(o.key in keys for o in question.options)
    )
    dependencies = tuple(
        Dependency(rule.option, tuple(key for key in rule.needs_any if key in keys))
        for rule in scheme.dependencies
        if rule.option in keys and set(rule.needs_any) <= keys
    )
    return Scheme(questions, dependencies), columns


def select(
    scheme: Scheme,
    values: Labels,
    keys: Sequence[str],
    *,
    options: Sequence[str] | None = None,
    among: NDArray[np.bool_] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Selection:
    """Rows with a label for the chosen options, `limit` of them at most.

    Args:
        scheme, values: of the snapshot; int8 (texts, options).
        keys: external id of each text; the sample depends on them and the seed only, so that it grows when the limit does.
        options: as for `chosen_scheme`.
        among: bool (texts,), rows that may be taken at all.
        limit: most rows.
        seed: of the sample.

    Raises Invalid when nothing is labelled.
    """
    chosen, columns = chosen_scheme(scheme, options)
    labels = values[:, columns].copy()
    for question in chosen.questions:
        if question.kind is QuestionKind.YES_NO_SET:
            labels[:, [option.position for option in question.options if option.retired]] = MISSING
    labelled = (labels != MISSING).any(axis=1)
    if among is not None:
        labelled &= among
    rows = np.flatnonzero(labelled)
    if not len(rows):
        raise Invalid(
            "No text that may be used has a label for these options: import labels, or choose other options.",
            field="/corpus",
            slug="nothing-labelled",
        )
    if limit is not None and limit < len(rows):
        drawn = sorted(rows.tolist(), key=lambda row: _draw(seed, keys[row]))
        rows = np.sort(np.array(drawn[:limit]))
    return Selection(chosen, rows.astype(np.int64), labels[rows])


def option_counts(selection: Selection) -> list[OptionCount]:
    """Counts of every option in column order."""
    labels = selection.labels
    return [
        OptionCount(key, *(int((labels[:, column] == code).sum()) for code in (YES, NO, MISSING)))
        for column, key in enumerate(selection.scheme.option_keys)
    ]


def check(selection: Selection, groups: int, folds: int | None, named: Sequence[str] | None) -> list[str]:
    """Refuse what cannot be trained and give warnings about what will be weak.

    Args:
        groups: groups of the whole corpus, which folds are made of.
        folds: folds asked for; None for auto.
        named: options asked for by name: one of these without any positive is refused, others are left to the trainer.
    """
    least = folds or 2
    if groups < least:
        raise Invalid(
            f"{least} folds need as many groups, and the corpus has {groups}. Ask for fewer folds, choose a finer grouping key "
            "for the corpus (fold_group), or add texts of other groups.",
            field="/folds",
            slug="too-few-groups",
        )
    counts = option_counts(selection)
    empty = [count.key for count in counts if not count.yes]
    refused = empty if len(empty) == len(counts) else [key for key in empty if key in (named or ())]
    if refused:
        raise Invalid(
            f"No text is labelled yes for {_listed(refused)}: label some, or leave {'it' if len(refused) == 1 else 'them'} out.",
            field="/options",
            slug="no-positives",
            options=refused,
        )
    if not any(count.yes and count.no for count in counts):
        raise Invalid(
            f"Every label given is yes for {_listed([count.key for count in counts])}: there is nothing to tell apart. A blank is missing, "
            "it is not no: import the texts that were read and labelled no as such, or choose other options.",
            field="/options",
            slug="options-never-vary",
            options=[count.key for count in counts],
        )
    return _warnings(counts, empty)


def human_pair(
    scheme: Scheme, annotations: Mapping[str, Annotations], texts: int
) -> tuple[Labels, Labels] | None:
    """The newest values of two annotators for every text that has two, else MISSING: twice int8 (texts, options); None where no text has."""
    first, second = (np.full((texts, len(scheme.options)), MISSING, dtype=np.int8) for _ in range(2))
    for question in scheme.questions:
        given = annotations.get(question.key)
        if given is None or not len(given.texts):
            continue
        columns = positions(question)
        order = np.lexsort((np.arange(len(given.texts)), given.annotators, given.texts))
        text, annotator = given.texts[order], given.annotators[order]
        newest = np.append((text[1:] != text[:-1]) | (annotator[1:] != annotator[:-1]), True)
        rows = order[newest]
        text = given.texts[rows]
        values = _votes(widened(given.values[rows], len(columns)), question)
        begins = np.append(True, text[1:] != text[:-1])
        starts = np.flatnonzero(begins)
        paired = starts[np.append(np.diff(starts), len(text) - starts[-1]) >= 2]
        for matrix, place in ((first, paired), (second, paired + 1)):
            matrix[np.ix_(text[place], columns)] = values[place]
    return (first, second) if ((first != MISSING) & (second != MISSING)).any() else None


def _votes(values: NDArray[np.int8], question: Question) -> NDArray[np.int8]:
    """Yes and no; anything else is missing, for choose_one the whole answer unless it is one-hot."""
    if question.kind is QuestionKind.CHOOSE_ONE:
        return np.where(((values == YES).sum(axis=1) == 1)[:, None], values, MISSING).astype(np.int8)
    return np.where((values == YES) | (values == NO), values, MISSING).astype(np.int8)


def _expanded(scheme: Scheme, wanted: Sequence[str]) -> set[str]:
    """Option keys for option and question keys."""
    questions = {question.key: {option.key for option in question.options} for question in scheme.questions}
    known = set(scheme.option_keys)
    keys: set[str] = set()
    for number, name in enumerate(wanted):
        if name not in known and name not in questions:
            raise Invalid(
                f"The scheme has no option {name!r}. It has {_listed(sorted(known))}.",
                field=f"/options/{number}",
                slug="unknown-option",
            )
        keys |= {name} if name in known else questions[name]
    return keys


def _part(question: Question, keys: set[str], place: Mapping[int, int]) -> Question:
    kept = tuple(option for option in question.options if option.key in keys)
    if question.kind is QuestionKind.CHOOSE_ONE and len(kept) < len(question.options):
        left_out = [option.key for option in question.options if option.key not in keys]
        raise Invalid(
            f"The question {question.key!r} has one answer: take all its options or none; {_listed(left_out)} are left out.",
            field="/options",
            slug="partial-question",
        )
    return replace(
        question, options=tuple(replace(option, position=place[option.position]) for option in kept)
    )


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def _warnings(counts: Sequence[OptionCount], empty: Sequence[str]) -> list[str]:
    found = []
    if empty:
        found.append(
            f"No text is labelled yes for {_listed(empty)}: nothing will be learned about them; they are fixed at their share of yes."
        )
    rare = [f"{count.key} ({count.yes})" for count in counts if 0 < count.yes < RARE_POSITIVES]
    if rare:
        found.append(f"Few positives, so expect little: {_listed(rare)}.")
    constant = [count.key for count in counts if count.yes and not count.no]
    if constant:
        found.append(
            f"Every label is yes for {_listed(constant)}: fixed at their share of yes; a blank is missing, it is not no."
        )
    return found


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
