"""Generative jobs from folder to adapter: held out means held out, a resumed job ends bit-equal, peft reloads what was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.adapters.folder import verify as verify_folder
from models.adapters.seen import read_seen, unseen
from models.data.near_duplicates import content_digests, signatures
from models.generative import output
from models.generative.causal import Likelihood
from models.generative.estimate import affordable
from models.generative.inputs import read_documents
from models.generative.perplexity import change, perplexity
from models.generative.rouge import rouge_document, rouge_l
from models.generative.run import train
from models.generative.split import split_documents
from models.generative.verify import check, logits_of
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from tests.tiny_decoder import judgments, make_decoder, write_generative_folder

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # asked by peft
FAST = {
    "block_tokens": 32,
    "epochs": 2,
    "learning_rate": 0.01,
    "rouge_pairs": 2,
    "units_per_step": 4,
    "max_target_tokens": 8,
}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reload check runs without its seconds of starting; the integration tests start its process."""

    def checked(folder: Path, base: Any, work: Path) -> float:
        ids = np.arange(4, 24, dtype=np.int32)
        return check(logits_of(folder, base.path, ids, "cpu", "float32", four_bit=False), output._logits(base, ids), "float32")  # fmt: skip

    monkeypatch.setattr(output, "reload_check", checked)


def folder_of(tmp_path: Path, family: str, count: int = 24, **fields: Any) -> Path:
    base = make_decoder(tmp_path / "models" / family, family)
    texts = judgments(count, words=(10, 30))
    summaries = [" ".join(text.split()[:4]) for text in texts] if family == "t5" else None
    return write_generative_folder(tmp_path / "in", base, texts, summaries, **(FAST | fields))


@pytest.mark.parametrize(("family", "method"), [("llama", "rslora"), ("gptj", "lora"), ("t5", "lora")])
def test_a_stopped_job_ends_bit_equal_and_peft_reloads_it(tmp_path: Path, family: str, method: str) -> None:
    folder = folder_of(tmp_path, family, method=method)
    told: list[dict[str, Any]] = []
    manifest = train(folder, tmp_path / "work", tmp_path / "out", told.append)
    assert verify_folder(tmp_path / "out") == manifest
    assert (manifest["task"], manifest["base"]["family"]) == (
        "summarize" if family == "t5" else "causal",
        family,
    )
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked in {8, 16}

    stops = 0
    while True:
        try:
            # The plan is the first run's: it holds a measured speed, which is never the same twice.
            (tmp_path / "work2").mkdir(exist_ok=True)
            (tmp_path / "work2" / "plan.json").write_bytes((tmp_path / "work" / "plan.json").read_bytes())
            train(folder, tmp_path / "work2", tmp_path / "out2", should_stop=stop)
            break
        except TrainingStoppedError:
            stops += 1
    assert stops == 2
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("out", "out2"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("out", "out2")]
    assert reports[0]["epochs"] == reports[1]["epochs"]
    assert reports[0]["result"] == reports[1]["result"]
    assert reports[0]["result"]["loss_after"] < reports[0]["result"]["loss_before"]
    estimate = next(event for event in told if event["event"] == "estimate")
    assert estimate["documents"] == 24
    assert estimate["tokens_per_second"] > 0
    assert str(tmp_path) not in (tmp_path / "out" / "report.json").read_text()
    assert str(tmp_path) not in (tmp_path / "out" / "adapter_config.json").read_text()


def test_the_same_call_again_finds_the_adapter_made(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "llama", 6, epochs=1)
    made = train(folder, tmp_path / "work", tmp_path / "out")
    assert train(folder, tmp_path / "work", tmp_path / "out") == made
    with pytest.raises(FileExistsError):
        train(folder_of(tmp_path, "llama", 6, epochs=1, seed=1), tmp_path / "work", tmp_path / "out")


def test_held_out_documents_are_apart_from_all_that_is_learned(tmp_path: Path) -> None:
    texts = judgments(30, words=(40, 60))
    first = texts[0].split()
    texts += [texts[0], " ".join([*first[:-1], "court"]), "", "  "]
    groups = [None] * 30 + ["again", "nearly", None, None]
    base = make_decoder(tmp_path / "models" / "llama")
    given = read_documents(write_generative_folder(tmp_path / "in", base, texts, groups=groups, held_out_share=0.5, seed=1))  # fmt: skip
    assert (given.empty, given.repeated, len(given.keys)) == (2, 1, 31)
    for seed in range(8):
        request = given.request.model_copy(update={"seed": seed})
        split = split_documents(type(given)(**{name: getattr(given, name) for name in given.__slots__} | {"request": request}))  # fmt: skip
        parts = [set(part.tolist()) for part in (split.train, split.stopping, split.held_out)]
        assert sum(map(len, parts)) + split.near + split.exact == 31 or len(parts[1]) < 2
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        # the text and its near copy are never on both sides
        assert {0, 30} <= parts[2] or not {0, 30} & parts[2] or split.near == 1


def test_a_limit_takes_the_same_documents_for_the_same_seed(tmp_path: Path) -> None:
    base = make_decoder(tmp_path / "models" / "llama")
    texts = judgments(20)
    few, more, other = (
        read_documents(
            write_generative_folder(tmp_path / "in", base, texts, document_limit=limit, seed=seed)
        ).keys
        for limit, seed in ((5, 0), (9, 0), (5, 1))
    )
    assert (len(few), len(more)) == (5, 9)
    assert set(few) < set(more)
    assert set(few) != set(other)


@pytest.mark.parametrize(
    ("family", "fields", "code"),
    [
        ("llama", {"block_tokens": 65}, "block-too-long"),
        ("llama", {"task": "summarize"}, "texts-invalid"),
        ("t5", {"task": "causal"}, "base-model-unsuitable"),
        ("llama", {"method": "qlora"}, "qlora-unavailable"),
        ("llama", {"device": "cuda"}, "device-unavailable"),
        ("llama", {"document_limit": 0}, "request-invalid"),
        ("llama", {"document_limit": 1}, "too-few-documents"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(tmp_path: Path, family: str, fields: dict[str, Any], code: str) -> None:  # fmt: skip
    folder = folder_of(tmp_path, family, 6, **fields)
    with pytest.raises(TrainingRefusedError) as refused:
        train(folder, tmp_path / "work", tmp_path / "out")
    assert refused.value.code == code
    assert not (tmp_path / "out").exists()


def test_no_documents_left_is_said(tmp_path: Path) -> None:
    base = make_decoder(tmp_path / "models" / "llama")
    with pytest.raises(TrainingRefusedError, match="2 of 2 hold no text"):
        read_documents(write_generative_folder(tmp_path / "in", base, ["", " "]))


def test_perplexity_is_per_token_with_an_interval_by_document() -> None:
    before = Likelihood(np.array([20.0, 30.0, 44.0]), np.array([10, 10, 20]))
    after = Likelihood(before.losses * 0.9, before.tokens)
    found = perplexity(before, 0)
    assert found["perplexity"] == pytest.approx(np.exp(94 / 40), abs=1e-4)
    assert found["interval"][0] <= found["perplexity"] <= found["interval"][1]
    assert (found["documents"], found["tokens"]) == (3, 40)
    assert change(before, after, 0)["better"] is True
    assert change(before, before, 0) == {"ratio": 1.0, "interval": [1.0, 1.0], "better": False}


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    scores = rouge_l(["the appeal is allowed", "dismissed"], ["the appeal was allowed", "nothing"])
    assert scores == pytest.approx([0.75, 0.0])
    assert rouge_document(scores, 0)["rouge_l"] == 0.375


def test_a_time_budget_cuts_steps_and_keeps_one() -> None:
    assert affordable(50, 10_000, 0, speed=1000, spent=0, budget=100) == 50
    assert affordable(50, 100_000, 10_000, speed=1000, spent=20, budget=100) == 31
    assert affordable(50, 1e9, 0, speed=1, spent=500, budget=100) == 1
    assert affordable(50, 1e9, 0, speed=1, spent=500, budget=None) == 50


def test_the_adapter_says_what_it_has_seen_and_not_a_word_of_it(tmp_path: Path) -> None:
    """Trained-on documents and those of its groups are known again, held-out ones are not; digests alone are kept."""
    folder = folder_of(tmp_path, "llama")
    given = read_documents(folder)
    split = split_documents(given)
    train(folder, tmp_path / "work", tmp_path / "out")
    seen = read_seen(tmp_path / "out")
    free = unseen(seen, content_digests(given.texts), [None] * len(given.texts), signatures(given.texts))
    assert free[split.held_out].all()
    assert not free[split.train].any()
    assert not free[split.stopping].any()
    assert seen.groups == frozenset()  # none was given
    assert given.texts[0].split()[0] not in (tmp_path / "out" / "seen.json").read_text()
    grouped = replace(given, groups=tuple(f"case-{row // 2}" for row in range(len(given.texts))))
    marked = output.seen_of_split(grouped, split_documents(grouped))
    strange = ["words that nobody wrote"] * 2
    known = {grouped.groups[row] for row in split_documents(grouped).train}
    groups = [min(known), "case-of-another"]
    assert unseen(marked, content_digests(strange), groups, signatures(strange)).tolist() == [False, True]
