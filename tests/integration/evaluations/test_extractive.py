"""Extractive summaries held against people's, without any model that writes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from app.blobs import BlobStore
from app.db.session import reading, writing
from app.db.tables import Adapter, Blob, Corpus, Evaluation
from app.http.security import create_api_key, forget_credentials
from app.ids import new_id
from app.settings import get_settings
from models.generative.rouge import rouge_scores
from tests.api import bearer
from tests.generated_evaluations import of_summaries
from tests.integration.evaluations.conftest import World, paragraphs
from tests.integration.review_corpus import add_text, build_corpus
from tests.small_corpus import TWO_ARGUMENTS

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SVG = "{http://www.w3.org/2000/svg}"


def test_from_pairs_to_report_page_drawing_and_items(world: World) -> None:
    rows = paragraphs(24)
    asked = {
        "document_set": world.pairs(rows),
        "items": 20,
        "encoder": str(world.models / "encoder"),
        "words": 12,
    }
    job_id, report = world.evaluated(summarize=asked, seed=5)
    assert [arm["name"] for arm in report["arms"]] == ["lead", "textrank", "lexrank", "mmr"]
    assert (report["scope"]["rows"], report["held_out"]["of"], report["held_out"]["seen"]) == (20, 24, 0)
    assert {(pair["first"], pair["second"]) for pair in report["differences"]} == {
        (arm, "lead") for arm in ("textrank", "lexrank", "mmr")
    }
    assert report["settings"]["bertscore"] | {"sha256": ""} == {
        "encoder": "encoder", "sha256": "", "dtype": "float32", "layer": 2, "layers": 2, "idf": False,
        "rescaling": False, "score": "F1", "texts_cut": 0,
    }  # fmt: skip
    _the_items_are_what_the_means_are_of(world, job_id, report, {row["id"]: row for row in rows})
    _the_drawing(world, job_id)
    page = world.client.get(f"/evaluations/{job_id}/report", headers=HTML)
    assert page.status_code == 200
    for words in (
        "Extractive summaries on 20 items",
        "ROUGE-Lsum",
        "… minus Lead",
        "<svg",
        "no idf, no rescaling",
    ):
        assert words in page.text
    assert "style=" not in page.text
    assert str(world.models) not in page.text + json.dumps(report)  # paths of this machine stay here
    job = world.client.get(f"/evaluations/{job_id}").json()
    assert job["result"]["means"]["lead"]["rouge1"] == report["arms"][0]["measures"]["rouge1"]["mean"]
    again = world.evaluated(summarize=asked, seed=5)[1]
    its_own = dict.fromkeys(("job_id", "created_at", "seconds"))
    assert again | its_own == report | its_own
    other = world.evaluated(summarize=asked, seed=6)[1]
    assert other["arms"] != report["arms"]


def _the_items_are_what_the_means_are_of(world: World, job_id: str, report: dict, rows: dict) -> None:
    lines = world.client.get(f"/evaluations/{job_id}/items?format=jsonl").text.splitlines()
    items = [json.loads(line) for line in lines]
    assert len(items) == 4 * 20
    for arm in report["arms"]:
        own = [item for item in items if item["arm"] == arm["name"]]
        assert len({item["key"] for item in own}) == 20
        for key, found in arm["measures"].items():
            values = [item[key] for item in own if item[key] is not None]
            assert found["items"] == len(values)
            assert (
                found["mean"] is None
                if not values
                else found["mean"] == pytest.approx(np.mean(values), abs=1e-6)
            )
        expected = rouge_scores(
            [rows[item["key"]]["summary"] for item in own], [item["written"] for item in own]
        )
        np.testing.assert_allclose([item["rougeLsum"] for item in own], expected[:, 3])
        assert all(item["group"] == rows[item["key"]]["group"] for item in own)
        assert arm["words"] == pytest.approx(np.mean([item["words"] for item in own]), abs=0.06)
    leads = [item for item in items if item["arm"] == "lead"]
    assert all(rows[item["key"]]["text"].startswith(item["written"]) for item in leads)
    assert all(item["supported"] == 1 for item in items)  # verbatim sentences of the source
    table = list(csv.DictReader(io.StringIO(world.client.get(f"/evaluations/{job_id}/items").text)))
    assert [row["key"] for row in table] == [item["key"] for item in items]
    assert float(table[0]["rouge1"]) == pytest.approx(items[0]["rouge1"])


def _the_drawing(world: World, job_id: str) -> None:
    answer = world.client.get(f"/evaluations/{job_id}/box-plots.svg")
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    root = ElementTree.fromstring(answer.content)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title") is not None
    described = root.find(f"{SVG}desc")
    assert described is not None
    assert "Lead: median" in str(described.text)
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert names <= {"svg", "title", "desc", "g", "rect", "line", "path", "circle", "text"}
    assert not any(
        name == "style" or name.startswith("on") for element in root.iter() for name in element.attrib
    )


def test_the_corpus_texts_with_summaries_in_their_metadata(world: World) -> None:
    """`split` and the summary's field name choose them; a text without one is left out."""
    rows = [
        {"text": f"The court heard claim {number}. It was dismissed.", "abstract": "" if number == 3 else f"Claim {number} failed.",
         "part": "val" if number < 6 else "train"}
        for number in range(9)
    ]  # fmt: skip
    with writing(world.engine) as session:
        built = build_corpus(session, "letters", TWO_ARGUMENTS)
        for number, row in enumerate(rows):
            add_text(
                session,
                built,
                f"t{number}",
                row["text"],
                groups={"case": f"c{number}"},
                metadata_={"abstract": row["abstract"]},
            )
    asked = {
        "summary_field": "abstract",
        "items": "all",
        "encoder": str(world.models / "encoder"),
        "words": 4,
    }
    _, report = world.evaluated(corpus="letters", summarize=asked)
    assert (report["scope"]["rows"], report["scope"]["asked"]) == (8, "all")
    assert report["arms"][0]["measures"]["numbers"]["mean"] == 1.0


def test_when_the_set_is_deleted_the_numbers_stay_and_the_words_go(world: World) -> None:
    made = world.pairs(paragraphs(6))
    asked = {"document_set": made, "items": "all", "encoder": str(world.models / "encoder")}
    job_id, report = world.evaluated(summarize=asked)
    assert report["samples"]
    with reading(world.engine) as session:
        blob = session.get_one(Evaluation, job_id).items_blob
    assert world.client.delete(f"/document-sets/{made}").status_code == 204
    after = world.client.get(f"/evaluations/{job_id}/report").json()
    assert "samples" not in after
    assert after["arms"] == report["arms"]
    gone = world.client.get(f"/evaluations/{job_id}/items")
    assert (gone.status_code, gone.json()["type"]) == (409, "urn:remand:problem:items-gone")
    assert world.client.get(f"/evaluations/{job_id}/report", headers=HTML).status_code == 200
    assert blob is not None
    assert not BlobStore(get_settings().blob_root).exists(blob)


def test_a_key_of_another_corpus_finds_nothing_of_it(world: World) -> None:
    """Report, drawing and items alike: as if there were no such evaluation; and nothing without a key."""
    job_id = of_summaries(world.engine, world.client.get("/corpora/judgments").json()["id"], None)
    with writing(world.engine) as session:
        other = Corpus(id=new_id("cor"), name="other")
        session.add(other)
        session.flush()
        _, own = create_api_key(session, "rita", "reader")
        _, foreign = create_api_key(session, "ben", "admin", other.id)
    forget_credentials()
    for part in ("report", "box-plots.svg", "items"):
        path = f"/evaluations/{job_id}/{part}"
        assert world.client.get(path, headers=bearer(foreign)).status_code == 404
        assert world.client.get(path, headers={"Authorization": ""}).status_code == 401
        assert world.client.get(path, headers=bearer(own)).status_code == (409 if part == "items" else 200)


@pytest.mark.parametrize(
    ("fields", "status", "field", "slug"),
    [
        ({"summarize": {}}, 422, "/summarize", "no-documents"),
        ({"summarize": {"document_set": "doc_x"}}, 422, "/summarize/document_set", "unknown-document-set"),
        ({"summarize": {"items": 0}}, 422, "/summarize/items", "invalid"),
        ({"summarize": {"items": "some"}}, 422, "/summarize/items", "invalid"),
        ({"summarize": {}, "causal": {}}, 422, "/causal", "two-tasks"),
        ({"summarize": {}, "limit": 3}, 422, "/limit", "other-task"),
        ({"summarize": {}, "sample": "smp_x"}, 422, "/sample", "other-task"),
        ({"summarize": {"document_set": "doc_x"}, "split": "val"}, 422, "/split", "no-splits"),
        ({"summarize": {"encoder": "word2vec"}}, 422, "/summarize/encoder", "base-model-unavailable"),
        ({"summarize": {}, "base": "LLAMA"}, 422, "/base", "base-model-unsuitable"),
        ({"causal": {}, "base": "T5"}, 422, "/base", "base-model-unsuitable"),
        ({"causal": {}}, 422, "/adapter", "nothing-named"),
        ({"adapter": "adp_x"}, 404, "/adapter", "not-found"),
        ({"adapter": "CLASSIFY", "summarize": {}}, 409, "/adapter", "wrong-task"),
    ],
)  # fmt: skip
def test_wrong_requests_are_problems_that_name_the_field(
    world: World, fields: dict[str, Any], status: int, field: str, slug: str
) -> None:
    named = {"LLAMA": str(world.models / "llama"), "T5": str(world.models / "t5")}
    if fields.get("adapter") == "CLASSIFY":
        fields = fields | {"adapter": _made_to_classify()}
    if "base" in fields:
        fields = fields | {"base": named[fields["base"]]}
    answer = world.client.post("/evaluations", json={"corpus": "judgments"} | fields)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert answer.json()["type"] == f"urn:remand:problem:{slug}"
    assert world.client.get("/evaluations").json()["items"] == []


def _made_to_classify() -> str:
    with writing() as session:
        session.add(Blob(digest="b", size=1, media_type="x", purpose="test"))
        session.flush()
        made = Adapter(
            id="adp_c",
            task="classify",
            name="c",
            base_model="minilm",
            option_keys=["a"],
            digest="d",
            blob_digest="b",
            manifest={},
        )
        session.add(made)
        return made.id


def test_a_text_that_no_summary_can_be_made_of_is_still_an_item(world: World) -> None:
    """One word, one sentence, no sentence, another script, control characters: each has its line, none breaks the job."""
    texts = ["Word", "One sentence only.", "\u2026 \u2026 \u2026", "בית המשפט דחה את התביעה. העותר שילם.", "法院驳回了上诉。原告支付了费用。",
             "a\x01b\x02 c\u200bd.", "x" * 3000, "رفضت المحكمة الدعوى. دفع المدعي."]  # fmt: skip
    rows = [{"id": str(place), "text": text, "summary": text[:20]} for place, text in enumerate(texts)]
    asked = {"document_set": world.pairs(rows), "items": "all", "encoder": str(world.models / "encoder")}
    job_id, report = world.evaluated(summarize=asked)
    items = [
        json.loads(line)
        for line in world.client.get(f"/evaluations/{job_id}/items?format=jsonl").text.splitlines()
    ]
    assert len(items) == 4 * len(texts)
    assert all(item["written"] for item in items)
    assert report["arms"][0]["measures"]["rouge1"]["mean"] > 0.5


def test_one_text_is_enough_and_none_is_a_problem_in_its_own_words(world: World) -> None:
    """One item has numbers and no interval; rows without a reference are no pairs, whichever way it is empty."""
    encoder = str(world.models / "encoder")
    one = {"document_set": world.pairs(paragraphs(1)), "items": 50, "encoder": encoder}
    job_id, report = world.evaluated(summarize=one)
    assert (report["scope"]["rows"], report["scope"]["groups"], report["settings"]["draws"]) == (1, 1, 0)
    told = report["arms"][0]["measures"]["rouge1"]
    assert (told["interval"], told["items"]) == (None, 1)
    assert report["verdict"]["sentence"].startswith("On 1 text, ")
    page = world.client.get(f"/evaluations/{job_id}/report", headers=HTML).text
    assert "all are of one group, so there are none" in page
    rows = [{"id": "a", "text": "The court held."}, {"id": "b", "summary": "It held."}]
    for number, (given, slug, words) in enumerate(
        (
            (rows, "no-documents", "no pair of text and summary that can be evaluated"),
            (rows[:1], "unknown-field", "Rows have no field 'summary', or nothing in it; the first has id, text."),
            ([{**rows[0], "summary": " "}], "unknown-field", "or nothing in it"),
        )
    ):  # fmt: skip
        asked = {"document_set": world.pairs([{**row, "id": f"{number}{row['id']}"} for row in given])}
        answer = world.client.post("/evaluations", json={"corpus": "judgments", "summarize": asked})
        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:remand:problem:{slug}")
        assert words in answer.json()["detail"]
