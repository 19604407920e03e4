"""Letters of which some are labelled, in given splits and years; and the relabelled corpus of the relabel tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from tests.api import client_of_an_admin
from tests.integration.relabel.conftest import attempt, plain_score, reader, server, start, world
from tests.integration.review_corpus import Built, add_text, annotate, build_corpus
from tests.small_corpus import TWO_ARGUMENTS, letters

__all__ = ["attempt", "plain_score", "reader", "server", "start", "world"]

COUNT = 90


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """The app with an admin key."""
    with client_of_an_admin(engine) as client:
        yield client


@pytest.fixture
def corpus(engine: Engine) -> Built:
    """Ninety letters: every third is of the split val and has no labels; the year is their number by 30."""
    with writing(engine) as session:
        built = build_corpus(session, "letters", TWO_ARGUMENTS)
        for number, letter in enumerate(letters(COUNT)):
            add_text(
                session,
                built,
                letter.key,
                letter.content,
                groups={"case": letter.case},
                metadata_={"year": 2000 + number // 30},
                given_split="Val" if number % 3 == 0 else "train",
            )
            if number % 3:
                annotate(session, built, letter.key, "ann", "arguments", list(letter.labels))
    return built
