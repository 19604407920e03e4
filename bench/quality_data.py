"""The collections that `bench quality` learns from, as rows with labels, groups and contexts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars

from models.data.context import Context, contexts
from models.scheme import Labels, Option, Question, QuestionKind, Scheme

ARGUMENTS = 7
"""The first options of ECHR are types of argument, the others who speaks."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Labelled texts in their order."""

    name: str
    scheme: Scheme
    texts: list[str]
    groups: list[str]
    labels: Labels
    """int8 (texts, options)."""
    held_out: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """bool (texts): the given held-out split; all False where there is none."""
    counted: int
    """So many first options are in the macro mean."""

    def contexts(self) -> list[Context]:
        """The neighbours of each text."""
        return contexts(self.texts, self.groups)


def echr(path: Path) -> Collection:
    """Paragraphs of judgments: train and val by case."""
    frame = polars.read_csv(path)
    keys = frame.columns[4:]
    return Collection(
        "ECHR arguments",
        _yes_no_scheme([("arguments", keys[:ARGUMENTS]), ("speakers", keys[ARGUMENTS:])]),
        [text or "" for text in frame["text"].to_list()],
        frame["case"].cast(polars.String).to_list(),
        frame.select(keys).to_numpy().astype(np.int8),
        (frame["split"] == "val").to_numpy(),
        ARGUMENTS,
    )


def tos(path: Path) -> Collection:
    """Sentences of terms of service: ten sparse categories, folds by document."""
    rows = _lines(path)
    keys = sorted({category for row in rows for category in row["categories"]})
    labels = np.array([[key in row["categories"] for key in keys] for row in rows], dtype=np.int8)
    return _without_split("ToS clauses", _yes_no_scheme([("clauses", keys)]), rows, labels)


def vetclaims(path: Path) -> Collection:
    """Sentences of veterans' appeals: one rhetorical role each, folds by decision."""
    rows = _lines(path)
    keys = sorted({row["role"] for row in rows})
    options = tuple(Option(_key(key), place, key) for place, key in enumerate(keys))
    scheme = Scheme((Question("role", QuestionKind.CHOOSE_ONE, options),))
    labels = np.array([[row["role"] == key for key in keys] for row in rows], dtype=np.int8)
    return _without_split("VetClaims roles", scheme, rows, labels)


def _without_split(name: str, scheme: Scheme, rows: list[dict[str, str]], labels: Labels) -> Collection:
    texts, groups = [row["text"] for row in rows], [row["doc"] for row in rows]
    return Collection(
        name, scheme, texts, groups, labels, np.zeros(len(rows), dtype=np.bool_), labels.shape[1]
    )


def _yes_no_scheme(questions: Sequence[tuple[str, Sequence[str]]]) -> Scheme:
    found, place = [], 0
    for name, keys in questions:
        options = tuple(Option(_key(key), place + number, key) for number, key in enumerate(keys))
        found.append(Question(name, QuestionKind.YES_NO_SET, options))
        place += len(keys)
    return Scheme(tuple(found))


def _key(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name.lower())


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
