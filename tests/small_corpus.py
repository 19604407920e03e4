"""A small synthetic corpus for tests that train: letters whose words say which of two arguments they make."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sqlalchemy import Engine

from app.db.session import writing
from models.scheme import Option, Question, QuestionKind, Scheme
from tests.integration.review_corpus import Built, add_text, annotate, build_corpus

TWO_ARGUMENTS = Scheme(
    (
        Question(
            "arguments",
            QuestionKind.YES_NO_SET,
            (Option("remorse", 0, "Remorse"), Option("dependants", 1, "Dependants")),
        ),
    )
)
FILLER = "your honour i write to you about my case and ask the court to read this letter before the hearing".split()  # fmt: skip  # noqa: SIM905
_SAYS = {
    "remorse": ("regret", "sorry", "ashamed", "apologise"),
    "dependants": ("daughter", "mother", "children", "household"),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A synthetic letter: its id, its case, its words and its labels in option order."""

    key: str
    case: str
    content: str
    labels: list[int]


def letters(count: int, seed: int = 0) -> list[Letter]:
    """Synthetic letters, two of a case; a label is yes where one of the argument's words is used."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        labels = [int(draw.random() < 0.4), int(draw.random() < 0.3)]
        words = draw.sample(FILLER, 12)
        for said, choices in zip(labels, _SAYS.values(), strict=True):
            words += [draw.choice(choices)] if said else []
        draw.shuffle(words)
        found.append(
            Letter(
                f"letter-{number:03}",
                f"case-{number // 2:03}",
                " ".join(words) + f" number {number}.",
                labels,
            )
        )
    return found


def store_letters(engine: Engine, count: int = 60, name: str = "letters") -> Built:
    """A corpus of letters, every one annotated by ann."""
    with writing(engine) as session:
        built = build_corpus(session, name, TWO_ARGUMENTS)
        for letter in letters(count):
            add_text(session, built, letter.key, letter.content, groups={"case": letter.case})
            annotate(session, built, letter.key, "ann", "arguments", list(letter.labels))
    return built
