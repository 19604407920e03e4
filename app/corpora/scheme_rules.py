"""How a scheme may change: options keep their positions for ever, are appended or retired, and never move between questions. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from app.http.problems import Invalid
from models.scheme import Option, Question, QuestionKind, Scheme

EMPTY = Scheme(())


def scheme_digest(scheme: Scheme) -> str:
    """sha256 (hex) of the scheme's document: equal for equal schemes."""
    return sha256(json.dumps(scheme.to_document(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def changed(current: Scheme, wanted: Scheme, max_options: int) -> Scheme:
    """`wanted` with the positions of `current`, new options appended in the order given.

    Positions in `wanted` are ignored. An option or question that `wanted` leaves out is kept and its options retired: arrays
    written earlier keep their meaning. Raises Invalid, naming the option, for a key given twice, an option that moved to
    another question, a question that changed its kind, too many options, or a dependency on an unknown option.
    """
    _check_unique(wanted)
    _check_kept(current, wanted)
    questions = _positioned(current, wanted)
    scheme = Scheme(tuple(questions), wanted.dependencies)
    if len(scheme.options) > max_options:
        raise Invalid(
            f"The scheme would have {len(scheme.options)} options; {max_options} are allowed.",
            field="/questions",
            slug="too-many-options",
        )
    _check_dependencies(scheme)
    return scheme


def extended(current: Scheme, found: Iterable[Question], max_options: int) -> Scheme:
    """`current` with the questions and options of an import that it lacks; what it has stays as it is, names and definitions too."""
    known = {question.key: question for question in current.questions}
    wanted = dict(known)
    for question in found:
        old = wanted.get(question.key)
        if old is None:
            wanted[question.key] = question
            continue
        if old.kind is not question.kind:
            raise _kind_changed(question.key, old.kind, question.kind)
        have = {option.key for option in old.options}
        added = tuple(option for option in question.options if option.key not in have)
        wanted[question.key] = replace(old, options=old.options + added)
    return changed(current, Scheme(tuple(wanted.values()), current.dependencies), max_options)


def _positioned(current: Scheme, wanted: Scheme) -> list[Question]:
    positions = {option.key: option.position for option in current.options}
    following = max(positions.values(), default=-1) + 1
    questions = []
    for question in wanted.questions:
        options = []
        for option in question.options:
            if option.key not in positions:
                positions[option.key] = following
                following += 1
            options.append(replace(option, position=positions[option.key]))
        options += _retired(current, question)
        questions.append(replace(question, options=tuple(sorted(options, key=lambda o: o.position))))
    named = {question.key for question in wanted.questions}
    questions.extend(
        replace(question, options=tuple(replace(option, retired=True) for option in question.options))
        for question in current.questions
        if question.key not in named
    )
    return questions


def _retired(current: Scheme, wanted: Question) -> list[Option]:
    given = {option.key for option in wanted.options}
    old = next((question for question in current.questions if question.key == wanted.key), None)
    return [replace(o, retired=True) for o in old.options if o.key not in given] if old else []


def _check_unique(scheme: Scheme) -> None:
    seen: dict[str, str] = {}
    questions: set[str] = set()
    for number, question in enumerate(scheme.questions):
        if question.key in questions:
            raise Invalid(f"The question {question.key!r} is given twice.", field=f"/questions/{number}/key")
        questions.add(question.key)
        for place, option in enumerate(question.options):
            if option.key in seen:
                where = (
                    f"in the questions {seen[option.key]!r} and {question.key!r}"
                    if seen[option.key] != question.key
                    else "twice"
                )
                raise Invalid(
                    f"The option {option.key!r} is given {where}: option keys are unique in the whole scheme.",
                    field=f"/questions/{number}/options/{place}/key",
                    slug="option-twice",
                )
            seen[option.key] = question.key


def _check_kept(current: Scheme, wanted: Scheme) -> None:
    homes = {option.key: question for question in current.questions for option in question.options}
    kinds = {question.key: question.kind for question in current.questions}
    for number, question in enumerate(wanted.questions):
        if kinds.get(question.key, question.kind) is not question.kind:
            raise _kind_changed(
                question.key, kinds[question.key], question.kind, field=f"/questions/{number}/kind"
            )
        for place, option in enumerate(question.options):
            home = homes.get(option.key)
            if home is not None and home.key != question.key:
                raise Invalid(
                    f"The option {option.key!r} belongs to the question {home.key!r} and cannot move to {question.key!r}.",
                    field=f"/questions/{number}/options/{place}/key",
                    slug="option-moved",
                )


def _check_dependencies(scheme: Scheme) -> None:
    known = set(scheme.option_keys)
    for number, dependency in enumerate(scheme.dependencies):
        for key in (dependency.option, *dependency.needs_any):
            if key not in known:
                raise Invalid(
                    f"The dependency names {key!r}, which is no option of the scheme.",
                    field=f"/dependencies/{number}",
                )
        if dependency.option in dependency.needs_any:
            raise Invalid(
                f"The option {dependency.option!r} cannot depend on itself.", field=f"/dependencies/{number}"
            )


def _kind_changed(key: str, old: QuestionKind, new: QuestionKind, field: str = "/questions") -> Invalid:
    return Invalid(
        f"The question {key!r} is {old.value} and cannot become {new.value}: labels given so far would lose their meaning. Use a new question.",
        field=field,
        slug="kind-changed",
    )
