"""Pure rules of relabelling: which adapter may read a corpus, how texts are cut into chunks, and values as words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.adapters.rules import MADE_TO
from app.http.problems import Conflict, Invalid
from app.jobs import chunks
from models.scheme import Cell, QuestionKind, Scheme

CHUNK_TEXTS = 256
CHUNK_CHARACTERS = 160_000
"""Small enough that a chunk is some seconds of work on two cores: that much a kill costs at most."""


def check_adapter(
    task: str, adapter_corpus: str | None, corpus: str, adapter_options: Sequence[str], options: Sequence[str]
) -> None:
    """Raise a problem when an adapter cannot read a corpus.

    Args:
        task: of the adapter.
        adapter_corpus: the corpus it belongs to; None: any.
        corpus: id of the corpus to read.
        adapter_options: option keys of the adapter.
        options: option keys of the corpus's scheme.
    """
    if task != "classify":
        raise Conflict(
            f"This adapter is made to {MADE_TO.get(task, task)}, not to classify.",
            field="/adapter",
            slug="wrong-task",
        )
    if adapter_corpus not in {None, corpus}:
        raise Invalid(
            "This adapter belongs to another corpus: name one of this corpus, or import it without a corpus.",
            field="/adapter",
            slug="foreign-adapter",
        )
    if not set(adapter_options) & set(options):
        raise Invalid(
            f"The adapter and the corpus have no option in common; the corpus has {', '.join(options) or 'none'}.",
            field="/adapter",
            slug="no-common-option",
        )


def chunk_ends(lengths: Sequence[int], start: int = 0) -> Iterator[int]:
    """Ends of the chunks that a corpus is read in: at most CHUNK_TEXTS texts and, of more than one, CHUNK_CHARACTERS characters.

    Args:
        lengths: characters of each text, in reading order.
        start: texts already read.
    """
    return chunks.chunk_ends(lengths, start, CHUNK_TEXTS, CHUNK_CHARACTERS)


def value_of(cell: Cell, keys: Sequence[str], column: int) -> str:
    """A cell's value as a disagreement names it: `yes` or `no`, or the option key at `column` for a choose_one.

    Args:
        cell: which cell.
        keys: option keys by position.
        column: yes_no_set: 1 for yes, 0 for no; choose_one: the chosen option's position.
    """
    if cell.option is None:
        return keys[column]
    return "yes" if column == 1 else "no"


def common_scheme(scheme: Scheme, keys: Sequence[str]) -> Scheme:
    """The part of a scheme that an adapter can speak of, with columns counted anew in the scheme's order.

    A choose_one question of which the adapter lacks an option is left out whole: its probabilities would be of another question.
    """
    known = set(keys)
    questions = []
    for question in scheme.questions:
        options = tuple(option for option in question.options if option.key in known)
        whole = len(options) == len(question.options)
        if options and (whole or question.kind is QuestionKind.YES_NO_SET):
            questions.append(replace(question, options=options))
    left = sorted((option.position, option.key) for question in questions for option in question.options)
    column = {key: place for place, (_, key) in enumerate(left)}
    renumbered = tuple(
        replace(
            question,
            options=tuple(replace(option, position=column[option.key]) for option in question.options),
        )
        for question in questions
    )
    dependencies = tuple(
        replace(dependency, needs_any=tuple(key for key in dependency.needs_any if key in column))
        for dependency in scheme.dependencies
        if dependency.option in column and set(dependency.needs_any) & set(column)
    )
    return Scheme(renumbered, dependencies)
