"""After closing: annotators and teams held against what was settled, by what each had said when the sample was sealed."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from tests.audits import OUTCOMES, close, draw, given_of, number_of_text, read_all, truth_of
from tests.integration.audits.conftest import Person
from tests.integration.review_corpus import Built, add_version, annotate

LETTERS = 60


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


def all_read(client: TestClient, reader: TestClient) -> tuple[dict[str, Any], list[int]]:
    """The result of a sample of 40 that one person reads rightly, and which letters were drawn."""
    sample = draw(client, size=40, seed=11, design="random")
    drawn: list[int] = []
    while (text := reader.get(f"/audit-samples/{sample['id']}/texts/next").json()["text"]) is not None:
        drawn.append(number_of_text(text))
        said = {cell["key"]: truth_of(drawn[-1])[cell["key"]] for cell in text["cells"]}
        put = reader.put(f"/audit-samples/{sample['id']}/texts/{text['text_id']}/reading", json={"values": said})  # fmt: skip
        assert put.status_code == 200, put.text
    return close(client, sample["id"]), drawn


def test_each_is_held_against_what_was_settled(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    """ben says yes to everything of the arguments and nothing of the outcome."""
    with writing(engine) as session:
        for number in range(LETTERS):
            annotate(session, built, f"letter-{number}", "ben", "arguments", [1, 1], team="2020")
    found, drawn = all_read(ada, person("vera"))
    people, teams = (by_name(found["annotators"][kind]) for kind in ("annotators", "teams"))
    assert sorted(people) == ["ann", "ben"]
    wrong = sum(given_of(n)[key] != truth_of(n)[key] for n in drawn for key in truth_of(n))
    ann, ben = people["ann"], people["ben"]
    assert (ann["team"], ann["texts"], ann["labels"], ann["read"], ann["differ"]) == ("2019", 40, 120, 120, wrong)  # fmt: skip
    noes = sum(truth_of(n)[key] == "no" for n in drawn for key in ("remorse", "dependants"))
    assert (ben["team"], ben["read"], ben["differ"]) == ("2020", 80, noes)
    assert ben["share"] == noes / 80
    assert 0 < ann["low"] < ann["share"] < ann["high"] < ben["low"] < ben["share"] < ben["high"] <= 1
    assert {name: row["differ"] for name, row in teams.items()} == {"2019": wrong, "2020": noes}
    stored = ada.get(f"/audit-samples/{found['audit_sample_id']}/result").json()
    assert stored["annotators"] == found["annotators"]
    # where ann says no, the two tie: there was no label to correct
    tied = {(n, key) for n in drawn for key in ("remorse", "dependants") if given_of(n)[key] == "no"}
    fixed = sum(given_of(n)[key] != truth_of(n)[key] and (n, key) not in tied for n in drawn for key in truth_of(n))  # fmt: skip
    released = ada.post(f"/audit-samples/{found['audit_sample_id']}/release").json()
    assert released == {"reviews": 120, "corrections": fixed, "filled": len(tied), "kept": 0, "contradicted": 0}  # fmt: skip
    assert found["labels"]["found"] == fixed


def test_only_what_was_known_of_the_content_that_is_read(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    """An answer to an earlier content, and one that is imported while the sample is read, are nobody's here."""
    with writing(engine) as session:
        for number in range(LETTERS):
            annotate(session, built, f"letter-{number}", "ben", "arguments", [1, 1])
            add_version(session, built, f"letter-{number}", f"Letter number {number}, corrected.")
            outcome = [int(truth_of(number)["outcome"] == key) for key in OUTCOMES]
            annotate(session, built, f"letter-{number}", "cem", "outcome", outcome)
    sample = draw(ada, size=50, seed=2, design="random")
    with writing(engine) as session:
        for number in range(LETTERS):
            annotate(session, built, f"letter-{number}", "ann", "outcome", [1, 0, 0])
    read_all(person("vera"), sample["id"])
    found = by_name(close(ada, sample["id"])["annotators"]["annotators"])
    assert {name: (row["read"], row["differ"]) for name, row in found.items()} == {"cem": (50, 0)}


def test_readings_that_were_not_blind_judge_nobody(ada: TestClient, person: Person, built: Built) -> None:
    vera = person("vera")
    assert (
        vera.get("/label-disagreements", params={"corpus": "letters"}).status_code == 200
    )  # tells her of letter-0
    sample = draw(ada, size=LETTERS, design="random")
    read_all(vera, sample["id"])
    result = close(ada, sample["id"])
    assert result["not_blind"] == 1
    ann = by_name(result["annotators"]["annotators"])["ann"]
    assert (ann["labels"], ann["read"], ann["texts"]) == (3 * LETTERS, 3 * LETTERS - 3, LETTERS - 1)


def test_too_few_give_the_reason_and_no_number(ada: TestClient, person: Person) -> None:
    sample = draw(ada, size=12)
    read_all(person("vera"), sample["id"])
    ann = close(ada, sample["id"])["annotators"]["annotators"][0]
    assert (ann["read"], ann["share"], ann["low"], ann["high"]) == (36, None, None, None)
    assert ann["reason"].startswith("too few: 36 labels of 12 texts")
