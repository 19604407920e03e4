"""A corpus that several people annotated: letters with a hidden truth, two teams, known errors, written straight into the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, text

from app.db.session import writing
from app.db.tables import Annotation, Annotator, Text, TextVersion
from models.data.near_duplicates import content_digest
from tests.integration.review_corpus import Built, build_corpus
from tests.small_corpus import FILLER

PEOPLE = {"ann": ("north", 0.04), "ben": ("north", 0.12), "cem": ("south", 0.15), "dov": ("south", 0.35)}
"""Team of each, and how often they answer at random."""
_WORDS = {"remorse": ("regret", "sorry", "ashamed"), "dependants": ("daughter", "mother", "children"),
          "granted": ("allowed", "pleased"), "denied": ("refused", "dismissed"), "open": ("waiting", "pending")}  # fmt: skip


@dataclass
class Several:
    """What was made, with the truth."""

    built: Built
    truth: NDArray[np.int8]
    """int8 (texts, 5): the true value of every option, `outcome` one-hot."""
    said: dict[tuple[int, str], NDArray[np.int8]] = field(default_factory=dict)
    """What a person said of a text (by its number)."""

    @property
    def corpus_id(self) -> str:
        """Of the corpus."""
        return self.built.corpus_id


def several_annotators(
    engine: Engine, texts: int = 160, readers: int = 3, apart: bool = False, seed: int = 1, name: str = "several"
) -> Several:  # fmt: skip
    """Letters that `readers` of four people read each; `apart`: north reads the first half and south the second, nobody both."""
    rng = np.random.default_rng(seed)
    yes = (rng.random((texts, 2)) < (0.4, 0.3)).astype(np.int8)
    outcome = rng.choice(3, texts, p=(0.5, 0.3, 0.2))
    truth = np.column_stack([yes, np.eye(3, dtype=np.int8)[outcome]])
    with writing(engine) as session:
        built = build_corpus(session, name, synthetic=True)
        session.add(Annotator(corpus_id=built.corpus_id, name="dov"))
        session.flush()
        named = session.query(Annotator).filter_by(corpus_id=built.corpus_id)
        built.annotators = {row.name: row.id for row in named}
        found = Several(built, truth)
        _texts(session, found, rng)
        rows = []
        for number in range(texts):
            people = [p for p in PEOPLE if not apart or (PEOPLE[p][0] == "north") == (number < texts // 2)]
            for person in rng.permutation(people)[:readers]:
                rows += _annotations(found, number, str(person), rng)
        session.execute(insert(Annotation), rows)
    return found


def add_run(engine: Engine, several: Several, right: float = 2.0, seed: int = 2) -> str:
    """A finished relabel run of a model that knows the truth so far; its predictions are held out but for the first text."""
    from tests.integration.review_corpus import add_ranking

    rng = np.random.default_rng(seed)
    logits = right * (2.0 * several.truth - 1) + rng.standard_normal(several.truth.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    probabilities[:, 2:] = np.exp(logits[:, 2:]) / np.exp(logits[:, 2:]).sum(axis=1, keepdims=True)
    with writing(engine) as session:
        add_ranking(session, several.built, [])
        run = several.built.run_id
        for number, (name, values) in enumerate(zip(several.built.texts, probabilities, strict=True)):
            session.execute(
                text("UPDATE predictions SET probabilities = :values, held_out = :held WHERE run_id = :run AND text_version_id = :version"),
                {"values": values.tolist(), "held": number > 0, "run": run, "version": several.built.versions[name]},
            )  # fmt: skip
    return run


def _texts(session: Any, found: Several, rng: np.random.Generator) -> None:
    built = found.built
    for number, truth in enumerate(found.truth):
        words = list(rng.choice(FILLER, 12))
        for key, value in zip(_WORDS, truth, strict=True):
            words += [str(rng.choice(_WORDS[key]))] if value else []
        content = " ".join(rng.permutation(words)) + f" number {number}."
        row = Text(corpus_id=built.corpus_id, external_id=f"letter-{number:03}", ordinal=number,
                   groups={"case": f"case-{number // 2:03}"}, metadata_={"year": 2019 + number % 2})  # fmt: skip
        session.add(row)
        session.flush()
        version = TextVersion(text_id=row.id, version=1, content=content, sha256=bytes.fromhex(content_digest(content)))  # fmt: skip
        session.add(version)
        session.flush()
        row.current_version_id = version.id
        built.texts[row.external_id], built.versions[row.external_id] = row.id, version.id


def _annotations(found: Several, number: int, person: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    team, errs = PEOPLE[person]
    truth, name = found.truth[number], f"letter-{number:03}"
    yes = np.where(rng.random(2) < errs, 1 - truth[:2], truth[:2])
    chosen = int(truth[2:].argmax())
    chosen = (chosen + int(rng.integers(1, 3))) % 3 if rng.random() < errs else chosen
    answers = {"arguments": yes.tolist(), "outcome": np.eye(3, dtype=int)[chosen].tolist()}
    found.said[number, person] = np.array([*answers["arguments"], *answers["outcome"]], dtype=np.int8)
    built = found.built
    return [
        {"text_id": built.texts[name], "text_version_id": built.versions[name], "question_id": built.questions[question],
         "annotator_id": built.annotators[person], "team": team, "codebook_version": "v1", "source": "import:test",
         "annotated_at": datetime(2019, 1 + 3 * (number % 4), 1, tzinfo=UTC), "values": values}
        for question, values in answers.items()
    ]  # fmt: skip
