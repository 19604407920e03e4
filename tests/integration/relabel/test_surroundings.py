"""Contexts read from the database a few texts at a time: those of the whole corpus, whatever the chunks and however groups are mixed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import Engine

from app.db.session import writing
from models.data.context import context_of
from tests.integration.review_corpus import Built, add_text, build_corpus
from workers import neighbours
from workers.neighbours import Surroundings

LONG = "and so it went on for years without any word from the court or from anybody else"
TEXTS = 90


@pytest.fixture
def mixed(engine: Engine) -> tuple[np.ndarray, list[str | None], list[str]]:
    """Versions, groups and contents of texts of three groups that stand between each other, of some in runs, and of loners."""
    rng = random.Random(5)
    kinds = ["I. Law", f"The Court said {{}} {LONG}", "(a) Heading {}", "", f"They replied {{}} {LONG}"]
    contents = [rng.choice(kinds).format(number) for number in range(TEXTS)]
    groups = [rng.choice(["a", "b", "c", None, f"alone-{number}"]) for number in range(60)]
    groups += ["run" for _ in range(60, TEXTS)]
    with writing(engine) as session:
        built: Built = build_corpus(session)
        for number, content in enumerate(contents):
            add_text(session, built, f"t{number}", content)
    return np.array(list(built.versions.values())), groups, contents


def expected(groups: Sequence[str | None], contents: Sequence[str], row: int) -> object:
    group = groups[row]
    mates = [other for other, name in enumerate(groups) if name == group] if group else []
    return context_of(
        [contents[mate] for mate in mates if mate < row], [contents[mate] for mate in mates if mate > row]
    )


@pytest.mark.parametrize("chunk", [1, 7, TEXTS])
@pytest.mark.parametrize("batch", [4, 2048])
def test_every_text_has_the_context_of_the_whole_corpus(
    mixed: tuple[np.ndarray, list[str | None], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    batch: int,
) -> None:
    monkeypatch.setattr(neighbours, "BATCH", batch)
    versions, groups, contents = mixed
    around = Surroundings(versions, groups)
    found = [
        context for start in range(0, TEXTS, chunk) for context in around.of(versions[start : start + chunk])
    ]
    assert found == [expected(groups, contents, row) for row in range(TEXTS)]
    assert sum(context.headings != "" for context in found) > 20


def test_rows_in_any_order_and_of_some_groups_alone(
    mixed: tuple[np.ndarray, list[str | None], list[str]],
) -> None:
    versions, groups, contents = mixed
    around = Surroundings(versions, groups, {"a", "run"})
    rows = [row for row in range(TEXTS) if groups[row] in {"a", "run"}][::-1]
    assert around.of(versions[rows]) == [expected(groups, contents, row) for row in rows]


def test_never_more_texts_are_in_memory_than_a_batch_and_its_neighbours(
    mixed: tuple[np.ndarray, list[str | None], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(version_ids: Sequence[int]) -> list[str]:
        asked.append(len(version_ids))
        return read(version_ids)

    read = neighbours.contents_of
    monkeypatch.setattr(neighbours, "contents_of", counted)
    monkeypatch.setattr(neighbours, "BATCH", 8)
    looked: list[int] = []
    versions, groups, _ = mixed
    Surroundings(versions, groups, look=looked.append).of(versions)
    assert max(asked) <= 8 * 5  # before, after, three headings
    assert looked == sorted(looked)
    assert len(looked) > 3


def test_what_the_look_raises_ends_the_pass(
    mixed: tuple[np.ndarray, list[str | None], list[str]],
) -> None:
    def stop(_done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Surroundings(mixed[0], mixed[1], look=stop)
