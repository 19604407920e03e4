"""Demo data: synthetic letters from defendants to judges, labelled by three synthetic teams with known error habits.

Nothing here is about a real person. Ten options are argued in many ways, denied, or told of somebody else; some come in
pairs that are easily confused. Every letter has a truth, kept in a second file beside what the "students" made of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from models.data.demo_phrases import ARGUMENTS, BACKGROUND, CLOSINGS, DISTRACTIONS, OPENINGS, SLOTS

OPTIONS: dict[str, str] = {
    "remorse": "The defendant is sorry, or takes the blame.",
    "first_offence": "The defendant has no earlier conviction.",
    "dependants": "Somebody depends on the defendant's care.",
    "health": "The defendant's own illness or disability, other than addiction.",
    "addiction_treatment": "The defendant's own addiction, or its treatment.",
    "employment": "The defendant has work, an offer of work, or is in training for it.",
    "cooperation": "The defendant confessed, pleaded guilty early, or helped the police.",
    "youth": "The defendant was, or is, young.",
    "restitution": "The defendant has made good the damage, or will.",
    "hardship": "Want, debt or the loss of a home, of the defendant or the family.",
}
"""Key and definition of each option, in column order."""

PREVALENCE = (0.5, 0.25, 0.3, 0.2, 0.2, 0.28, 0.2, 0.16, 0.18, 0.22)
SHORTEST, LONGEST = 40, 250
"""Words of a letter."""
DOUBLE_CODED = 0.15
"""Share of letters that a second annotator of the same team has read."""
LABEL_COLUMNS = (
    "letter_id", "text", "defendant", "judge", "court", "year", "annotator", "team", "annotated_at", "codebook_version",
    "synthetic", *OPTIONS,
)  # fmt: skip
TRUTH_COLUMNS = ("letter_id", "synthetic", *OPTIONS)
_COURTS = ("Synthetic County Court", "Synthetic City Court", "Synthetic District Court")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Team:
    """A team of synthetic students and how it errs."""

    name: str
    year: int
    annotators: int
    overlooks: float
    """Chance that an argument is not seen."""
    misreads: float
    """Chance that a denied argument, or somebody else's, is taken for one."""
    slips: float
    """Chance that an option the letter does not touch is ticked."""
    takes_for: Mapping[tuple[str, str], float]
    """(option, other): chance that the other is ticked in place of the option. The systematic habit."""
    ticks_too: Mapping[tuple[str, str], float]
    """(option, other): chance that the other is ticked beside the option. The systematic habit."""
    wrong_share: float
    """Share of its cells that are wrong, as measured over many letters."""


TEAMS = (
    Team("team-2019", 2019, 3, 0.04, 0.05, 0.01, {}, {}, 0.023),
    Team("team-2020", 2020, 4, 0.13, 0.15, 0.02, {}, {}, 0.066),
    Team(
        "team-2021", 2021, 3, 0.09, 0.12, 0.02,
        {("addiction_treatment", "health"): 0.7},
        {("dependants", "hardship"): 0.6, ("first_offence", "youth"): 0.4, ("cooperation", "remorse"): 0.5},
        0.103,
    ),
)  # fmt: skip
"""Careful; hurried; and one with a codebook of its own: it reads addiction as illness, and ticks hardship wherever there are
dependants, youth wherever there is a clean record, remorse wherever there is a confession."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One synthetic letter and the truth about it."""

    letter_id: str
    text: str
    defendant: str
    judge: str
    court: str
    year: int
    truth: tuple[bool, ...]
    touched: tuple[bool, ...]
    """Options that a sentence only sounds like."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotator made of a letter."""

    letter: Letter
    team: Team
    annotator: str
    annotated_at: datetime
    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What was written."""

    labels: Path
    truth: Path
    letters: int
    annotations: int
    wrong_cells: int
    cells: int


def truth_path(labels: Path) -> Path:
    """Where the truth of a label file lies: beside it, "….truth.csv"."""
    return labels.with_name(f"{labels.stem}.truth.csv")


def write_demo(path: Path, texts: int, seed: int = 0) -> DemoFiles:
    """Write synthetic letters with their labels, one row per letter and annotator, and the truth beside them.

    Args:
        path: the label file (CSV, UTF-8); the truth goes to `truth_path(path)`.
        texts: number of letters, at least 1.
        seed: the same seed writes the same bytes.

    Raises:
        ValueError: fewer than one letter.
    """
    if texts < 1:
        raise ValueError(f"the demo needs at least 1 letter, not {texts}")
    rows = wrong = 0
    beside = truth_path(path)
    with (
        path.open("w", encoding="utf-8", newline="") as labels,
        beside.open("w", encoding="utf-8", newline="") as truth,
    ):
        label_rows, truth_rows = csv.writer(labels), csv.writer(truth)
        label_rows.writerow(LABEL_COLUMNS)
        truth_rows.writerow(TRUTH_COLUMNS)
        for letter, annotations in demo(texts, seed):
            truth_rows.writerow([letter.letter_id, "true", *map(int, letter.truth)])
            for annotation in annotations:
                label_rows.writerow(_label_row(annotation))
                rows += 1
                wrong += sum(a != b for a, b in zip(annotation.values, letter.truth, strict=True))
    return DemoFiles(path, beside, texts, rows, wrong, rows * len(OPTIONS))


def read_truth(path: Path) -> dict[tuple[str, str], bool]:
    """The truth of every cell of a truth file: (letter id, option) → whether the letter argues it."""
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["letter_id"], key): row[key] == "1" for row in csv.DictReader(file) for key in OPTIONS}


def demo(texts: int, seed: int = 0) -> Iterator[tuple[Letter, list[Annotation]]]:
    """Letters one after the other, each with its one or two annotations."""
    rng = np.random.default_rng(seed)
    for letter in letters(texts, rng):
        team = TEAMS[int(rng.integers(len(TEAMS)))]
        readers = rng.permutation(team.annotators)[: 2 if rng.random() < DOUBLE_CODED else 1]
        yield letter, [_annotated(letter, team, int(reader), rng) for reader in readers]


def letters(texts: int, rng: np.random.Generator) -> Iterator[Letter]:
    """Letters, one to three by each defendant; a defendant's letters go to one judge."""
    number = defendant = 0
    while number < texts:
        defendant += 1
        judge = int(rng.integers(1, 41))
        for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
            if number == texts:
                return
            number += 1
            truth, touched = _plan(rng)
            yield Letter(
                letter_id=f"synthetic-{number:06d}",
                text=_written(truth, touched, rng),
                defendant=f"synthetic-defendant-{defendant:05d}",
                judge=f"synthetic-judge-{judge:02d}",
                court=_COURTS[judge % len(_COURTS)],
                year=int(rng.integers(2014, 2019)),
                truth=truth,
                touched=touched,
            )


def _plan(rng: np.random.Generator) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Which options a letter argues (at most five), and which others it only touches (at most four)."""
    argued = rng.random(len(OPTIONS)) < PREVALENCE
    touched = (rng.random(len(OPTIONS)) < 0.22) & ~argued
    for marks, most in ((argued, 5), (touched, 4)):
        for extra in rng.permutation(np.flatnonzero(marks))[most:]:
            marks[extra] = False
    return tuple(map(bool, argued)), tuple(map(bool, touched))


def _written(truth: Sequence[bool], touched: Sequence[bool], rng: np.random.Generator) -> str:
    """A letter: opening, sentences in any order, closing; SHORTEST to LONGEST words."""
    keys = list(OPTIONS)
    body = [_sentence(ARGUMENTS[key], rng) for key, said in zip(keys, truth, strict=True) if said]
    body += [_sentence(DISTRACTIONS[key], rng) for key, said in zip(keys, touched, strict=True) if said]
    # Some arguments are made twice, and the letter is filled up to a length of its own.
    for key, said in zip(keys, truth, strict=True):
        if said and rng.random() < 0.3:
            body.append(_sentence(ARGUMENTS[key], rng))
    frame = [_sentence(OPENINGS, rng), _sentence(CLOSINGS, rng)]
    wanted = int(np.clip(rng.lognormal(4.6, 0.35), SHORTEST + 5, LONGEST - 30))
    told = rng.permutation(len(BACKGROUND))
    while _words([*frame, *body]) < wanted:
        body.append(_sentence([BACKGROUND[told[0]]], rng))
        told = np.roll(told, -1)
    order = rng.permutation(len(body))
    parts = [frame[0], *(body[place] for place in order), frame[1]]
    return " ".join(_mistyped(part, rng) for part in parts)


def _words(parts: Sequence[str]) -> int:
    return sum(len(part.split()) for part in parts)


def _sentence(templates: Sequence[str], rng: np.random.Generator) -> str:
    """One sentence: a template with its braces filled from the inside out."""
    text = templates[int(rng.integers(len(templates)))]
    while found := _BRACES.search(text):
        choices = SLOTS.get(found.group(1)) or found.group(1).split("|")
        text = text[: found.start()] + choices[int(rng.integers(len(choices)))] + text[found.end() :]
    plain = re.sub(r" +([,.?;:])", r"\1", " ".join(text.split()))
    return plain[:1].upper() + plain[1:]


def _mistyped(sentence: str, rng: np.random.Generator) -> str:
    """The sentence with a rare slip of the pen: two letters of a longer word swapped."""
    words = sentence.split()
    for place in np.flatnonzero(rng.random(len(words)) < 0.012):
        word = words[place]
        if len(word) > 4 and word.isalpha():
            cut = int(rng.integers(1, len(word) - 2))
            words[place] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(words)


def _annotated(letter: Letter, team: Team, reader: int, rng: np.random.Generator) -> Annotation:
    opened = datetime(team.year, 1, 10, 9, tzinfo=UTC)
    moment = opened + timedelta(minutes=int(rng.integers(0, 340 * 24 * 60)))
    return Annotation(letter, team, f"{team.name}-student-{reader + 1}", moment, _read(letter, team, rng))


def _read(letter: Letter, team: Team, rng: np.random.Generator) -> tuple[bool, ...]:
    """What a student of this team makes of a letter."""
    chance = np.where(letter.truth, 1 - team.overlooks, np.where(letter.touched, team.misreads, team.slips))
    values = rng.random(len(chance)) < chance
    place = {key: number for number, key in enumerate(OPTIONS)}
    for (option, other), often in team.takes_for.items():
        if letter.truth[place[option]] and rng.random() < often:
            values[place[option]], values[place[other]] = False, True
    for (option, other), often in team.ticks_too.items():
        if letter.truth[place[option]] and rng.random() < often:
            values[place[other]] = True
    return tuple(map(bool, values))


def _label_row(annotation: Annotation) -> list[object]:
    letter = annotation.letter
    return [
        letter.letter_id, letter.text, letter.defendant, letter.judge, letter.court, letter.year, annotation.annotator,
        annotation.team.name, annotation.annotated_at.isoformat(), f"synthetic-{annotation.team.year}", "true",
        *map(int, annotation.values),
    ]  # fmt: skip
