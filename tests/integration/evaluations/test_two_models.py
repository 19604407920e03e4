"""Two adapters on the same items, one adapter by several strategies, and both from the command line; written by a real inference worker."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.command_line import command_line
from tests.document_sets import read, upload
from tests.integration.evaluations.conftest import World, paragraphs
from tests.tiny_decoder import judgments
from tests.tiny_writer import make_writer_adapter
from tests.writing_worker import Worker
from workers.evaluate.job import run as evaluate_run

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LONG = ". ".join(judgments(40, seed=3, words=(8, 14))).replace("..", ".") + "."
MEASURES = ("rouge1", "rougeLsum", "bertscore", "supported")


@pytest.fixture
def world(writing_world: World) -> World:
    """The api before a worker with models that write."""
    return writing_world


def made(
    world: World, worker: Worker, place: Path, family: str, seed: int, learned: list[str], **reading: Any
) -> str:
    """The id of an adapter named by its folder, which says that it has learned from these texts."""
    make_writer_adapter(place, worker.models / family, family, seed, learned, **reading)
    return world.taken_in(place, place.name)


def test_two_summarizers_on_what_neither_has_seen(world: World, worker: Worker, tmp_path: Path) -> None:
    """Each reads inputs as its own training made them; differences are paired by text; what one has seen is left out for both."""
    rows = paragraphs(14)
    texts = [row["text"] for row in rows]
    brief = made(world, worker, tmp_path / "brief", "t5", 1, texts[:4])
    terse = made(
        world, worker, tmp_path / "terse", "t5", 7, texts[2:6], max_input_tokens=30, max_target_tokens=6
    )
    asked = {"document_set": world.pairs(rows), "items": "all", "encoder": str(world.models / "encoder")}
    job_id, report = world.evaluated(adapter=brief, compare_with=terse, summarize=asked)
    items = world.written_by(job_id)
    assert set(items["tuned"]) == set(items["compared"]) == {f"p-{number}" for number in range(6, 14)}
    held = report["held_out"]
    assert (held["seen"], held["seen_by"], held["known"]) == (6, {"tuned": 4, "compared": 4}, True)
    assert [(arm["name"], arm["title"]) for arm in report["arms"]][:3] == [
        ("tuned", "brief"), ("compared", "terse"), ("base", "base model"),
    ]  # fmt: skip
    assert [arm["writing"]["max_input_tokens"] for arm in report["arms"][:2]] == [64, 30]
    _read_by_each(worker, items["compared"], rows, world, terse)
    (pair,) = (one for one in report["differences"] if (one["first"], one["second"]) == ("tuned", "compared"))
    for measure in MEASURES:
        gained = [items["tuned"][key][measure] - items["compared"][key][measure] for key in items["tuned"]]
        found = pair["measures"][measure]
        assert found["difference"] == pytest.approx(np.mean(gained), abs=1e-6)
        assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert "8 texts that neither has seen" in report["verdict"]["sentence"]
    assert "Against terse: " in report["verdict"]["sentence"]
    page = world.client.get(f"/evaluations/{job_id}/report", headers=HTML).text
    for words in ("brief minus …", f'<a href="/reports/{terse}">terse</a>', "one or the other adapter had seen them"):  # fmt: skip
        assert words in page
    assert report["compare_with"]["id"] == terse


def _read_by_each(
    worker: Worker, items: dict[str, Any], rows: list[dict[str, str]], world: World, adapter: str
) -> None:
    """The second adapter's inputs are cut at its own 30 tokens, and it may write its own 6."""
    from app.db.session import reading
    from app.db.tables import Adapter

    with reading(world.engine) as session:
        digest = session.get_one(Adapter, adapter).blob_digest
    by_id = {row["id"]: row["text"] for row in rows}
    for key, item in items.items():
        prompt = "summarize: " + by_id[key]
        ends = [found.end() for found in re.finditer(r"\w+|[^\w\s]", prompt)]  # the tiny model's tokens
        body = {"adapter": digest, "prompts": [prompt[: ends[:29][-1]]], "max_tokens": 6}
        assert item["written"] == worker.post("/generate", **body).json()["results"][0]["text"]


def test_two_causal_adapters_are_asked_the_same(world: World, worker: Worker, tmp_path: Path) -> None:
    """Both, and the base model, read in the shorter windows of the two; the ratio is of all tokens together."""
    texts = judgments(10, seed=9, words=(40, 60))
    documents = upload(world.client, {f"{number}.txt": text.encode() for number, text in enumerate(texts)})
    read(world.client, documents)
    first = made(world, worker, tmp_path / "first", "llama", 1, [])
    second = made(world, worker, tmp_path / "second", "llama", 5, [texts[0]], block_tokens=16)
    asked = {"document_set": documents["id"], "items": "all", "samples": 1, "max_tokens": 5}
    job_id, report = world.evaluated(adapter=first, compare_with=second, causal=asked)
    assert report["settings"]["window"] == 16
    assert [arm["name"] for arm in report["arms"]] == ["tuned", "compared", "base"]
    assert (report["scope"]["rows"], report["held_out"]["seen_by"]) == (9, {"tuned": 0, "compared": 1})
    items = world.written_by(job_id)
    own = worker.post("/perplexity", base=worker.base("llama"), texts=[texts[3]], window=16).json()
    (key,) = (key for key in items["base"] if key.endswith("3.txt"))
    assert items["base"][key]["nats"] == pytest.approx(own["results"][0]["nats"], rel=1e-5)
    sums = {
        arm: np.array([(item["nats"], item["tokens"]) for item in found.values()]).sum(axis=0)
        for arm, found in items.items()
    }
    for pair in report["differences"]:
        (nats, tokens), (other, _) = sums["tuned"], sums[pair["second"]]
        assert pair["first"] == "tuned"
        assert pair["change"]["ratio"] == pytest.approx(math.exp((nats - other) / tokens), rel=1e-5)
        assert f"Ratio to {'second' if pair['second'] == 'compared' else 'base model'}: " in report["verdict"]["sentence"]  # fmt: skip
    assert [one["arm"] for one in report["samples"][0]["written"]] == ["tuned", "compared", "base"]
    assert "Ratio of perplexities, “first” over “second”" in world.client.get(f"/evaluations/{job_id}/report", headers=HTML).text  # fmt: skip


def test_what_cannot_be_compared_is_refused_with_the_reason(
    world: World, worker: Worker, tmp_path: Path
) -> None:
    summarizer = world.imported(worker, "t5")
    llama, gptj = (world.imported(worker, family) for family in ("llama", "gptj"))
    pairs = world.pairs(paragraphs(4))
    given = {"summarize": {"document_set": pairs}}
    refused = [
        ({"adapter": summarizer, "compare_with": summarizer}, "/compare_with", "same-adapter"),
        ({"adapter": summarizer, "compare_with": llama} | given, "/compare_with", "wrong-task"),
        ({"compare_with": summarizer} | given, "/adapter", "nothing-named"),
        ({"adapter": llama, "compare_with": gptj, "causal": {}}, "/compare_with", "other-base"),
        ({"summarize": {"document_set": pairs, "strategies": ["auto"]}}, "/summarize/strategies", "nothing-named"),
        ({"adapter": summarizer, "summarize": {"strategies": ["auto", "auto"]}}, "/summarize/strategies", "strategy-repeated"),
        ({"adapter": summarizer, "summarize": {"strategies": ["longest"]}}, "/summarize/strategies/0", "invalid"),
        ({"adapter": summarizer, "summarize": {"strategies": []}}, "/summarize/strategies", "invalid"),
    ]  # fmt: skip
    for body, field, slug in refused:
        answer = world.client.post("/evaluations", json={"corpus": "judgments"} | body)
        found = (answer.json()["field"], answer.json()["type"].removeprefix("urn:remand:problem:"))
        assert found == (field, slug), answer.text
    assert "cut texts into tokens each in their own way" in world.client.post(
        "/evaluations", json={"corpus": "judgments", "adapter": llama, "compare_with": gptj, "causal": {}}
    ).json()["detail"]  # fmt: skip
    silent = world.run(
        world.queued(adapter=made(world, worker, tmp_path / "says", "t5", 3, []), compare_with=summarizer, **given),
        evaluate_run,
    )  # fmt: skip
    assert ((silent.error or {})["code"], (silent.error or {})["field"]) == ("seen-unknown", "/compare_with")


def test_long_texts_are_summarized_as_requests_have_it(world: World, worker: Worker, tmp_path: Path) -> None:
    """Every strategy says on how many items what ran, and writes what POST /summarize writes; the first stands beside the base model."""
    adapter = made(world, worker, tmp_path / "long", "t5", 1, [], max_input_tokens=150, max_target_tokens=24)
    rows = [*paragraphs(4), {"id": "long", "text": LONG, "summary": LONG[:80], "group": "long"}]
    short = [row for row in rows if row["id"] != "long"]
    encoder = str(world.models / "encoder")
    asked = {"document_set": world.pairs(rows), "items": "all", "encoder": encoder,
             "strategies": ["auto", "cut", "chunk_and_merge"]}  # fmt: skip
    job_id, report = world.evaluated(adapter=adapter, summarize=asked)
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert list(arms)[:4] == ["tuned", "tuned-cut", "tuned-chunk_and_merge", "base"]
    assert [arm["title"] for arm in report["arms"]][:4] == [
        "adapter, auto",
        "adapter, cut",
        "adapter, merge",
        "base, auto",
    ]
    assert arms["tuned"]["writing"]["ran"] == {"whole": 4, "extract_then_abstract": 1}
    assert arms["tuned-cut"]["writing"]["ran"] == {"whole": 4, "cut": 1}
    assert arms["tuned-chunk_and_merge"]["writing"]["ran"] == {"whole": 4, "chunk_and_merge": 1}
    assert arms["base"]["writing"]["strategy"] == "auto"
    items = world.written_by(job_id)
    for arm, strategy in (("tuned", "auto"), ("tuned-chunk_and_merge", "chunk_and_merge")):
        for row in (rows[-1], short[0]):
            body = {"text": row["text"], "method": "abstractive", "adapter": adapter, "strategy": strategy, "embedder": encoder}  # fmt: skip
            answer = world.client.post("/summarize", json=body)
            assert answer.json()["summary"] == items[arm][row["id"]]["written"]
    assert items["tuned"]["long"]["written"] != items["tuned-cut"]["long"]["written"]
    assert {(one["first"], one["second"]) for one in report["differences"]} >= {
        ("tuned", "tuned-cut"),
        ("tuned", "tuned-chunk_and_merge"),
        ("tuned", "base"),
    }
    page = world.client.get(f"/evaluations/{job_id}/report", headers=HTML).text
    assert "Texts: 4 read whole, 1 extracted first." in page
    assert "Texts: 4 read whole, 1 cut." in page


def test_a_model_that_can_summarize_nothing_ends_the_job_with_the_reason(
    world: World, worker: Worker, tmp_path: Path
) -> None:
    """The tiny adapter reads 40 tokens, which is too little for a long text to be made of parts."""
    adapter = made(world, worker, tmp_path / "narrow", "t5", 1, [], max_input_tokens=40)
    asked = {"document_set": world.pairs(paragraphs(3)), "encoder": str(world.models / "encoder"), "strategies": ["auto"]}  # fmt: skip
    job = world.run(world.queued(adapter=adapter, summarize=asked), evaluate_run)
    assert (job.state, (job.error or {})["code"]) == ("failed", "nothing-written")
    assert "at least 64 are needed" in (job.error or {})["detail"]


def test_a_script_that_the_model_does_not_know_is_told(world: World, worker: Worker, tmp_path: Path) -> None:
    """Hebrew has scores, by words, and the report says that the model could not read it."""
    adapter = made(world, worker, tmp_path / "english", "t5", 1, [])
    rows = [
        {"id": str(number), "text": f"בית המשפט דחה את התביעה מספר {number}. העותר שילם.", "summary": "התביעה נדחתה."}
        for number in range(3)
    ]  # fmt: skip
    asked = {"document_set": world.pairs(rows), "encoder": str(world.models / "encoder")}
    job_id, report = world.evaluated(adapter=adapter, summarize=asked)
    assert report["arms"][0]["writing"]["unknown_share"] > 0.5
    assert {arm["name"]: arm["measures"]["rouge1"]["mean"] for arm in report["arms"]}["lead"] > 0
    page = world.client.get(f"/evaluations/{job_id}/report", headers=HTML).text
    assert "The model has no token for" in page


@pytest.fixture
def remand(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line against the app, its output going to no terminal; a job runs while it is followed."""

    def follow(_client: TestClient, events: str) -> None:
        job = world.run(events.split("/")[2], evaluate_run)
        assert job.state == "succeeded", job.error

    line = command_line(world.client, monkeypatch, columns=80)
    monkeypatch.setattr("app.cli.train.follow_to_the_end", follow)

    def run(*words: str, status: int = 0) -> str:
        output = line(*words, status=status).output
        return "\n".join(said for said in output.splitlines() if not said.startswith("{"))

    return run


def test_summaries_from_the_command_line(world: World, worker: Worker, remand: Any, tmp_path: Path) -> None:
    """Every option arrives where the request has it, and the tables are whole in a narrow pipe."""
    names = ("a-name-that-is-much-longer-than-a-column", "another-name-that-is-much-longer")
    first, second = (
        made(world, worker, tmp_path / name, "t5", seed, [], max_input_tokens=150)
        for seed, name in enumerate(names)
    )
    rows = [
        {"no": row["id"], "doc": row["text"], "abstract": row["summary"], "case": row["group"]}
        for row in paragraphs(8)
    ]
    shown = remand(
        "evaluate", first, "--against", second, "--documents", world.pairs(rows), "--items", "6", "--text-field", "doc",
        "--summary-field", "abstract", "--group-field", "case", "--id-field", "no", "--words", "12", "--beams", "2",
        "--max-tokens", "8", "--strategy", "auto", "--strategy", "cut", "--encoder", str(world.models / "encoder"),
    )  # fmt: skip
    (job,) = world.client.get("/evaluations").json()["items"]
    assert job["params"]["settings"] | {"document_set": "", "encoder": ""} == {
        "document_set": "", "text_field": "doc", "summary_field": "abstract", "group_field": "case", "id_field": "no", "items": 6,
        "style": None, "words": 12, "max_input_tokens": None, "max_tokens": 8, "beams": 2, "strategies": ["auto", "cut"],
        "encoder": "", "bertscore_layer": None, "vouched": False,
    }  # fmt: skip
    assert (job["params"]["compare_with"], job["params"]["untrained"]) == (second, False)
    lines = shown.splitlines()
    heading = next(line for line in lines if line.startswith("percent"))
    for title in (f"{names[0]}, auto", f"{names[0]}, cut", f"{names[1]}, auto", "Lead", "MMR"):
        assert title in heading
    report = world.client.get(f"/evaluations/{job['id']}/report").json()
    told = report["arms"][0]["measures"]["rougeLsum"]
    row = next(line for line in lines if line.startswith("ROUGE-Lsum"))
    assert f"{100 * told['mean']:.1f} ({100 * told['interval'][0]:.1f} to {100 * told['interval'][1]:.1f})" in row  # fmt: skip
    assert f"{names[0]}, auto minus each other, percentage points" in shown
    assert f"{names[0]}, auto: Texts: 6 read whole." in shown
    assert "6 of 8 pairs of text and summary, of " in shown
    assert "…" not in shown
    assert {item["group"] for item in world.written_by(job["id"])["tuned"].values()} <= {
        row["case"] for row in rows
    }


def test_options_of_summaries_that_make_no_sense(remand: Any, world: World, worker: Worker) -> None:
    adapter = world.imported(worker, "t5")
    asked = ["evaluate", adapter, "--documents", world.pairs(paragraphs(4))]
    assert "summarize/beams" in remand(*asked, "--beams", "0", status=1)
    assert "summarize/strategies/0" in remand(*asked, "--strategy", "longest", status=1)
    assert "Rows have no field 'abstract'" in remand(*asked, "--summary-field", "abstract", status=1)
    assert "Name the corpus" in remand("evaluate", "extractive", status=1)
    no_model = ["evaluate", "extractive", "--corpus", "judgments", *asked[2:]]
    assert "no model is named" in remand(*no_model, "--strategy", "auto", status=1)
    assert world.client.get("/evaluations").json()["items"] == []


def test_adapters_that_write_are_listed_with_what_is_known(
    remand: Any, world: World, worker: Worker, tmp_path: Path
) -> None:
    """Before and after instead of baselines that nobody compared; nothing cut, where the output is no terminal."""
    report = {
        "task": "summarize",
        "sentence": "Held-out ROUGE-L rose.",
        "result": {"rouge": {"before": {"rouge_l": 0.1234}, "after": {"rouge_l": 0.25}}},
        "warnings": ["Few pairs."],
    }
    folder = tmp_path / "a-name-that-is-much-longer-than-a-column-of-a-table"
    manifest = make_writer_adapter(folder, worker.models / "t5", "t5")
    (folder / "report.json").write_text(json.dumps(report))
    from models.adapters.folder import finish

    del manifest["digest"], manifest["files"]
    (folder / "manifest.json").unlink()
    finish(folder, manifest)
    known = world.taken_in(folder, folder.name)
    silent = world.imported(worker, "t5")
    shown = remand("adapters", "list")
    row = next(line for line in shown.splitlines() if known in line)
    assert f"{folder.name}  t5" in row
    assert "ROUGE-L 0.123 → 0.250  –" in row
    assert re.search(r"t5 +– +–", next(line for line in shown.splitlines() if silent in line))
    listed = {item["id"]: item for item in world.client.get("/adapters").json()["items"]}
    assert (listed[known]["beats_baselines"], listed[silent]["change"]) == (None, None)
    assert listed[known]["change"] == {"measure": "rouge_l", "before": 0.1234, "after": 0.25}
    told = remand("adapters", "report", known)
    assert "Held-out ROUGE-L rose." in told
    assert "Few pairs." in told
    assert "F1" not in told
    page = world.client.get(f"/reports/{known}", headers=HTML).text
    assert "baselines" not in page
