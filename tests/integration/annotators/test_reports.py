"""An annotator report from POST to page: the team that follows another codebook stands apart, a lone one is told so, a stopped job ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.cli.annotators import words
from app.db.session import writing
from tests.attempts import claimed, exit_of_attempt, job_now
from tests.integration.annotators.test_annotators import HTML, again
from tests.several_annotators import Several, several_annotators
from workers.annotators.job import NOBODY, TWO, run
from workers.job_context import EXIT_LEASE_LOST, EXIT_STOPPED, run_attempt
from workers.stopping import StopFlag


@pytest.fixture
def reported(admin: TestClient, engine: Engine) -> Callable[..., dict]:
    """A report of a corpus, run in this process: the job's result."""

    def once(several: Several, **body: object) -> dict:
        made = admin.post("/annotator-reports", json={"corpus": several.corpus_id} | body)
        assert made.status_code == 202, made.text
        job_id = made.json()["id"]
        exit_of_attempt(job_id, run)
        job = job_now(job_id)
        assert job.state == "succeeded", job.error
        assert job.result == admin.get(f"/annotator-reports/{job_id}").json()["result"]
        return job.result

    return once


def regrouped(engine: Engine, several: Several) -> None:
    """The same values as v2 in three teams: Cem is of the west, which has another rule for remorse."""
    again(
        engine,
        """SELECT text_id, text_version_id, question_id, annotator_id,
            CASE annotator_id WHEN :cem THEN 'west' WHEN :dov THEN 'south' WHEN :ann THEN 'north' ELSE 'east' END, 'v2',
            CASE WHEN annotator_id = :cem AND cardinality(values) = 2 THEN ARRAY[1 - values[1], values[2]]::smallint[] ELSE values END
        FROM annotations""",
        **{name: several.built.annotators[name] for name in ("ann", "cem", "dov")},
    )


def test_a_team_with_another_codebook_stands_apart(
    admin: TestClient, engine: Engine, reported: Callable[..., dict]
) -> None:
    several = several_annotators(engine, texts=400)
    regrouped(engine, several)
    result = reported(several)
    assert (result["by"], result["codebook_version"], result["texts"], result["folds"]) == (
        "team",
        "v2",
        400,
        5,
    )
    teams = {one["name"]: one for one in result["teams"]}
    assert list(teams) == ["east", "north", "south", "west"]
    remorse = {name: one["options"][0] for name, one in teams.items()}
    assert remorse["west"]["option"] == "remorse"
    assert remorse["west"]["agreement"]["high"] < -0.1
    for name in ("north", "east"):
        assert remorse[name]["agreement"]["difference"] > 0
        assert teams[name]["agreement"]["low"] > teams["west"]["agreement"]["high"]
    found = admin.get(f"/corpora/{several.corpus_id}/annotators").json()
    assert {key: found["report"][key] for key in result} == result
    assert any(line.startswith("west") and "points" in line for line in words(found, detail=False))
    page = admin.get(f"/corpora/{several.corpus_id}/annotators", headers=HTML).text
    assert "Models fitted without them" in page
    assert "Remorse (-" in page
    older = admin.get(f"/corpora/{several.corpus_id}/annotators", params={"codebook_version": "v1"}).json()
    assert older["report"] is None


def test_two_teams_cannot_say_which_and_people_stand_in_where_there_are_none(
    engine: Engine, several: Several, reported: Callable[..., dict]
) -> None:
    two = reported(several)
    assert two["notes"] == [TWO]
    assert [one["name"] for one in two["teams"]] == ["north", "south"]
    again(
        engine,
        "SELECT text_id, text_version_id, question_id, annotator_id, NULL, 'v2', values FROM annotations",
    )
    people = reported(several)
    assert people["by"] == "annotator"
    assert [one["name"] for one in people["teams"]] == ["ann", "ben", "cem", "dov"]
    agreed = {one["name"]: one["agreement"] for one in people["teams"]}
    assert agreed["dov"]["high"] < 0
    assert agreed["ann"]["difference"] > agreed["dov"]["difference"]


def test_a_lone_team_is_told_so(engine: Engine, several: Several, reported: Callable[..., dict]) -> None:
    again(
        engine,
        """SELECT text_id, text_version_id, question_id, annotator_id, 'north', 'v2', values FROM annotations
        WHERE annotator_id = :ann UNION ALL SELECT a.text_id, a.text_version_id, a.question_id, a.annotator_id, 'south', 'v2', a.values
        FROM annotations a JOIN texts t ON t.id = a.text_id WHERE a.annotator_id = :dov AND t.ordinal < 60""",
        ann=several.built.annotators["ann"],
        dov=several.built.annotators["dov"],
    )
    north, south = reported(several)["teams"]
    assert north["agreement"] is None
    assert "alone: the others settled a label on" in north["reason"]
    assert "too small" in south["reason"]
    again(
        engine,
        "SELECT text_id, text_version_id, question_id, annotator_id, 'north', 'v3', values FROM annotations WHERE codebook_version = 'v1'",
    )
    (only,) = reported(several)["teams"]
    assert "alone: the others settled a label on 0 texts" in only["reason"]
    assert only["reason"] != NOBODY


def test_a_job_that_is_stopped_or_has_lost_its_lease_writes_nothing(
    admin: TestClient, engine: Engine, several: Several
) -> None:
    job_id = admin.post("/annotator-reports", json={"corpus": several.corpus_id}).json()["id"]
    fence = claimed(job_id).fence
    admin.post(f"/annotator-reports/{job_id}/cancel")
    flag = StopFlag()
    flag.stop("cancel")
    assert run_attempt(job_id, fence, run, flag) == EXIT_STOPPED
    assert job_now(job_id).result is None
    assert run_attempt(job_id, fence + 1, run, StopFlag()) == EXIT_LEASE_LOST
    assert job_now(job_id).result is None


def test_what_cannot_be_asked_is_said(admin: TestClient, engine: Engine, several: Several) -> None:
    unknown = admin.post("/annotator-reports", json={"corpus": several.corpus_id, "codebook_version": "v9"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "/codebook_version")
    with writing(engine) as session:
        session.execute(text("INSERT INTO corpora (id, name) VALUES ('cor_empty', 'empty')"))
    nobody = admin.post("/annotator-reports", json={"corpus": "empty"})
    assert (nobody.status_code, nobody.json()["field"]) == (409, "/corpus")
