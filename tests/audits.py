"""A corpus whose true labels are known, and people who read an audit sample of it through the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Suspicion
from tests.integration.review_corpus import (
    Built,
    add_key,
    add_ranking,
    add_text,
    annotate,
    build_corpus,
)

TEXTS = 60
OUTCOMES = ("granted", "denied", "open")
Values = dict[str, str | None]
OTHER = {"yes": "no", "no": "yes", "granted": "denied", "denied": "open", "open": "granted"}


def truth_of(number: int) -> Values:
    """What is true of a text."""
    return {
        "remorse": "yes" if number % 3 == 0 else "no",
        "dependants": "yes" if number % 4 == 0 else "no",
        "outcome": OUTCOMES[number % 3],
    }


def given_of(number: int) -> Values:
    """What ann has said of it: every tenth remorse and every twentieth outcome is wrong."""
    said = dict(truth_of(number))
    if number % 10 == 0:
        said["remorse"] = OTHER[str(said["remorse"])]
    if number % 20 == 5:
        said["outcome"] = OTHER[str(said["outcome"])]
    return said


def audit_corpus(engine: Engine, *, ranked: bool = True, texts: int = TEXTS, name: str = "letters") -> Built:
    """Texts `letter-0` …, annotated by ann, ranked so that wrong labels are suspicious; keys for vera, wim, xen (reviewers), rita, ada."""
    with writing(engine) as session:
        built = build_corpus(session, name)
        for number in range(texts):
            add_text(session, built, f"letter-{number}", f"Letter number {number}.", groups={"case": str(number)})  # fmt: skip
            said = given_of(number)
            yes = [int(said[key] == "yes") for key in ("remorse", "dependants")]
            annotate(session, built, f"letter-{number}", "ann", "arguments", list(yes))
            annotate(session, built, f"letter-{number}", "ann", "outcome", [int(said["outcome"] == key) for key in OUTCOMES])  # fmt: skip
        if ranked:
            _rank(session, built, texts)
        for person, role in (
            ("vera", "reviewer"),
            ("wim", "reviewer"),
            ("xen", "reviewer"),
            ("rita", "reader"),
            ("ada", "admin"),
        ):
            add_key(session, built, person, role)
    return built


def _rank(session: Any, built: Built, texts: int) -> None:
    cell = {"text": "letter-0", "question": "arguments", "option": "remorse", "human": "no", "model": "yes"}
    add_ranking(session, built, [cell])
    for number in range(texts):
        said, true = given_of(number), truth_of(number)
        session.add(
            Suspicion(
                ranking_id=built.ranking_id,
                text_version_id=built.versions[f"letter-{number}"],
                suspicion=[0.9 if said[key] != true[key] else 0.02 + number / 10_000 for key in true],
            )
        )


Answer = Callable[[int, Values], Values]
"""What a person says of a text, given its number and the true values of what is asked."""


def truthfully(_number: int, asked: Values) -> Values:
    """Reads right."""
    return asked


def number_of_text(text: dict[str, Any]) -> int:
    """The number in a letter's name."""
    return int(text["external_id"].removeprefix("letter-"))


def read_all(client: TestClient, sample_id: str, answer: Answer = truthfully, most: int = 10_000) -> int:
    """Read text after text until nothing is left; how many."""
    for done in range(most):
        found = client.get(f"/audit-samples/{sample_id}/texts/next")
        assert found.status_code == 200, found.text
        text = found.json()["text"]
        if text is None:
            return done
        number = number_of_text(text)
        true = {cell["key"]: truth_of(number)[cell["key"]] for cell in text["cells"]}
        put = client.put(
            f"/audit-samples/{sample_id}/texts/{text['text_id']}/reading",
            json={"values": answer(number, true)},
        )
        assert put.status_code == 200, put.text
    return most


def draw(client: TestClient, **body: Any) -> dict[str, Any]:
    """Draw an audit sample that must succeed."""
    answer = client.post("/audit-samples", json={"corpus": "letters", **body})
    assert answer.status_code == 201, answer.text
    sample: dict[str, Any] = answer.json()
    return sample


def close(client: TestClient, sample_id: str, **body: Any) -> dict[str, Any]:
    """Close a sample that must close."""
    answer = client.post(f"/audit-samples/{sample_id}/close", json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result
