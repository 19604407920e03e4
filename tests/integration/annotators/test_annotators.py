"""GET /corpora/{id}/annotators on made letters: whoever errs three times as often is told apart, and nobody is judged who cannot be."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.cli.annotators import words
from app.db.session import writing
from tests.several_annotators import PEOPLE, Several, several_annotators

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def people(found: dict) -> dict[str, dict]:
    return {one["name"]: one for one in found["annotators"]}


def again(engine: Engine, rows: str, dated: str = "now()", **parameters: object) -> None:
    """More annotations: a SELECT of text, its version, question, annotator, team, codebook version and values; they came last."""
    with writing(engine) as session:
        session.execute(
            text(
                f"""INSERT INTO annotations (text_id, text_version_id, question_id, annotator_id, team, codebook_version, values, source, annotated_at)
                SELECT r.*, 'import:later', {dated} FROM ({rows}) r"""
            ),
            parameters,
        )


def right_share(several: Several, person: str) -> float:
    """By the truth that nobody knows: the share of right cells (two options and the question)."""
    cells = [
        value
        for (number, who), said in several.said.items() if who == person
        for value in (*(said[:2] == several.truth[number, :2]), (said[2:] == several.truth[number, 2:]).all())
    ]  # fmt: skip
    return sum(cells) / len(cells)


def test_who_errs_three_times_as_often_is_told_apart(admin: TestClient, engine: Engine) -> None:
    """Ben errs at 12 %, Ann at 4 %; intervals hold each one's share of right answers and do not touch."""
    several = several_annotators(engine, texts=600)
    found = admin.get(f"/corpora/{several.corpus_id}/annotators").json()
    assert "Dawid–Skene" in found["method"]
    named = people(found)
    assert named["ben"]["quality"]["high"] < named["ann"]["quality"]["low"]
    for name, (team, _) in PEOPLE.items():
        one, true = named[name], right_share(several, name)
        assert (one["team"], one["group"], one["reason"]) == (team, 0, None)
        assert one["quality"]["low"] < true < one["quality"]["high"]
        assert one["texts"] == sum(who == name for _, who in several.said)
        assert one["votes"] == 5 * one["texts"]
        assert one["quality"]["counted"] == 3 * one["texts"]
        assert [cell["option"] for cell in one["options"]] == ["remorse", "dependants", None]
        assert sum(span["texts"] for span in one["periods"]) == one["texts"]
        assert [span["period"] for span in one["periods"]] == ["2019 Q1", "2019 Q2", "2019 Q3", "2019 Q4"]
    north, south = found["teams"]
    assert (north["name"], north["annotators"]) == ("north", ["ann", "ben"])
    assert north["quality"]["share"] > south["quality"]["share"]
    lines = words(found, detail=True)
    assert any(line.startswith("ann (north)") and "% right (" in line for line in lines)
    assert any("2019 Q3" in line for line in lines)


def test_a_lone_reader_is_not_judged(admin: TestClient, engine: Engine) -> None:
    """Dov's texts were read by nobody else: there is no number of his and none of a team of his own."""
    several = several_annotators(engine, texts=200)
    again(engine, """SELECT text_id, text_version_id, question_id, annotator_id, CASE annotator_id WHEN :dov THEN 'islands' ELSE team END, 'v2', values
        FROM annotations a WHERE annotator_id = :dov OR NOT EXISTS
            (SELECT 1 FROM annotations d WHERE d.text_id = a.text_id AND d.annotator_id = :dov)""",
          dov=several.built.annotators["dov"])  # fmt: skip
    found = admin.get(f"/corpora/{several.corpus_id}/annotators").json()
    dov = people(found)["dov"]
    assert (dov["group"], dov["quality"], dov["options"], dov["periods"]) == (None, None, [], [])
    assert "not comparable" in dov["reason"]
    islands = next(team for team in found["teams"] if team["name"] == "islands")
    assert (islands["quality"], islands["annotators"]) == (None, ["dov"])
    assert "not comparable" in islands["reason"]


def test_of_two_people_alone_nobody_says_who_is_right(admin: TestClient, engine: Engine) -> None:
    apart = several_annotators(engine, texts=240, readers=2, apart=True)
    found = admin.get(f"/corpora/{apart.corpus_id}/annotators").json()
    for one in (*found["annotators"], *found["teams"]):
        assert one["quality"] is None
        assert one["reason"].startswith("two people alone")
        assert one["group"] in (0, 1)
    assert any("two people alone" in line for line in words(found, detail=True))
    assert "two people alone" in admin.get(f"/corpora/{apart.corpus_id}/annotators", headers=HTML).text


def test_groups_that_never_met_are_judged_by_themselves(
    admin: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "app.annotators.quality.FEWEST_PEOPLE", 2
    )  # as if two were enough: there are four people
    apart = several_annotators(engine, texts=240, readers=2, apart=True)
    found = admin.get(f"/corpora/{apart.corpus_id}/annotators").json()
    assert found["groups"] == [["ann", "ben"], ["cem", "dov"]]
    assert "not comparable" in found["not_comparable"][0]
    assert [(team["name"], team["group"]) for team in found["teams"]] == [("north", 0), ("south", 1)]
    together = {name: one["quality"] for name, one in people(found).items()}
    again(engine, """SELECT text_id, text_version_id, question_id, annotator_id, team, codebook_version, array_fill(1::smallint, ARRAY[2])
        FROM annotations WHERE team = 'south' AND cardinality(values) = 2""")  # fmt: skip
    changed = people(admin.get(f"/corpora/{apart.corpus_id}/annotators").json())
    assert changed["cem"]["quality"] != together["cem"]
    north = {name: changed[name]["quality"] for name in ("ann", "ben")}
    for name, quality in north.items():
        assert quality["counted"] == together[name]["counted"]
        assert quality["share"] == pytest.approx(together[name]["share"], abs=0.001)


def test_another_codebook_never_votes_and_reviews_stay_out(admin: TestClient, engine: Engine) -> None:
    """South re-reads by v2, where every letter has remorse: v1's numbers do not move, v2's are of South alone."""
    several = several_annotators(engine)
    path = f"/corpora/{several.corpus_id}/annotators"
    before = admin.get(path).json()
    again(engine, """SELECT text_id, text_version_id, question_id, annotator_id, team, 'v2', array_fill(1::smallint, ARRAY[2])
        FROM annotations WHERE cardinality(values) = 2 AND team = 'south'""")  # fmt: skip
    with writing(engine) as session:
        session.execute(
            text(
                """INSERT INTO reviews (corpus_id, text_id, text_version_id, question_id, option_id, value, reviewer, scheme_version, definition_digest)
                SELECT :corpus, v.text_id, v.id, q.id, o.id, 'no', 'vera', 1, 'x' FROM text_versions v, questions q
                JOIN options o ON o.question_id = q.id WHERE q.corpus_id = :corpus AND o.key = 'remorse'"""
            ),
            {"corpus": several.corpus_id},
        )
    older = admin.get(path, params={"codebook_version": "v1"}).json()
    assert older["annotators"] == before["annotators"]
    assert older["teams"] == before["teams"]
    newest = admin.get(path).json()
    assert (newest["codebook_version"], newest["periods_by"]) == ("v2", "quarter")
    assert sorted(people(newest)) == ["cem", "dov"]
    assert newest["teams"][0]["annotators"] == ["cem", "dov"]
    unknown = admin.get(path, params={"codebook_version": "v9"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "codebook_version")


def test_undated_values_are_told_by_import(admin: TestClient, several: Several, engine: Engine) -> None:
    columns = "text_id, text_version_id, question_id, annotator_id, team"
    again(
        engine, f"SELECT {columns}, 'v2', values FROM annotations WHERE codebook_version = 'v1'", dated="NULL"
    )
    found = admin.get(f"/corpora/{several.corpus_id}/annotators").json()
    assert (found["codebook_version"], found["periods_by"]) == ("v2", "import")
    assert {span["period"] for one in found["annotators"] for span in one["periods"]} == {"import 1"}


def test_filters_and_the_page(admin: TestClient, several: Several) -> None:
    path = f"/corpora/{several.corpus_id}/annotators"
    early = admin.get(path, params={"until": "2019-02-01T00:00:00Z"}).json()
    assert all(one["quality"] is None for one in early["annotators"])
    assert sorted(people(admin.get(path, params={"team": "north"}).json())) == ["ann", "ben"]
    empty = admin.get(path, params={"group": "case=nowhere"}).json()
    assert (empty["annotators"], empty["teams"], empty["groups"]) == ([], [], [])
    page = admin.get(path, headers=HTML)
    assert "Agreement with what people say together, not with the truth" in page.text
    assert page.text.count("<details") == 4
    assert "No annotation passes these filters." in admin.get(path, params={"group": "case=no"}, headers=HTML).text  # fmt: skip
