"""An adapter that reads contexts has a second reading for texts alone: better than the first with its contexts taken away."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars
import pytest
import torch

from app.adapters.held_out import read_held_out
from models.adapters.folder import AdapterInvalidError, finish, verify
from models.adapters.load import LoadedAdapter, load_adapter
from models.adapters.verify import check
from models.data.context import EMPTY, Context
from models.encoder.load import load_encoder
from models.text.explain import explain
from models.training.metrics import evaluate
from models.training.run import train
from tests.tiny_encoder import SIGNALS, arguments_scheme, write_training_folder
from workers.evaluate.reading import _thresholds as evaluated_thresholds
from workers.inference.adapter_reader import adapter_reader
from workers.inference.reading import Plan
from workers.inference.work import Lane, make_work
from workers.relabel.frozen import AdapterFiles

ROWS, GROUP = 180, 4
LONELY = 12
"""So many last rows have no context: nothing is known of what stands around them."""


@dataclass(frozen=True)
class Trained:
    folder: Path
    adapter: LoadedAdapter
    texts: list[str]
    labels: np.ndarray
    around: list[Context]
    folds: np.ndarray

    @property
    def report(self):
        return json.loads((self.folder / "report.json").read_text())


def told_by_headings(draw):
    """Letters whose words say something about each option, and whose headings say nearly everything."""
    words = np.array(["court", "judge", "year", "letter", "page", "order", "day", "case", "line", "time"])
    labels = (draw.random((ROWS, len(SIGNALS))) < 0.3).astype(np.int8)
    texts, around = [], []
    for row in labels:
        said, above = list(draw.choice(words, 8)), []
        for (key, signals), yes in zip(SIGNALS.items(), row, strict=True):
            if draw.random() < (0.8 if yes else 0.1):
                said.append(signals[0])
            above.append(f"{key} {'granted' if bool(yes) == (draw.random() < 0.98) else 'refused'}")
        texts.append(" ".join(said))
        around.append(Context(headings="\n".join(above)))
    return texts, labels, around[:-LONELY] + [EMPTY] * LONELY


@pytest.fixture(scope="module")
def trained(tiny_bert, encoder, tmp_path_factory) -> Trained:
    """Trained, and checked by a fresh process, as ever."""
    folder = tmp_path_factory.mktemp("alone")
    texts, labels, around = told_by_headings(np.random.default_rng(5))
    source = write_training_folder(
        folder / "in", tiny_bert, texts, labels, folds=3, epochs=1, max_tokens=32, context=True
    )
    frame = polars.read_ipc((source / "texts.arrow").read_bytes())
    parts = {name: [getattr(one, name) for one in around] for name in ("headings", "before", "after")}
    frame.with_columns(**{name: polars.Series(part) for name, part in parts.items()}).write_ipc(
        source / "texts.arrow"
    )
    train(source, folder / "work", folder / "out")
    folds = polars.read_ipc(folder / "out/held_out.arrow")["fold"].to_numpy()
    return Trained(folder / "out", load_adapter(folder / "out", encoder), texts, labels, around, folds)


def without_second_reading(adapter: LoadedAdapter) -> LoadedAdapter:
    """As adapters were before: one reading, whose contexts may be missing."""
    return replace(adapter, loaded={name: replace(one, alone=None) for name, one in adapter.loaded.items()})


def held_out(trained: Trained, adapter: LoadedAdapter, contexts=None):
    """Macro-F1 of every row read by its fold's model, at the thresholds that this model is served with."""
    read, decided = np.zeros(trained.labels.shape, np.float32), np.zeros(trained.labels.shape, np.int8)
    for fold in range(3):
        rows, name = np.flatnonzero(trained.folds == fold), f"fold{fold}"
        given = None if contexts is None else [contexts[row] for row in rows]
        read[rows] = adapter.predict([trained.texts[row] for row in rows], name, given)
        served = replace(adapter, loaded={"final": adapter.loaded[name]})
        decided[rows] = served.decide(read[rows], given)
    return evaluate(trained.labels, read, decided, arguments_scheme()).macro["f1"]


def test_a_text_alone_is_read_better_than_by_the_first_reading_with_its_contexts_taken_away(trained):
    alone, before = (
        held_out(trained, trained.adapter),
        held_out(trained, without_second_reading(trained.adapter)),
    )
    assert alone > before + 0.1
    assert held_out(trained, trained.adapter, trained.around) > alone + 0.05, "contexts say more than words"


def test_the_report_has_the_reading_that_is_served(trained):
    macro = trained.report["macro"]
    assert macro["without_context"]["f1"] == pytest.approx(held_out(trained, trained.adapter), abs=1e-3)
    assert macro["model"]["f1"] == pytest.approx(held_out(trained, trained.adapter, trained.around), abs=1e-3)
    assert macro["without_context"]["f1"] > macro["tfidf"]["f1"] - 0.03


def test_held_out_rows_without_context_are_read_alone(trained):
    frame = polars.read_ipc(trained.folder / "held_out.arrow")
    assert frame["alone"].to_list() == [False] * (ROWS - LONELY) + [True] * LONELY
    kept = np.array(frame["probabilities"].to_list())
    for row in (ROWS - 1, 0):
        text, member = [trained.texts[row]], f"fold{trained.folds[row]}"
        read = trained.adapter.predict(text, member, [trained.around[row]])
        np.testing.assert_allclose(kept[row], read[0], atol=2e-3)


def test_a_comparison_decides_held_out_rows_at_the_thresholds_of_their_reading(trained, tmp_path):
    with tarfile.open(tmp_path / "adapter.tar", "w") as archive:
        archive.add(trained.folder, ".")
    found = read_held_out(tmp_path / "adapter.tar", list(trained.adapter.option_keys))
    for row in range(ROWS):
        member = trained.adapter.loaded[f"fold{trained.folds[row]}"].reading(trained.around[row])
        expected = member.calibration.decide(found.probabilities[row : row + 1])
        np.testing.assert_array_equal(found.decisions[row], expected[0])


def test_evaluations_and_relabels_know_the_thresholds_of_both_readings(trained):
    final = trained.adapter.loaded["final"]
    rows = evaluated_thresholds(final, np.array([True, False]))
    np.testing.assert_array_equal(rows, [trained.adapter.thresholds, trained.adapter.lone_thresholds])
    files = AdapterFiles("", "", "", trained.folder, (), own=True)
    for alone, expected in ((False, trained.adapter.thresholds), (True, trained.adapter.lone_thresholds)):
        assert list(files.thresholds(alone=alone).values()) == pytest.approx(expected.tolist())


def test_each_text_of_a_batch_has_the_reading_that_its_context_asks_for(trained):
    texts, context = trained.texts[:4], trained.around[0]
    alone, beside = (trained.adapter.predict(texts, contexts=c) for c in (None, [context] * 4))
    assert np.abs(alone - beside).max() > 0.05
    mixed = trained.adapter.predict(texts, contexts=[context, None, EMPTY, context])
    np.testing.assert_allclose(mixed, np.stack([beside[0], alone[1], alone[2], beside[3]]), atol=1e-5)
    decided = trained.adapter.decide(np.full((2, 3), 0.5, np.float32), [context, None])
    shipped = np.stack([trained.adapter.thresholds, trained.adapter.lone_thresholds])
    np.testing.assert_array_equal(decided, shipped <= 0.5)


def served(adapter, texts, plan):
    reader = adapter_reader(adapter, "d")
    prepared = reader.prepare(texts, plan)
    work, windows = make_work(reader, Lane.BULK, prepared.windows_of, prepared.context)
    for window in windows:
        work.settle(window, reader.run([window])[0])
    return reader, reader.finish(prepared, work.future.result(0), plan, "mean")


def test_a_worker_gives_each_text_its_reading_and_the_mean_over_the_models_that_read_it(trained):
    members, uses = ("fold0", "fold1", "final"), ((0, 1), (0, 1), (2,), (0,))
    given = (trained.around[0], None, EMPTY, trained.around[3])
    texts = [*trained.texts[:3], " ".join(trained.texts[:12])]
    reader, answer = served(trained.adapter, texts, Plan(members, uses, contexts=given))
    by_member = trained.adapter.predict_members(texts, members, contexts=given)
    expected = np.stack([by_member[list(use), row].mean(axis=0) for row, use in enumerate(uses)])
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-3)
    assert answer.beside.tolist() == [True, False, False, True]
    assert not reader.description["needs_context"]
    assert reader.description["lone_thresholds"] != reader.description["thresholds"]
    assert reader.size > adapter_reader(without_second_reading(trained.adapter), "d").size


def test_an_explanation_of_a_text_alone_explains_the_reading_of_texts_alone(trained, tiny_bert):
    text, adapter = (
        trained.texts[0],
        load_adapter(trained.folder, load_encoder(tiny_bert, "cpu", torch.float32)),
    )
    found = explain(adapter, text)
    (logits,) = adapter.logits([text], ("final",))
    assert [option.logit for option in found.options] == pytest.approx(logits[0].tolist(), abs=1e-3)
    for option in found.options:
        assert option.completeness_error <= option.bound


def test_adapters_of_before_are_read_as_before_and_say_that_they_need_contexts(trained, encoder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(trained.folder, old)
    for place in [*old.rglob("alone")]:
        shutil.rmtree(place)
    manifest = json.loads((old / "manifest.json").read_text())
    finish(old, {name: value for name, value in manifest.items() if name not in ("files", "digest")})
    adapter, texts = load_adapter(old, encoder), trained.texts[:4]
    expected = without_second_reading(trained.adapter)
    np.testing.assert_array_equal(adapter.predict(texts), expected.predict(texts))
    assert adapter.needs_context()
    assert adapter_reader(adapter, "d").description["needs_context"]
    np.testing.assert_array_equal(adapter.lone_thresholds, adapter.thresholds)


def test_both_readings_are_files_of_the_manifest_and_checked_again(trained, tiny_bert, encoder, tmp_path):
    files = set(verify(trained.folder)["files"])
    for place in ("", "folds/0/", "folds/2/"):
        assert {
            f"{place}alone/{name}" for name in ("head.safetensors", "wide.safetensors", "calibration.json")
        } <= files
    changed = tmp_path / "changed"
    shutil.copytree(trained.folder, changed)
    shutil.copy(changed / "head.safetensors", changed / "alone/head.safetensors")
    with pytest.raises(AdapterInvalidError, match="alone/head"):
        verify(changed)
    noted = tmp_path / "noted.npz"
    np.savez(
        noted,
        **dict(
            zip(
                trained.adapter.members,
                trained.adapter.logits(["court"], trained.adapter.members),
                strict=True,
            )
        ),
    )
    noted.with_suffix(".json").write_text(json.dumps({"texts": ["court"], "contexts": None}))
    assert check(trained.folder, tiny_bert, noted, "cpu")["largest_difference"] < 1e-3
    manifest = json.loads((changed / "manifest.json").read_text())
    finish(changed, {name: value for name, value in manifest.items() if name not in ("files", "digest")})
    with pytest.raises(AdapterInvalidError, match="final answers otherwise"):
        check(changed, tiny_bert, noted, "cpu")
