"""One disagreement: reading it blind and not, deciding, undoing, claims, and what is recorded of it all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import Engine, text, update

from app.db.session import reading, writing
from app.db.tables import Claim
from app.review.queries import settled_cells
from models.scheme import Scheme
from tests.integration import review_corpus as corpus


@pytest.fixture
def remorse(built: corpus.Built) -> str:
    """letter-1, remorse: two say no, one yes."""
    return f"/label-disagreements/dis_{built.disagreements[0]}"


@pytest.fixture
def outcome(built: corpus.Built) -> str:
    """letter-3, outcome: a choose_one cell."""
    return f"/label-disagreements/dis_{built.disagreements[1]}"


def decide(client: TestClient, cell: str, value: str, etag: str | None = None, **body: Any) -> Response:
    """Decide with the present ETag (read blind, so that reading does not count as seeing), or with a given one."""
    tag = etag or client.get(cell, params={"blind": "true"}).headers["ETag"]
    return client.put(f"{cell}/review", json={"value": value, **body}, headers={"If-Match": tag})


def test_everything_about_a_cell(vera: TestClient, remorse: str) -> None:
    found = vera.get(remorse, params={"neighbours": 2}).json()
    assert found["content"].startswith("Your Honour")
    assert (found["human_value"], found["model_value"], found["option"]) == ("no", "yes", "remorse")
    assert found["values"] == ["yes", "no", "uncertain", "not_applicable"]
    opinions = [(o["annotator"], o["value"], o["team"]) for o in found["annotations"]]
    assert opinions == [("ann", "no", "2019"), ("ben", "no", "2019"), ("cem", "yes", "2019")]
    values = {o["key"]: (o["value"], o["probability"]) for o in found["options"]}
    assert values["dependants"] == ("yes", pytest.approx(0.2))
    assert values["open"] == ("yes", pytest.approx(0.5))
    assert found["options"][0]["definition"] == "The writer regrets the act."
    assert found["history"] == []


def test_neighbours_are_of_the_same_group(vera: TestClient, remorse: str, outcome: str) -> None:
    assert vera.get(remorse, params={"neighbours": 2}).json()["neighbours"] == []
    found = vera.get(outcome, params={"neighbours": 2}).json()["neighbours"]
    assert [(n["external_id"], n["place"]) for n in found] == [("letter-2", -1)]


def test_blind_until_the_vote_and_never_blind_again(vera: TestClient, wim: TestClient, remorse: str) -> None:
    hidden = vera.get(remorse, params={"blind": "true"}).json()
    assert hidden["blind"]
    assert all(
        hidden[n] is None
        for n in ("human_value", "model_value", "probability", "suspicion", "annotations", "history")
    )
    assert all(o["probability"] is None and o["value"] is None for o in hidden["options"])
    assert hidden["content"]
    first = decide(vera, remorse, "yes")
    assert first.status_code == 200
    assert first.json()["model_value"] == "yes"
    assert first.json()["history"][0]["shown"]["blind"] is True
    assert "probability" not in first.json()["history"][0]["shown"]
    assert not vera.get(remorse, params={"blind": "true"}).json()["blind"]
    assert wim.get(remorse, params={"blind": "true"}).json()["review"]["value"] is None, (
        "another's vote is hidden too"
    )
    second = decide(vera, remorse, "no").json()["history"][1]["shown"]
    assert (second["blind"], second["annotators"]) == (False, ["ann", "ben", "cem"])
    assert second["probability"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    "look",
    [
        "{cell}",
        "/label-disagreements?corpus=letters&state=all",
        "/label-disagreements/export?corpus=letters&state=all",
        "/label-disagreements/export?corpus=letters&format=jsonl",
        "/corpora/letters/export",
    ],
)
def test_what_was_shown_is_what_the_server_showed(vera: TestClient, remorse: str, look: str) -> None:
    assert vera.get(look.format(cell=remorse)).status_code == 200
    assert decide(vera, remorse, "yes").json()["history"][0]["shown"]["blind"] is False


def test_a_look_counts_in_the_next_ranking_too(
    vera: TestClient, built: corpus.Built, engine: Engine, remorse: str
) -> None:
    vera.get(remorse)
    with writing(engine) as session:
        again = {
            "text": "letter-1",
            "question": "arguments",
            "option": "remorse",
            "human": "no",
            "model": "yes",
        }
        corpus.add_ranking(session, built, [again])
    cell = f"/label-disagreements/dis_{built.disagreements[0]}"
    assert cell != remorse
    assert decide(vera, cell, "yes").json()["history"][0]["shown"]["blind"] is False


def test_who_saw_one_cell_saw_the_other_options_of_its_text(
    vera: TestClient, wim: TestClient, built: corpus.Built, remorse: str
) -> None:
    """After the vote the answer shows every option of the letter: the next vote on it is not blind, one on another letter is."""
    dependants, elsewhere = (f"/label-disagreements/dis_{built.disagreements[place]}" for place in (2, 3))
    assert decide(vera, remorse, "yes").json()["options"][1]["value"] == "yes"
    assert decide(vera, dependants, "yes").json()["history"][0]["shown"]["blind"] is False
    assert decide(vera, elsewhere, "no").json()["history"][0]["shown"]["blind"] is True
    assert decide(wim, dependants, "no").json()["history"][-1]["shown"]["blind"] is True


def test_a_client_cannot_say_what_it_was_shown(vera: TestClient, remorse: str) -> None:
    answer = decide(vera, remorse, "yes", shown={"blind": True})
    assert (answer.status_code, answer.json()["field"]) == (422, "/shown")


def test_a_value_must_fit_its_cell(vera: TestClient, remorse: str, outcome: str) -> None:
    wrong = [(remorse, "granted"), (remorse, "Yes"), (outcome, "yes"), (outcome, "remorse"), (outcome, "")]
    for cell, value in wrong:
        answer = decide(vera, cell, value)
        assert (answer.status_code, answer.json()["field"]) == (422, "/value"), value
        assert "uncertain" in answer.json()["allowed"]


def test_if_match_is_needed_and_must_be_fresh(vera: TestClient, wim: TestClient, remorse: str) -> None:
    assert vera.put(f"{remorse}/review", json={"value": "yes"}).status_code == 428
    etag = wim.get(remorse).headers["ETag"]
    assert decide(vera, remorse, "yes").status_code == 200
    stale = decide(wim, remorse, "no", etag)
    assert stale.status_code == 412
    assert stale.json()["current_etag"] == wim.get(remorse).headers["ETag"]
    assert wim.delete(f"{remorse}/review", headers={"If-Match": etag}).status_code == 412


def test_a_new_content_makes_the_etag_stale(
    vera: TestClient, built: corpus.Built, engine: Engine, remorse: str
) -> None:
    etag = vera.get(remorse).headers["ETag"]
    with writing(engine) as session:
        corpus.add_version(session, built, "letter-1", "Something else entirely.")
    assert decide(vera, remorse, "yes", etag).status_code == 412
    assert vera.get(remorse).json()["text_changed"] is True


def test_of_many_at_once_one_wins(
    person: Callable[[str], TestClient], engine: Engine, built: corpus.Built, remorse: str
) -> None:
    etag = person("vera").get(remorse).headers["ETag"]

    def vote(number: int) -> int:
        return decide(person("vera" if number % 2 else "wim"), remorse, "yes", etag).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(vote, range(6)))
    assert statuses == [200, 412, 412, 412, 412, 412]
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM reviews")) == 1


def test_undo_appends_and_brings_back_what_stood_before(
    vera: TestClient, remorse: str, engine: Engine
) -> None:
    decide(vera, remorse, "yes")
    etag = decide(vera, remorse, "uncertain", note="Hard to say.").headers["ETag"]
    undone = vera.delete(f"{remorse}/review", headers={"If-Match": etag}).json()
    assert undone["review"]["value"] == "yes"
    assert [row["value"] for row in undone["history"]] == ["yes", "uncertain", None]
    assert undone["history"][2]["undoes"] == undone["history"][1]["id"]
    again = vera.delete(f"{remorse}/review", headers={"If-Match": undone["etag"]}).json()
    assert (again["review"], again["state"]) == (None, "open")
    nothing = vera.delete(f"{remorse}/review", headers={"If-Match": again["etag"]})
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:remand:problem:nothing-to-undo")
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM reviews")) == 4


def test_only_one_s_own_decision_is_undone_unless_admin(
    person: Callable[[str], TestClient], remorse: str
) -> None:
    etag = decide(person("vera"), remorse, "yes").headers["ETag"]
    refused = person("wim").delete(f"{remorse}/review", headers={"If-Match": etag})
    assert refused.status_code == 403
    assert "vera" in refused.json()["detail"]
    assert person("ada").delete(f"{remorse}/review", headers={"If-Match": etag}).status_code == 200


def test_readers_read_and_do_not_decide(person: Callable[[str], TestClient], remorse: str) -> None:
    rita = person("rita")
    assert rita.get(remorse).status_code == 200
    assert decide(rita, remorse, "yes").status_code == 403
    assert rita.post(f"{remorse}/claim").status_code == 403


def test_a_live_claim_keeps_others_off_unless_they_insist(
    vera: TestClient, wim: TestClient, remorse: str
) -> None:
    taken = vera.post(f"{remorse}/claim")
    assert taken.json()["reviewer"] == "vera"
    for refused in (wim.post(f"{remorse}/claim"), decide(wim, remorse, "yes")):
        assert refused.status_code == 409
        assert refused.json()["claimed_by"] == "vera"
        until = datetime.fromisoformat(refused.json()["claimed_until"])
        assert until == datetime.fromisoformat(taken.json()["expires_at"])
    assert wim.post(f"{remorse}/claim", params={"force": "true"}).json()["reviewer"] == "wim"
    assert decide(wim, remorse, "yes").status_code == 200
    assert wim.get(remorse).json()["claim"] is None, "deciding ends the claim"


def test_a_claim_runs_out_and_can_be_given_back(
    vera: TestClient, wim: TestClient, remorse: str, outcome: str, engine: Engine
) -> None:
    vera.post(f"{remorse}/claim")
    vera.post(f"{outcome}/claim")
    with writing(engine) as session:
        session.execute(update(Claim).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert wim.post(f"{remorse}/claim").json()["reviewer"] == "wim"
    assert vera.get(outcome).json()["claim"] is None
    assert vera.delete(f"{remorse}/claim").status_code == 204
    assert vera.get(remorse).json()["claim"]["reviewer"] == "wim", "another's claim is not given back"
    assert wim.delete(f"{remorse}/claim").status_code == 204
    assert vera.get(remorse).json()["claim"] is None


def test_a_choose_one_cell_is_claimed_once(
    wim: TestClient, vera: TestClient, outcome: str, engine: Engine
) -> None:
    assert wim.post(f"{outcome}/claim").status_code == 200
    assert wim.post(f"{outcome}/claim").status_code == 200
    assert vera.post(f"{outcome}/claim").status_code == 409
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM claims")) == 1


def test_settled_cells_stay_settled_in_a_later_ranking_until_the_definition_changes(
    vera: TestClient, built: corpus.Built, engine: Engine, outcome: str
) -> None:
    assert decide(vera, outcome, "granted").status_code == 200
    with writing(engine) as session:
        same = {"text": "letter-3", "question": "outcome", "human": "granted", "model": "denied"}
        corpus.add_ranking(session, built, [same])
    later = f"/label-disagreements/dis_{built.disagreements[0]}"
    assert vera.get(later).json()["state"] == "settled"
    arguments, question = corpus.SCHEME.questions
    changed = replace(question, definition="What the court did, on appeal.")
    with writing(engine) as session:
        corpus.add_scheme(session, built.corpus_id, Scheme((arguments, changed)), 2)
    reopened = vera.get(later).json()
    assert (reopened["state"], reopened["review"]["value"]) == ("open", "granted")
    with reading(engine) as session:
        assert settled_cells(session, built.corpus_id) == []


def test_no_such_disagreement(vera: TestClient) -> None:
    for name in ("dis_999999", "dis_x", "txt_1", "dis_99999999999999999999", "dis_-1"):
        path = f"/label-disagreements/{name}"
        missing = vera.get(path)
        assert (missing.status_code, missing.json()["field"]) == (404, "disagreement_id"), name
        answer = vera.put(f"{path}/review", json={"value": "yes"}, headers={"If-Match": '"x"'})
        assert answer.status_code == 404, name


def test_notes_keep_their_characters(vera: TestClient, remorse: str) -> None:
    note = "“quoted” – =SUM(A1) ; \u202e rtl\nsecond line 🙂"
    assert decide(vera, remorse, "yes", note=note).json()["review"]["note"] == note
    assert decide(vera, remorse, "yes", note="nul \x00").status_code == 422
