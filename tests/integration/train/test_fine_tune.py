"""`remand fine-tune`: a file of labelled texts in, an adapter folder out that the api takes, without any server."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from app.adapters.archive import pack
from app.cli.main import build
from app.corpora.mapping import Mapping
from app.training.folder import write_training_folder
from app.training.schemas import TrainJobRequest
from models.adapters.folder import verify
from tests.small_corpus import letters
from workers.fine_tune import REFUSED, Given, attempt, read_file, training_input


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Forty letters as a wide CSV."""
    path = tmp_path / "letters.csv"
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "case", "text", "remorse", "dependants"])
        writer.writerows([letter.key, letter.case, letter.content, *letter.labels] for letter in letters(40))
    return path


def told(
    path: Path, content: str, mapping: dict[str, Any] | None = None, **training: Any
) -> tuple[Any, list[dict[str, Any]]]:
    """The training input made of a file with this content, and the events."""
    path.write_text(content)
    events: list[dict[str, Any]] = []
    gathered = read_file(path, Mapping.model_validate(mapping or {}), events.append)
    request = TrainJobRequest.model_validate({"corpus": "file", "folds": 2} | training)
    return training_input(gathered, request, events.append), events


def test_the_command_makes_an_adapter(allowed: Path, file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["fine-tune", "--model", str(allowed), "--data_path", str(file), "--output_dir", str(output)]
    done = CliRunner().invoke(build(), [*arguments, "--folds", "2", "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert "held-out macro-F1" in done.output
    manifest = verify(output)
    assert (manifest["option_keys"], manifest["members"]) == (
        ["remorse", "dependants"],
        ["final", "fold0", "fold1"],
    )
    assert not output.with_name(".out.work").exists()
    pack(output, tmp_path / "adapter.tar")
    again = CliRunner().invoke(build(), [*arguments, "--folds", "2"])
    assert (again.exit_code, "is not empty" in again.output) == (1, True)


def test_blank_is_missing_and_groups_are_read(tmp_path: Path) -> None:
    rows = "id,case,text,remorse,youth\na,1,I regret it,1,\nb,1,I am young,0,1\nc,2,Nothing,0,0\nd,3,No label,,\n"
    given, events = told(tmp_path / "f.csv", rows)
    assert given.labels.tolist() == [[1, -1], [0, 1], [0, 0]]
    assert (given.keys, given.groups) == (["a", "b", "c"], ["1", "1", "2"])
    assert sorted(given.corpus_groups) == ["1", "1", "2", "3"]
    assert events[0]["texts"] == 4
    assert any("Few positives" in event["detail"] for event in events if event["event"] == "warning")


def test_without_a_group_every_text_stands_alone(tmp_path: Path) -> None:
    given, _ = told(tmp_path / "f.csv", "text,remorse\nI regret it,1\nNothing,0\nAnother,0\n")
    assert len(set(given.groups)) == 3
    assert all(group == f"text:{key}" for group, key in zip(given.groups, given.keys, strict=True))


def test_several_annotators_agree_by_majority_and_two_are_compared(tmp_path: Path) -> None:
    rows = "id,text,annotator,remorse\n" + "".join(
        f"{key},{text},{who},{value}\n"
        for key, text in (("a", "I regret it"), ("b", "Nothing"))
        for who, value in (("ann", int(key == "a")), ("ben", 1), ("cem", 0 if key == "b" else 1))
    )
    given, _ = told(tmp_path / "f.csv", rows)
    assert given.labels.tolist() == [[1], [0]]
    assert given.human_pair is not None
    assert [matrix.tolist() for matrix in given.human_pair] == [[[1], [0]], [[1], [1]]]


def test_the_folder_holds_what_the_trainer_reads(tmp_path: Path) -> None:
    given, _ = told(tmp_path / "f.csv", "id,text,remorse\na,I regret it,1\nb,Nothing,0\nc,Also,0\n", seed=5)
    write_training_folder(tmp_path / "input", given)
    request = json.loads((tmp_path / "input" / "request.json").read_text())
    assert (request["seed"], request["folds"], request["base_model"]) == (5, 2, "minilm")
    frame = pl.read_ipc(tmp_path / "input" / "texts.arrow")
    assert frame.columns == ["key", "content", "group", "split", "headings", "before", "after"]
    assert frame["content"].to_list() == ["I regret it", "Nothing", "Also"]
    assert np.load(tmp_path / "input" / "labels.npy").tolist() == [[1], [0], [0]]
    assert not (tmp_path / "input" / "human_pair.npz").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("id,text,remorse\n", "no readable row"),
        ("id,text,remorse\na,x y,0\nb,y z,0\n", "No text is labelled yes"),
        ("id,text,remorse\na,x y,1\nb,y z,99\n", "99"),
        ("id,remorse\na,1\nb,0\n", "No column looks like the text"),
        ("id,case,text,remorse\na,k,x y,1\nb,k,y z,0\n", "2 folds need as many groups"),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_words(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "f.csv").write_text(content)
    events: list[dict[str, Any]] = []
    given = Given(tmp_path / "f.csv", tmp_path / "out", {}, {"folds": 2})
    assert attempt(given, events.append, lambda: False) == REFUSED
    assert (events[-1]["event"], words in events[-1]["detail"]) == ("refused", True), events[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.csv"]


def test_a_call_that_is_refused_leaves_the_checkpoints_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,text,remorse\na,x y,1\nb,y z,0\n")
    given = Given(tmp_path / "f.csv", tmp_path / "out", {}, {"method": "lroa"})
    kept = given.work_dir / "checkpoints" / "fit-fold0.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"hours of work")
    events: list[dict[str, Any]] = []
    assert attempt(given, events.append, lambda: False) == REFUSED
    assert "method" in events[-1]["detail"]
    assert kept.read_bytes() == b"hours of work"


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_mapping_that_is_no_json_object_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    for name, words in (("f.csv", "id,text\n"), ("mapping.json", content)):
        (tmp_path / name).write_text(words)
    options = ["--data_path", "f.csv", "--output_dir", "out", "--mapping", "mapping.json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        answer = CliRunner().invoke(build(), ["fine-tune", *options])
    assert (answer.exit_code, "mapping.json is no JSON object" in answer.output) == (1, True), answer.output
