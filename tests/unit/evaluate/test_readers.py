"""Who may read what: the shipped model only what it has never seen, a fold model only what it was not trained on, else nobody."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.adapters.seen import seen_of, write_seen
from models.data.near_duplicates import content_digests, signatures
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from workers.evaluate.document import held_out_words
from workers.evaluate.readers import Readers, readers_of
from workers.evaluate.reading import _decided

WORDS = "the applicant was held in a cell without light for eleven days and nobody answered his letters to the court"
TEXTS = {
    "a": ("case-1", WORDS),
    "b": (
        "case-2",
        "an entirely different paragraph about the costs of the proceedings and who has to pay them in the end",
    ),
    "c": ("case-3", "heading"),
}
NEW = "nothing in this paragraph was ever shown to any of the models that are being asked about it here today"
MEMBERS = ["final", "fold0", "fold1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fold 0 holds out a, fold 1 holds out b and c; the final fit has seen all three."""
    for place, keys in (("folds/0", "bc"), ("folds/1", "a"), ("", "abc")):
        target = tmp_path / place
        target.mkdir(parents=True, exist_ok=True)
        groups, contents = zip(*(TEXTS[key] for key in keys), strict=True)
        write_seen(target, seen_of(contents, groups, list(keys)))
    return tmp_path


def scope(rows: list[tuple[str, str, str]]) -> Any:
    """Rows of (id, group, content)."""
    keys, groups, contents = (list(part) for part in zip(*rows, strict=True))
    return SimpleNamespace(
        keys=keys, groups=groups, sha256=content_digests(contents), signed=signatures(contents),
        corpus_keys=keys, corpus_groups=groups,
    )  # fmt: skip


def uses(readers: Readers) -> list[list[str]]:
    return [[readers.members[place] for place in np.flatnonzero(row)] for row in readers.uses]


def test_training_rows_are_read_by_the_fold_that_held_them_out(folder: Path) -> None:
    rows = scope([(key, *TEXTS[key]) for key in "abc"])
    assert uses(readers_of(folder, MEMBERS, rows, own=True)) == [["fold0"], ["fold1"], ["fold1"]]


def test_only_what_nobody_has_seen_is_read_by_the_shipped_model(folder: Path) -> None:
    rows = scope([
        ("new", "case-9", NEW),
        ("same group", "case-1", NEW),
        ("near duplicate", "case-9", WORDS.upper() + " indeed"),
        ("seen by all", "case-1", TEXTS["b"][1]),
        ("a", "case-9", NEW),
    ])  # fmt: skip
    found = readers_of(folder, MEMBERS, rows, own=True)
    # the group of the last row's id is now case-9, so whoever knows `a` knows the group of the first and third too
    assert uses(found) == [["fold0"], ["fold0"], ["fold0"], [], ["fold0"]]
    assert found.held_out.tolist() == [True, True, True, False, True]
    foreign = readers_of(folder, MEMBERS, rows, own=False)
    assert uses(foreign) == [["final"], ["fold0"], ["fold0"], [], ["final"]]


def test_a_group_is_familiar_through_texts_that_are_not_evaluated(folder: Path) -> None:
    rows = scope([("new", "case-7", NEW)])
    assert uses(readers_of(folder, MEMBERS, rows, own=True)) == [["final"]]
    rows.corpus_keys, rows.corpus_groups = ["new", "a"], ["case-7", "case-7"]
    assert uses(readers_of(folder, MEMBERS, rows, own=True)) == [["fold0"]]


def test_twins_are_other_rows_that_it_was_trained_on(folder: Path) -> None:
    rows = scope([("a", *TEXTS["a"]), ("x", "case-9", WORDS + " indeed"), ("new", "case-8", NEW)])
    twin = readers_of(folder, MEMBERS, rows, own=True).twin
    assert twin is not None
    assert twin.tolist() == [False, True, False]


def test_an_adapter_that_does_not_say_what_its_final_fit_saw_is_read_by_fold_models_alone(
    folder: Path,
) -> None:
    (folder / "seen.json").unlink()
    found = readers_of(folder, MEMBERS, scope([("new", "case-9", NEW)]), own=True)
    assert uses(found) == [["fold0", "fold1"]]
    assert found.twin is None


def test_what_was_left_out_is_counted_and_named(folder: Path) -> None:
    rows = scope([("new", "case-9", NEW), ("seen by all", "case-1", TEXTS["b"][1]), ("b", *TEXTS["b"])])
    readers, about = readers_of(folder, MEMBERS, rows, own=True), np.array([0, 1])
    words = held_out_words(rows, readers, about)
    assert (words["read_of_these"], held_out_words(rows, None, about)["read_of_these"]) == (1, 2)
    assert (words["rows"], words["asked"], words["left_out"], words["left_out_ids"]) == (
        2,
        3,
        1,
        ["seen by all"],
    )
    assert words["share"] == pytest.approx(2 / 3)
    assert words["by"] == {"final": 1, "1 fold models": 1}
    assert held_out_words(rows, None, about)["left_out"] == 0


def test_decisions_at_a_threshold_of_its_own_for_every_row() -> None:
    scheme = Scheme((
        Question("set", QuestionKind.YES_NO_SET, (Option("a", 0),)),
        Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 1), Option("y", 2))),
    ))  # fmt: skip
    probabilities = np.array([[0.4, 0.7, 0.3], [0.4, 0.45, 0.55], [np.nan] * 3], dtype=np.float32)
    thresholds = np.array([[0.3, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5] * 3], dtype=np.float32)
    assert _decided(probabilities, thresholds, scheme).tolist() == [[1, 1, 0], [0, 0, 1], [MISSING] * 3]
