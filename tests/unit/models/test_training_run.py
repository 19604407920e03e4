"""The whole training run on a tiny encoder: what it writes, that it resumes bit for bit, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from safetensors.torch import load_file

from models.adapters.folder import verify
from models.adapters.load import WrongBaseError, load_adapter
from models.adapters.verify import main as verify_main
from models.data.near_duplicates import content_digest, content_digests, signatures
from models.encoder.forward import run_layers
from models.encoder.load import load_encoder
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training import run
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.run import train
from tests.tiny_encoder import make_encoder, synthetic_letters, write_training_folder

ROOT = Path(__file__).parents[3]
ROWS = 64
REQUEST = {
    "folds": 2,
    "epochs": 2,
    "learning_rate": 0.01,
    "lora_rank": 4,
    "max_tokens": 32,
    "wide_strength": 1.0,
}


@pytest.fixture(scope="module")
def letters():
    return synthetic_letters(ROWS, seed=1)


@pytest.fixture(scope="module")
def trained(letters, tiny_bert, tmp_path_factory):
    """One finished run: (output folder, events, input folder)."""
    place = tmp_path_factory.mktemp("run")
    source = write_training_folder(place / "in", tiny_bert, *letters, **REQUEST)
    events = []
    train(source, place / "work", place / "out", events.append)
    return place / "out", events, source


@pytest.fixture(scope="module")
def adapter(trained, encoder):
    return load_adapter(trained[0], encoder)


@pytest.fixture
def quick(monkeypatch):
    """Leaves out the reload check, which `trained` and the killed run make for real."""
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)


def digests(folder):
    return json.loads((folder / "manifest.json").read_text())["files"]


def test_the_folder_is_whole_and_verifies(trained):
    manifest = verify(trained[0])
    assert manifest["members"] == ["final", "fold0", "fold1"]
    assert manifest["option_keys"] == ["remorse", "family", "health"]
    assert {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "wide.safetensors", "wide.json",
            "calibration.json", "report.json", "held_out.arrow", "folds/1/seen.json", "folds/1/seen.npz"} <= set(manifest["files"])  # fmt: skip
    assert str(trained[2].parent) not in (trained[0] / "manifest.json").read_text()


def test_only_lora_and_head_are_saved(trained):
    names = set(load_file(trained[0] / "adapter_model.safetensors"))
    assert all("lora_A" in name or "lora_B" in name for name in names)
    assert len(names) == 2 * 6


def test_events_tell_every_epoch_and_end_finished(trained):
    events = trained[1]
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "finished"
    folds = json.loads((trained[0] / "report.json").read_text())["folds"]
    assert max(fold["best_epoch"] for fold in folds) > 0, "LoRA was not tested"
    assert kinds.count("fold_started") == kinds.count("fold_finished") == 2
    assert {"estimate", "epoch", "checkpoint", "progress", "report"} <= set(kinds)
    done = [event["done"] / max(1, event["total"]) for event in events if event["event"] == "progress"]
    assert done[-1] == 1.0
    assert events[-1]["reload_difference"] <= 2e-2


def test_the_report_has_the_baselines_and_every_epoch(trained):
    report = json.loads((trained[0] / "report.json").read_text())
    assert set(report["macro"]) == {"model", "tfidf", "probe", "untrained"}
    assert {comparison["baseline"] for comparison in report["verdict"]["comparisons"]} == {"tfidf", "probe"}
    for fold in report["folds"]:
        assert [entry["epoch"] for entry in fold["inner_epochs"]] == list(range(len(fold["inner_epochs"])))
        best = fold["inner_epochs"][fold["best_epoch"]]
        assert fold["best_epoch"] == 0 or best["inner_loss"] < fold["inner_epochs"][0]["inner_loss"]
        assert best["inner_average_precision"] >= fold["inner_epochs"][0]["inner_average_precision"]
        assert len(fold["epochs"]) == fold["best_epoch"] + 1
        assert fold["embargo"]["held_out_rows"] == ROWS // 2


def test_held_out_probabilities_come_from_the_fold_that_did_not_see_the_text(trained, letters, adapter):
    frame = polars.read_ipc(trained[0] / "held_out.arrow")
    assert frame["key"].to_list() == [f"text-{row}" for row in range(ROWS)]
    texts = letters[0]
    for fold in (0, 1):
        inside = np.flatnonzero(frame["fold"].to_numpy() == fold)
        noted = np.array(frame["probabilities"].to_list(), dtype=np.float32)[inside]
        found = adapter.predict([texts[row] for row in inside], f"fold{fold}")
        np.testing.assert_allclose(found, noted, atol=2e-2)
        groups = [f"case-{row // 4}" for row in inside]
        part = [texts[row] for row in inside]
        free = adapter.unseen_matrix(content_digests(part), groups, signatures(part))
        assert free[:, fold].all()
        assert not free[:, 1 - fold].any()


def test_a_member_has_seen_groups_contents_and_near_duplicates(adapter, letters):
    text = letters[0][0]
    seen_by = next(
        name for name in adapter.fold_members if content_digest(text) in adapter.seen[name].contents
    )
    other = next(name for name in adapter.fold_members if name != seen_by)
    fresh = "an entirely other text that nobody has written in this corpus yet"
    signed = signatures([text, fresh, text.upper()])
    assert adapter.unseen_members(content_digest(text), "case-new", signed[0]) == (other,)
    assert adapter.unseen_members(content_digest(fresh), "case-0", signed[1]) == (other,)
    assert adapter.unseen_members(content_digest(fresh), None, signed[1]) == adapter.fold_members
    assert adapter.unseen_members(content_digest(text.upper()), "case-new", signed[2]) == (other,)


def test_members_share_one_pass_and_agree_with_themselves(adapter, letters):
    texts = [*letters[0][:5], "", "the judge " * 200]
    together = adapter.predict_members(texts, adapter.members, adapter.tokenize(texts))
    assert together.shape == (3, 7, 3)
    assert together.dtype == np.float32
    for place, name in enumerate(adapter.members):
        np.testing.assert_allclose(adapter.predict(texts, name), together[place], atol=2e-2)
    assert adapter.predict([]).shape == (0, 3)
    with pytest.raises(KeyError):
        adapter.predict(texts, "fold9")


def test_a_long_text_says_which_window_decided(adapter):
    long = "the judge " * 100 + "remorse sorry regret"
    reading = adapter.read_windows([long, "mercy"])
    assert reading.windows.tolist()[1] == 1
    assert reading.windows[0] == len(reading.spans[0]) > 3
    assert (reading.deciding[0] < reading.windows[0]).all()
    assert reading.spans[0][-1][1] == len(long)
    np.testing.assert_allclose(reading.probabilities, adapter.predict([long, "mercy"]), atol=2e-2)
    assert set(np.unique(reading.decisions)) <= {0, 1}


@pytest.mark.usefixtures("quick")
def test_a_fold_model_owes_nothing_to_the_labels_it_is_held_out_from(trained, letters, tiny_bert, tmp_path):
    """Every held-out label turned round, its fold's model stays the same to the last bit, and the other one changes."""
    texts, labels = letters
    folds = polars.read_ipc(trained[0] / "held_out.arrow")["fold"].to_numpy()
    turned = labels.copy()
    turned[folds == 0] = 1 - turned[folds == 0]
    source = write_training_folder(tmp_path / "in", tiny_bert, texts, turned, **REQUEST)
    train(source, tmp_path / "work", tmp_path / "out")
    first, second = digests(trained[0]), digests(tmp_path / "out")
    for name in ("head", "adapter_model", "wide"):
        assert first[f"folds/0/{name}.safetensors"] == second[f"folds/0/{name}.safetensors"]
    for name in ("head", "wide"):  # LoRA as well, where an epoch was kept
        assert first[f"folds/1/{name}.safetensors"] != second[f"folds/1/{name}.safetensors"]


# PEFT asks transformers for an attribute under its old name.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_the_final_adapter_loads_in_peft(trained, tiny_bert, adapter):
    from peft import PeftModel
    from transformers import AutoModel

    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_bert), str(trained[0]))
    saved = load_file(trained[0] / "adapter_model.safetensors")
    weights = {
        name.replace(".default", ""): value for name, value in loaded.state_dict().items() if "lora_" in name
    }
    assert set(weights) == set(saved)
    for name, value in saved.items():
        np.testing.assert_array_equal(weights[name].numpy(), value.numpy())
    ids = torch.from_numpy(adapter.tokenize(["the judge is sorry"]).ids.astype(np.int64))[None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        expected = loaded(input_ids=ids).last_hidden_state
        embedded = adapter.encoder.model.embeddings(input_ids=ids)
        *_, trunk = run_layers(adapter.encoder.layers[: adapter.depth], embedded, mask)
        *_, found = run_layers(adapter.loaded["final"].upper, trunk, mask)
    torch.testing.assert_close(found.float(), expected, atol=6e-2, rtol=6e-2)


def test_another_base_model_is_refused(trained, tmp_path):
    other = load_encoder(make_encoder(tmp_path / "other", seed=9), "cpu")
    with pytest.raises(WrongBaseError, match="trained on tiny-bert"):
        load_adapter(trained[0], other)


def test_the_reload_check_fails_on_other_logits(trained, tiny_bert, adapter, tmp_path, capsys):
    expected = tmp_path / "check.npz"
    (tmp_path / "check.json").write_text(json.dumps({"texts": ["the judge"], "contexts": None}))
    logits = dict(zip(adapter.members, adapter.logits(["the judge"], adapter.members), strict=True))
    arguments = [str(trained[0]), "--base", str(tiny_bert), "--expected", str(expected)]
    np.savez(expected, **logits)
    assert verify_main(arguments) == 0
    np.savez(expected, **{**logits, "fold1": logits["fold1"] + 1})
    assert verify_main(arguments) == 1
    assert "fold1 answers otherwise" in capsys.readouterr().err


class StopAfter:
    """Says stop once so many epochs are done."""

    def __init__(self, epochs):
        self.left = epochs

    def emit(self, event):
        self.left -= event["event"] == "epoch"

    def __call__(self):
        return self.left <= 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_stopped_run_resumes_bit_for_bit(trained, tmp_path, epochs):
    stop = StopAfter(epochs)
    with pytest.raises(TrainingStoppedError):
        train(trained[2], tmp_path / "work", tmp_path / "out", stop.emit, stop)
    assert not (tmp_path / "out").exists()
    events = []
    train(trained[2], tmp_path / "work", tmp_path / "out", events.append)
    again = [(event["member"], event["epoch"]) for event in events if event["event"] == "epoch"]
    whole = [(event["member"], event["epoch"]) for event in trained[1] if event["event"] == "epoch"]
    assert len(whole) > epochs
    assert again == whole[epochs:]
    first, second = digests(trained[0]), digests(tmp_path / "out")
    weights = [name for name in first if name.endswith((".safetensors", "calibration.json", ".arrow"))]
    assert {name: first[name] for name in weights} == {name: second[name] for name in weights}


def test_a_job_stops_before_the_first_epoch_of_a_fold_and_goes_on(trained, tmp_path, quick):
    events = []

    def in_the_first_fold():
        return any(event["event"] == "fold_started" for event in events)

    with pytest.raises(TrainingStoppedError, match="before the first epoch of fold0"):
        train(trained[2], tmp_path / "work", tmp_path / "out", events.append, in_the_first_fold)
    assert all(event["event"] != "epoch" for event in events)
    train(trained[2], tmp_path / "work", tmp_path / "out")
    weights = "adapter_model.safetensors"
    assert digests(tmp_path / "out")[weights] == digests(trained[0])[weights]


def test_a_killed_run_resumes_bit_for_bit(trained, tmp_path):
    arguments = ["--input", trained[2], "--work", tmp_path / "work", "--output", tmp_path / "out"]
    command = [sys.executable, "-m", "models.training", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as child:
        for line in child.stdout:
            if json.loads(line)["event"] == "checkpoint":
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "finished"
    first, second = digests(trained[0]), digests(tmp_path / "out")
    assert {k: v for k, v in first.items() if k.endswith(".safetensors")} == {
        k: v for k, v in second.items() if k.endswith(".safetensors")
    }


def test_a_published_adapter_is_not_made_twice_and_nothing_else_is_overwritten(
    trained, letters, tiny_bert, tmp_path
):
    events = []
    manifest = train(trained[2], tmp_path / "work", trained[0], events.append)
    assert manifest == verify(trained[0])
    assert [event["event"] for event in events] == ["finished"]
    other = write_training_folder(tmp_path / "in", tiny_bert, *letters, **{**REQUEST, "seed": 5})
    with pytest.raises(FileExistsError, match="not empty"):
        train(other, tmp_path / "work", trained[0])


@pytest.mark.usefixtures("quick")
def test_checkpoints_of_another_input_are_not_resumed(trained, letters, tiny_bert, tmp_path):
    stop = StopAfter(2)
    with pytest.raises(TrainingStoppedError):
        train(trained[2], tmp_path / "work", tmp_path / "out", stop.emit, stop)
    other = write_training_folder(tmp_path / "in", tiny_bert, *letters, **{**REQUEST, "seed": 5})
    events = []
    train(other, tmp_path / "work", tmp_path / "out", events.append)
    assert sum(event["event"] == "fold_started" for event in events) == 2
    assert verify(tmp_path / "out")["seed"] == 5


@pytest.mark.usefixtures("quick")
def test_a_choose_one_question_beside_a_set_and_missing_cells(tiny_bert, letters, encoder, tmp_path):
    texts, labels = letters
    kinds = tuple(Option(key, 3 + place) for place, key in enumerate(("plea", "letter")))
    sets = tuple(Option(key, place) for place, key in enumerate(("remorse", "family", "health")))
    scheme = Scheme((
        Question("arguments", QuestionKind.YES_NO_SET, sets), Question("kind", QuestionKind.CHOOSE_ONE, kinds)
    ))  # fmt: skip
    chosen = np.array([[1, 0] if "plea" in text else [0, 1] for text in texts], dtype=np.int8)
    both = np.concatenate([labels, chosen], axis=1)
    both[::5, 3:] = MISSING
    both[1::7, 0] = MISSING
    source = write_training_folder(tmp_path / "in", tiny_bert, texts, both, scheme, **REQUEST)
    train(source, tmp_path / "work", tmp_path / "out")
    found = load_adapter(tmp_path / "out", encoder).predict(texts)
    np.testing.assert_allclose(found[:, 3:].sum(axis=1), 1.0, atol=1e-5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["questions"]["model"]["kind"]["support"] == int((both[:, 3] != MISSING).sum())


@pytest.mark.usefixtures("quick")
def test_options_that_cannot_be_trained_answer_their_prevalence_and_are_reported(
    tiny_bert, letters, encoder, tmp_path
):
    texts, labels = letters
    labels = labels.copy()
    labels[:, 1] = 0
    labels[:, 2] = MISSING
    source = write_training_folder(tmp_path / "in", tiny_bert, texts, labels, **REQUEST)
    train(source, tmp_path / "work", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["untrainable_options"] == ["family", "health"]
    found = load_adapter(tmp_path / "out", encoder).predict(texts)
    assert np.ptp(found[:, 1]) < 1e-6
    assert found[0, 1] < 0.1
    assert np.isfinite(found).all()
    assert np.ptp(found[:, 0]) > 0.05


@pytest.mark.usefixtures("quick")
def test_a_probe_without_wide_branch_saves_no_lora(tiny_bert, letters, encoder, tmp_path):
    source = write_training_folder(
        tmp_path / "in", tiny_bert, *letters, **{**REQUEST, "method": "probe", "wide": False}
    )
    manifest = train(source, tmp_path / "work", tmp_path / "out")
    assert not {"adapter_model.safetensors", "wide.json", "wide.safetensors"} & set(manifest["files"])
    assert load_adapter(tmp_path / "out", encoder).predict(letters[0]).shape == (ROWS, 3)


@pytest.mark.usefixtures("quick")
def test_folds_are_those_of_the_whole_corpus(tiny_bert, letters, tmp_path):
    texts, labels = letters
    source = write_training_folder(tmp_path / "in", tiny_bert, texts, labels, **{**REQUEST, "epochs": 1})
    sizes = {f"case-{number}": 4 for number in range(40)}
    (source / "corpus_groups.json").write_text(json.dumps(sizes))
    train(source, tmp_path / "work", tmp_path / "out")
    from models.data.folds import assign_folds

    expected = assign_folds([f"case-{row // 4}" for row in range(ROWS)], 2, 0, sizes)
    assert polars.read_ipc(tmp_path / "out" / "held_out.arrow")["fold"].to_list() == expected.tolist()


@pytest.mark.usefixtures("quick")
def test_a_time_budget_cuts_epochs_and_never_folds(tiny_bert, letters, tmp_path):
    source = write_training_folder(
        tmp_path / "in", tiny_bert, *letters, **{**REQUEST, "folds": 3, "epochs": 50, "time_budget_s": 0.001}
    )
    events = []
    train(source, tmp_path / "work", tmp_path / "out", events.append)
    plan = next(event for event in events if event["event"] == "estimate")
    assert (plan["epochs"], plan["folds"], plan["epochs_cut"]) == (1, 3, True)
    assert sum(event["event"] == "fold_finished" for event in events) == 3


REFUSALS = {
    "too few groups": ({"folds": 9}, "too-few-groups", "9 folds need as many groups"),
    "unknown field": ({"fold": 3}, "request-invalid", "fold"),
    "one fold": ({"folds": 1}, "request-invalid", "folds"),
    "bad scheme": ({"scheme": {"questions": 3}}, "scheme-invalid", "scheme"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_wrong_request_is_refused_in_words(tiny_bert, letters, tmp_path, case):
    change, code, words = REFUSALS[case]
    source = write_training_folder(tmp_path / "in", tiny_bert, letters[0][:20], letters[1][:20], **REQUEST)
    document = json.loads((source / "request.json").read_text())
    (source / "request.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(TrainingRefusedError, match=words) as refused:
        train(source, tmp_path / "work", tmp_path / "out")
    assert refused.value.code == code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((8, 3), MISSING, np.int8), "nothing to learn"),
        (np.full((8, 2), 1, np.int8), "shape"),
        (np.full((8, 3), 7, np.int8), "row 0, option 'remorse'"),
    ],
)
def test_labels_that_cannot_be_learned_from_are_refused(tiny_bert, letters, tmp_path, labels, words):
    source = write_training_folder(tmp_path / "in", tiny_bert, letters[0][:8], labels, **REQUEST)
    with pytest.raises(TrainingRefusedError, match=words):
        train(source, tmp_path / "work", tmp_path / "out")


def test_a_fold_that_repeats_everything_is_refused(tiny_bert, tmp_path):
    texts = ["the judge was never in court to see my work or my plea"] * 8
    labels = np.array([[1, 0, 0], [0, 1, 0]] * 4, dtype=np.int8)
    source = write_training_folder(tmp_path / "in", tiny_bert, texts, labels, **REQUEST)
    with pytest.raises(TrainingRefusedError, match="after dropping duplicates"):
        train(source, tmp_path / "work", tmp_path / "out")


@pytest.mark.usefixtures("quick")
def test_texts_without_group_are_groups_of_their_own(tiny_bert, letters, tmp_path):
    source = write_training_folder(
        tmp_path / "in",
        tiny_bert,
        letters[0][:12],
        letters[1][:12],
        groups=[None] * 12,
        **{**REQUEST, "epochs": 1},
    )
    train(source, tmp_path / "work", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["group_count"] == 12


def test_the_command_refuses_with_a_status_and_one_event(tmp_path):
    command = [
        sys.executable,
        "-m",
        "models.training",
        "--input",
        tmp_path,
        "--work",
        tmp_path / "w",
        "--output",
        tmp_path / "o",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT, check=False)
    event = json.loads(done.stdout)
    assert (done.returncode, event["event"], event["code"]) == (2, "refused", "request-missing")
