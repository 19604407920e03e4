"""Corpora, schemes and texts over HTTP."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

SCHEME = {
    "questions": [
        {
            "key": "arguments",
            "kind": "yes_no_set",
            "options": [{"key": "remorse", "definition": "Says sorry."}, {"key": "youth"}],
        },
        {"key": "speaker", "kind": "choose_one", "options": [{"key": "defendant"}, {"key": "family"}]},
    ],
    "dependencies": [{"option": "remorse", "needs_any": ["defendant"]}],
}


@pytest.fixture
def letters(admin: TestClient) -> TestClient:
    """A client with a corpus named letters that has a scheme."""
    assert admin.post("/corpora", json={"name": "letters", "scheme": SCHEME}).status_code == 201
    return admin


def test_corpus_by_id_and_by_name(letters: TestClient) -> None:
    """Both lead to the same corpus; names with spaces and accents work; a taken name is a conflict."""
    by_name = letters.get("/corpora/letters").json()
    assert letters.get(f"/corpora/{by_name['id']}").json() == by_name
    assert by_name["options"] == 4
    letters.post("/corpora", json={"name": "lettres d'été"})
    assert letters.get("/corpora/lettres d'été").status_code == 200
    taken = letters.post("/corpora", json={"name": "letters"})
    assert (taken.status_code, taken.json()["field"]) == (409, "/name")


def test_changing_a_corpus_needs_its_etag(letters: TestClient) -> None:
    """428 without, 412 with an old one, and the change with the present one."""
    etag = letters.get("/corpora/letters").headers["etag"]
    change = {"name": "letters", "sensitive": True, "fold_group": "defendant"}
    assert letters.put("/corpora/letters", json=change).status_code == 428
    assert letters.put("/corpora/letters", json=change, headers={"If-Match": '"99"'}).status_code == 412
    assert letters.put("/corpora/letters", json=change, headers={"If-Match": f"W/{etag}"}).status_code == 412
    changed = letters.put("/corpora/letters", json=change, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["sensitive"]) == (200, True)
    assert letters.put("/corpora/letters", json=change, headers={"If-Match": etag}).status_code == 412


def test_scheme_versions_only_ever_grow(letters: TestClient, engine: Engine) -> None:
    """Positions stay, new options are appended, left-out ones are retired; the same scheme makes no version; old versions stay readable."""
    body = {
        "questions": [
            {
                "key": "arguments",
                "kind": "yes_no_set",
                "options": [{"key": "health"}, {"key": "remorse", "definition": "Expresses regret."}],
            },
            {"key": "speaker", "kind": "choose_one", "options": [{"key": "defendant"}, {"key": "family"}]},
        ]
    }
    etag = letters.get("/corpora/letters/scheme").headers["etag"]
    new = letters.put("/corpora/letters/scheme", json=body, headers={"If-Match": etag})
    assert (new.status_code, new.json()["version"], new.headers["etag"]) == (200, 2, '"2"')
    options = {o["key"]: (o["position"], o["retired"]) for q in new.json()["questions"] for o in q["options"]}
    assert options == {
        "remorse": (0, False),
        "youth": (1, True),
        "defendant": (2, False),
        "family": (3, False),
        "health": (4, False),
    }
    same = letters.put("/corpora/letters/scheme", json=body, headers={"If-Match": '"2"'})
    assert same.json()["version"] == 2
    assert letters.get("/corpora/letters/scheme?version=1").json()["dependencies"] != []
    assert letters.get("/corpora/letters/scheme?version=7").status_code == 404
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT key, position, retired FROM options ORDER BY position")).all()
    assert [tuple(row) for row in rows] == [
        (key, *rest) for key, rest in sorted(options.items(), key=lambda item: item[1])
    ]


WRONG_SCHEMES = [
    ([{"key": "arguments", "kind": "choose_one", "options": [{"key": "remorse"}]}], "/questions/0/kind"),
    (
        [{"key": "new", "kind": "yes_no_set", "options": [{"key": "remorse"}]}],
        "/questions/0/options/0/key",
    ),
    (
        [{"key": "arguments", "kind": "yes_no_set", "options": [{"key": "a"}, {"key": "a"}]}],
        "/questions/0/options/1/key",
    ),
    (
        [{"key": "q", "kind": "yes_no_set", "options": [{"key": f"o{i}"} for i in range(201)]}],
        "/questions",
    ),
    ([{"key": "q", "kind": "yes_no_set", "options": []}], "/questions/0/options"),
]


def test_schemes_that_would_break_earlier_labels(letters: TestClient) -> None:
    """Refused with the place, and the scheme stays as it was."""
    for questions, field in WRONG_SCHEMES:
        answer = letters.put(
            "/corpora/letters/scheme", json={"questions": questions}, headers={"If-Match": '"1"'}
        )
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert letters.get("/corpora/letters/scheme").json()["version"] == 1


def test_texts_by_filter(letters: TestClient, engine: Engine) -> None:
    """Filters by metadata and group; values that look like SQL are only values."""
    _insert_texts(engine, 30)
    page = letters.get("/corpora/letters/texts", params={"metadata": ["year=2003"]}).json()
    assert [item["external_id"] for item in page["items"]] == ["t3"]
    assert page["items"][0]["beginning"] == "Letter 3"
    assert (
        len(letters.get("/corpora/letters/texts", params={"group": "case=c1", "limit": 100}).json()["items"])
        == 15
    )
    for attack in ("year=' OR 1=1 --", "year'||pg_sleep(5)||'=1", "a=b'); DROP TABLE texts; --"):
        answer = letters.get("/corpora/letters/texts", params={"metadata": attack})
        assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert letters.get("/corpora/letters/texts", params={"metadata": "year"}).status_code == 422
    assert letters.get("/corpora/letters/texts", params={"metadta": "year=1"}).status_code == 422


def test_texts_by_cursor(letters: TestClient, engine: Engine) -> None:
    """Every text once, in order; the cursor of one corpus is none of another."""
    _insert_texts(engine, 30)
    seen, cursor = [], None
    while True:
        page = letters.get(
            "/corpora/letters/texts", params={"limit": 7} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += [item["external_id"] for item in page["items"]]
        cursor = page["next_cursor"] or cursor
        if page["next_cursor"] is None:
            break
    assert seen == [f"t{number}" for number in range(30)]
    letters.post("/corpora", json={"name": "other"})
    foreign = letters.get("/corpora/other/texts", params={"cursor": cursor})
    assert (foreign.status_code, foreign.json()["type"]) == (422, "urn:remand:problem:foreign-cursor")


def test_one_text(letters: TestClient, engine: Engine) -> None:
    """Its content and versions; ids of other kinds or corpora are not found."""
    _insert_texts(engine, 1)
    listed = letters.get("/corpora/letters/texts").json()["items"][0]
    detail = letters.get(f"/corpora/letters/texts/{listed['id']}").json()
    assert (detail["content"], len(detail["versions"])) == ("Letter 0", 1)
    for wrong in ("txt_999999", "cor_1", "txt_", "txt_1e3", "txt_" + "9" * 30):
        assert letters.get(f"/corpora/letters/texts/{wrong}").status_code == 404
    letters.post("/corpora", json={"name": "other"})
    assert letters.get(f"/corpora/other/texts/{listed['id']}").status_code == 404


def _insert_texts(engine: Engine, number: int) -> None:
    """Texts t0 … with a year, in two cases."""
    with engine.begin() as connection:
        connection.execute(
            text(
                """WITH new AS (
                    INSERT INTO texts (corpus_id, external_id, groups, metadata)
                    SELECT c.id, 't' || i, jsonb_build_object('case', 'c' || i % 2), jsonb_build_object('year', 2000 + i)
                    FROM corpora c, generate_series(0, :number - 1) i WHERE c.name = 'letters' ORDER BY i RETURNING id, external_id),
                versions AS (
                    INSERT INTO text_versions (text_id, version, content, sha256)
                    SELECT id, 1, 'Letter ' || substr(external_id, 2), '\\x00' FROM new RETURNING id, text_id)
                SELECT 1"""
            ),
            {"number": number},
        )
        connection.execute(
            text("UPDATE texts t SET current_version_id = v.id FROM text_versions v WHERE v.text_id = t.id")
        )
