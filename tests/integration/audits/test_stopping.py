"""The stopping rule as a service: a frozen remainder, declared looks, outcomes released only after the decision."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.audits import OTHER, Values, close, draw, given_of, read_all, truth_of
from tests.integration.audits.conftest import Person
from tests.integration.review_corpus import Built

WRONG = [n for n in range(60) if given_of(n) != truth_of(n)]
"""Nine texts of sixty."""


def stopping(at_most: int, looks: int = 1, **rest: Any) -> dict[str, Any]:
    return {"purpose": "stopping", "stopping": {"at_most": at_most, "looks": looks}, **rest}


def decide(client: TestClient, built: Built, engine: Engine, numbers: list[int]) -> None:
    """Reviews settle every cell of these texts by the truth."""
    from app.corpora.codebook import load_codebook
    from app.db.session import writing
    from app.db.tables import Review

    with writing(engine) as session:
        codebook = load_codebook(session, built.corpus_id)
        for number in numbers:
            for cell in codebook.scheme.cells:
                question, option = codebook.cell_ids(cell)
                session.add(
                    Review(
                        corpus_id=built.corpus_id,
                        text_id=built.texts[f"letter-{number}"],
                        text_version_id=built.versions[f"letter-{number}"],
                        question_id=question,
                        option_id=option,
                        value=truth_of(number)[cell.option or cell.question],
                        reviewer="vera",
                        scheme_version=codebook.version,
                        definition_digest=codebook.definitions()[question, option],
                    )
                )


def test_the_cost_is_told_beforehand(ada: TestClient) -> None:
    body = {"corpus": "letters", **stopping(6, looks=2, size=20)}
    plan = ada.post("/audit-samples", json=body, params={"dry_run": True}).json()
    cost = plan["stopping"]
    assert (cost["remainder"], cost["look"], cost["looks"]) == (60, 1, 2)
    needed = dict(cost["reads_needed"])
    assert needed[0] is not None
    assert 20 < needed[0] < needed[1]
    assert "not certifiable at this budget" in plan["warnings"][0]
    assert dict(cost["chance_to_stop"])[0] == 0.0
    refused = ada.post("/audit-samples", json=body)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:remand:problem:not-certifiable")
    # without a size it takes what no error needs
    assert ada.post("/audit-samples", json=body | {"size": None}, params={"dry_run": True}).json()["size"] == needed[0]  # fmt: skip


def test_a_claim_that_holds_of_itself_is_refused(ada: TestClient) -> None:
    for dry_run in (True, False):
        body = {"corpus": "letters", **stopping(60)}
        refused = ada.post("/audit-samples", json=body, params={"dry_run": dry_run})
        assert (refused.status_code, refused.json()["field"]) == (422, "/stopping/at_most")
        assert "only 60 texts are left" in refused.json()["detail"]
    assert ada.get("/audit-samples", params={"corpus": "letters"}).json()["items"] == []


def test_it_stops_only_when_few_enough_are_left(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    """Look 1 finds too many; after more reviews look 2 is drawn from what is then left, and stops."""
    vera = person("vera")
    first = draw(ada, **stopping(2, looks=2, size=50, seed=1))
    assert (first["frame"], first["look"], first["plan_id"]) == (60, 1, first["id"])
    early = ada.post("/audit-samples", json={"corpus": "letters", "purpose": "stopping", "plan": first["id"]})
    assert early.json()["type"] == "urn:remand:problem:audit-sample-open"
    read_all(vera, first["id"])
    assert ada.post(f"/audit-samples/{first['id']}/release").status_code == 409
    looked = close(ada, first["id"])["stopping"]
    assert (looked["stop"], looked["looks_left"], looked["alpha_per_look"]) == (False, 1, 0.025)
    assert looked["wrong"] > 2
    ada.post(f"/audit-samples/{first['id']}/release")
    decide(ada, built, engine, [n for n in WRONG if n % 20 != 5])
    second = draw(ada, purpose="stopping", plan=first["id"], readers=1)
    assert (second["look"], second["plan_id"], second["at_most"]) == (2, first["id"], 2)
    assert second["frame"] < 60 - 40  # the fifty that were read are decided
    read_all(vera, second["id"])
    result = close(ada, second["id"])
    assert result["stopping"]["stop"]
    assert result["stopping"]["wrong"] <= 2
    assert any(sentence.startswith("You may stop") for sentence in result["words"])
    after = ada.post("/audit-samples", json={"corpus": "letters", "purpose": "stopping", "plan": second["id"]})  # fmt: skip
    assert after.json()["type"] == "urn:remand:problem:plan-stopped"


def test_more_looks_than_were_declared_are_refused(ada: TestClient, person: Person) -> None:
    only = draw(ada, **stopping(2, size=50, seed=1))
    read_all(person("vera"), only["id"])
    result = close(ada, only["id"])
    assert not result["stopping"]["stop"]
    assert any("No declared look is left" in sentence for sentence in result["words"])
    refused = ada.post("/audit-samples", json={"corpus": "letters", "purpose": "stopping", "plan": only["id"]})  # fmt: skip
    assert refused.json()["type"] == "urn:remand:problem:no-look-left"
    for number in (0, 6):
        assert ada.post("/audit-samples", json={"corpus": "letters", **stopping(2, looks=number)}).status_code == 422  # fmt: skip


def test_skipped_texts_count_as_wrong(ada: TestClient, person: Person, built: Built, engine: Engine) -> None:
    decide(ada, built, engine, WRONG)
    sample = draw(ada, **stopping(5, size=40, seed=2))
    assert sample["frame"] == 51

    def skips(number: int, true: Values) -> Values:
        return true | {"remorse": None} if number % 4 == 1 else true

    read_all(person("vera"), sample["id"], skips)
    looked = close(ada, sample["id"])["stopping"]
    assert looked["wrong"] == 0
    assert looked["skipped"] > 5
    assert not looked["stop"]


def test_what_reviews_change_while_it_is_read_changes_nothing(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    """The remainder is frozen: steering the queue towards the drawn texts cannot make the look stop."""
    sample = draw(ada, **stopping(2, size=50, seed=1))
    decide(ada, built, engine, WRONG)
    read_all(person("vera"), sample["id"])
    looked = close(ada, sample["id"])["stopping"]
    assert (looked["remainder"], looked["stop"]) == (60, False)
    assert looked["wrong"] > 2


def test_every_look_is_on_record_and_stays(ada: TestClient, person: Person, engine: Engine) -> None:
    sample = draw(ada, **stopping(30, looks=3, size=60, options=["remorse"]))
    read_all(person("vera"), sample["id"], lambda _n, true: {key: OTHER[str(v)] for key, v in true.items()})
    close(ada, sample["id"])
    with engine.connect() as connection:
        row = connection.execute(text("SELECT number, looked_by, result FROM audit_looks")).one()
    assert (row.number, row.looked_by, row.result["stopping"]["stop"]) == (1, "ada", False)
    with engine.begin() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("UPDATE audit_looks SET result = '{}'"))


def test_nothing_is_left_to_certify(ada: TestClient, built: Built, engine: Engine) -> None:
    decide(ada, built, engine, list(range(60)))
    refused = ada.post("/audit-samples", json={"corpus": "letters", **stopping(2)})
    assert refused.json()["type"] == "urn:remand:problem:nothing-to-audit"


def test_plans_declared_before_are_counted_whatever_became_of_them(ada: TestClient, person: Person) -> None:
    """Whoever declares plan after plan until one stops spends alpha after alpha: each result says so."""
    vera = person("vera")
    draw(ada, **stopping(2, size=50, seed=1))  # given up in the middle
    asked = {"corpus": "letters", **stopping(2, size=50, seed=2)}
    plan = ada.post("/audit-samples", json=asked, params={"dry_run": True}).json()
    assert any("1 stopping plan has been declared before" in warning for warning in plan["warnings"])
    second = draw(ada, **stopping(2, size=50, seed=2))
    third = draw(ada, **stopping(2, size=50, seed=3))
    read_all(vera, second["id"])
    result = close(ada, second["id"])
    assert result["stopping"]["earlier_plans"] == 1  # the third came later
    assert any("One stopping plan was declared for this corpus before" in words for words in result["words"])
    read_all(vera, third["id"])
    assert close(ada, third["id"])["stopping"]["earlier_plans"] == 2
