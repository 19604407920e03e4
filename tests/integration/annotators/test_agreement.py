"""GET /corpora/{id}/agreement on made letters: the library's numbers, no version mixed with another, no number where nothing can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, text

from app.annotators.schemas import ValuesQuery
from app.cli.agreement import words
from app.db.session import writing
from app.db.tables import Annotation, Annotator, Text, TextVersion
from models.scheme import Option as SchemeOption
from models.scheme import Question as SchemeQuestion
from models.scheme import QuestionKind, Scheme
from tests.integration.review_corpus import build_corpus
from tests.several_annotators import PEOPLE, Several, several_annotators


def table(several: Several, column: int) -> np.ndarray:
    """What every person said of every text: float (people, texts), NaN where nothing."""
    found = np.full((len(PEOPLE), len(several.truth)), np.nan)
    for (number, person), values in several.said.items():
        found[list(PEOPLE).index(person), number] = values[column] if column < 2 else values[2:].argmax()
    return found


def test_its_alphas_are_the_library_s(admin: TestClient, several: Several) -> None:
    found = admin.get(f"/corpora/{several.corpus_id}/agreement").json()
    assert found["annotators"] == ["ann", "ben", "cem", "dov"]
    assert found["groups"] == [["ann", "ben", "cem", "dov"]]
    assert found["not_comparable"] == []
    for cell, column in zip(found["cells"], (0, 1, 2), strict=True):
        group = cell["groups"][0]
        expected = krippendorff.alpha(table(several, column), level_of_measurement="nominal")
        assert group["alpha"]["value"] == pytest.approx(expected)
        assert group["alpha"]["low"] < expected < group["alpha"]["high"]
        assert group["texts"] == len(several.truth)
        both = np.isfinite(table(several, column)[:2]).all(axis=0).sum()
        assert (group["pairs"][0]["first"], group["pairs"][0]["texts"]) == ("ann", both)
        assert found["shared"][0][1] == both
    assert found["cells"][2]["option"] is None
    lines = words(found, with_pairs=True)
    assert any("ann and ben" in line and "Cohen 0." in line for line in lines)


def test_groups_that_never_met_are_not_mixed(admin: TestClient, engine: Engine) -> None:
    apart = several_annotators(engine, texts=120, readers=2, apart=True)
    found = admin.get(f"/corpora/{apart.corpus_id}/agreement").json()
    assert found["groups"] == [["ann", "ben"], ["cem", "dov"]]
    assert "not comparable" in found["not_comparable"][0]
    north, south = found["cells"][0]["groups"]
    assert north["alpha"]["value"] > south["alpha"]["value"]
    assert north["texts"] == south["texts"] == 60


def test_filters_leave_too_few_to_compare_and_it_says_why(admin: TestClient, several: Several) -> None:
    path = f"/corpora/{several.corpus_id}/agreement"
    team = admin.get(path, params={"team": "north"}).json()
    assert team["annotators"] == ["ann", "ben"]
    nobody = admin.get(path, params={"team": "nroth"})
    assert (nobody.status_code, nobody.json()["field"]) == (422, "team")
    assert "'north'" in nobody.json()["detail"]
    early = admin.get(path, params={"until": "2019-02-01T00:00:00Z"}).json()
    assert early["groups"] == []
    assert len(early["not_comparable"]) == 4
    assert all(not cell["groups"] for cell in early["cells"])
    odd = admin.get(path, params={"metadata": "year=2020"}).json()
    assert max(map(max, odd["shared"])) <= len(several.truth) // 2
    assert admin.get(path, params={"group": "case=nowhere"}).json()["annotators"] == []


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"metadata": "yaer=2020"}, "metadata", "No text has the metadata key 'yaer'; there are: 'year'."),
        ({"group": "judge=1"}, "group", "No text has the grouping key 'judge'; there are: 'case'."),
        ({"since": "2020-01-01T00:00Z", "until": "2019-01-01T00:00Z"}, "until", "not before"),
        ({"since": "2019-01-01T10:00"}, "since", "write it as 2019-05-01T00:00Z"),
        ({"until": "2019"}, "until", "A number is no time: write it as 2019-01-01T00:00Z."),
    ],
)
def test_a_filter_that_nothing_can_pass_is_refused_by_name(
    admin: TestClient, several: Several, asked: dict[str, str], field: str, said: str
) -> None:
    for what in ("agreement", "annotators"):
        refused = admin.get(f"/corpora/{several.corpus_id}/{what}", params=asked)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
        assert said in refused.json()["detail"]


def test_versions_stay_apart_and_reviews_out(admin: TestClient, engine: Engine, several: Several) -> None:
    path = f"/corpora/{several.corpus_id}/agreement"
    before = admin.get(path).json()
    with writing(engine) as session:
        session.execute(
            text(
                """INSERT INTO annotations (text_id, text_version_id, question_id, annotator_id, codebook_version, source, values)
                SELECT text_id, text_version_id, question_id, annotator_id, 'v2', 'import:test', array_fill(1::smallint, ARRAY[2])
                FROM annotations WHERE cardinality(values) = 2"""
            )
        )
        session.execute(
            text(
                """INSERT INTO reviews (corpus_id, text_id, text_version_id, question_id, option_id, value, reviewer, scheme_version, definition_digest)
                SELECT :corpus, v.text_id, v.id, q.id, o.id, 'no', 'vera', 1, 'x' FROM text_versions v, questions q
                JOIN options o ON o.question_id = q.id WHERE q.corpus_id = :corpus AND o.key = 'remorse'"""
            ),
            {"corpus": several.corpus_id},
        )
    newest = admin.get(path).json()
    assert newest["codebook_version"] == "v2"
    assert [version["name"] for version in newest["codebook_versions"]] == ["v2", "v1"]
    assert newest["cells"][0]["groups"][0]["alpha"]["reason"].startswith("not defined")
    older = admin.get(path, params={"codebook_version": "v1"}).json()
    assert older["cells"] == before["cells"]
    unknown = admin.get(path, params={"codebook_version": "v9"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "codebook_version")
    assert "'v2', 'v1'" in unknown.json()["detail"]


@pytest.mark.data
def test_three_students_on_privacy_policies(admin: TestClient, engine: Engine, shared_data: Path) -> None:
    """OPP-115: fixed triples read each policy, two groups of annotators never met; alphas per group are the library's."""
    with (shared_data / "opp115" / "segments.jsonl").open(encoding="utf-8") as lines:
        segments = [json.loads(line) for line in lines]
    keys = sorted(
        {label for segment in segments for labels in segment["annotations"].values() for label in labels}
    )
    corpus_id = store(engine, segments, keys)
    found = admin.get(f"/corpora/{corpus_id}/agreement").json()
    assert len(found["groups"]) == 2
    assert "not comparable" in found["not_comparable"][-1]
    cell = next(cell for cell in found["cells"] if cell["option"] == "Data Retention")
    for group, people in zip(cell["groups"], found["groups"], strict=True):
        said = np.full((len(people), len(segments)), np.nan)
        for number, segment in enumerate(segments):
            for person, labels in segment["annotations"].items():
                if person in people:
                    said[people.index(person), number] = "Data Retention" in labels
        assert group["alpha"]["value"] == pytest.approx(
            krippendorff.alpha(said, level_of_measurement="nominal")
        )
        assert group["texts"] == (np.isfinite(said).sum(axis=0) > 1).sum()


def store(engine: Engine, segments: list[dict[str, Any]], keys: list[str]) -> str:
    """The segments with everybody's labels as a corpus."""
    options = tuple(SchemeOption(key, place) for place, key in enumerate(keys))
    scheme = Scheme((SchemeQuestion("practices", QuestionKind.YES_NO_SET, options),))
    with writing(engine) as session:
        built = build_corpus(session, "policies", scheme)
        people = sorted({person for segment in segments for person in segment["annotations"]})
        session.execute(insert(Annotator), [{"corpus_id": built.corpus_id, "name": name} for name in people])
        ids = {row.name: row.id for row in session.query(Annotator).filter_by(corpus_id=built.corpus_id)}
        texts = [{"corpus_id": built.corpus_id, "external_id": segment["id"]} for segment in segments]
        session.execute(insert(Text), texts)
        numbers = {
            row.external_id: row.id for row in session.query(Text).filter_by(corpus_id=built.corpus_id)
        }
        versions = [
            {"text_id": numbers[s["id"]], "version": 1, "content": s["text"], "sha256": b"x"}
            for s in segments
        ]
        session.execute(insert(TextVersion), versions)
        current = {row.text_id: row.id for row in session.query(TextVersion)}
        session.execute(
            insert(Annotation),
            [
                {"text_id": numbers[s["id"]], "text_version_id": current[numbers[s["id"]]], "question_id": built.questions["practices"],
                 "annotator_id": ids[person], "source": "import:test", "values": [int(key in labels) for key in keys]}
                for s in segments for person, labels in s["annotations"].items()
            ],
        )  # fmt: skip
        return built.corpus_id


def test_empty_filters_are_none_and_a_date_is_its_beginning(admin: TestClient, several: Several) -> None:
    """As a form sends them."""
    address = f"/corpora/{several.corpus_id}/agreement"
    everything = admin.get(address).json()
    blank = admin.get(f"{address}?team=&since=&until=&metadata=&group=")
    assert (blank.status_code, blank.json()) == (200, everything)
    by_day, by_time = (
        admin.get(address, params={"since": since}).json() for since in ("2019-03-01", "2019-03-01T00:00Z")
    )
    assert by_day == by_time
    refused = admin.get(address, params={"since": "2019"})
    assert (refused.status_code, refused.json()["field"]) == (422, "since")


@pytest.mark.parametrize(
    ("given", "filtered"),
    [
        ({}, False),
        ({"team": "", "since": "", "until": "", "metadata": [""], "group": [""]}, False),
        ({"team": "north"}, True),
        ({"since": "2019-03-01", "metadata": [""]}, True),
        ({"metadata": ["year=2019", ""]}, True),
    ],
)
def test_a_form_that_is_sent_empty_filters_nothing(given: dict[str, object], filtered: bool) -> None:
    """So that the page does not blame filters where nobody has annotated anything."""
    assert ValuesQuery.model_validate(given).filtered is filtered
