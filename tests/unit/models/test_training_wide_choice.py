"""The wide branch with contexts: read where they help, left alone where they do not, and equal after saving."""

from __future__ import annotations

import json

import numpy as np
import polars
import pytest

from models.adapters.load import load_adapter
from models.adapters.wide import MARK, context_terms, count_terms, wide_logits
from models.data.context import EMPTY, Context
from models.training import run
from models.training.metrics import evaluate
from models.training.run import train
from models.training.wide import count_vocabulary, fit_wide
from models.training.wide_choice import choose_wide
from tests.tiny_encoder import synthetic_letters, write_training_folder

ROWS = 120


def told_by_the_heading():
    """Texts of chance words; the heading alone says the label."""
    draw = np.random.default_rng(0)
    words = np.array(["court", "judge", "year", "letter", "page", "order", "day", "case", "line", "time"])
    texts = [" ".join(draw.choice(words, 8)) for _ in range(ROWS)]
    labels = draw.integers(0, 2, (ROWS, 1)).astype(np.int8)
    around = [Context(headings="The Government" if label else "The applicant") for label in labels[:, 0]]
    return texts, around, labels, [f"case {row // 4}" for row in range(ROWS)]


def choice(wanted):
    texts, around, labels, groups = told_by_the_heading()
    terms, counts = count_vocabulary(texts, around)
    return choose_wide(counts, labels, np.arange(ROWS), groups, context_terms(terms), wanted, seed=0)


def test_contexts_are_read_where_they_rank_the_kept_part_better():
    found = choice("auto")
    assert found.context
    assert max(found.tried, key=found.tried.get).endswith("with context")
    assert found.tfidf.allowed is not None, "the baseline reads words alone"


def test_contexts_are_left_out_where_nothing_is_gained():
    texts, _, labels, groups = told_by_the_heading()
    shuffled = [Context(headings=f"Section {row % 3}") for row in range(ROWS)]
    named = [
        f"{text} {'agreed' if label else 'denied'}" for text, label in zip(texts, labels[:, 0], strict=True)
    ]
    terms, counts = count_vocabulary(named, shuffled)
    found = choose_wide(counts, labels, np.arange(ROWS), groups, context_terms(terms), "auto", seed=0)
    assert not found.context
    assert found.wide is found.tfidf


def test_contexts_that_are_not_wanted_are_not_tried():
    assert all("context" not in name for name in choice(False).tried)


def test_terms_of_contexts_are_counted_apart_from_those_of_texts():
    terms, counts = count_vocabulary(["the court", "the court"], [Context("the court"), Context("the court")])
    assert {f"headings{MARK}the court", "the court"} <= set(terms)
    again = count_terms(["the court"], terms, [Context("the court")])
    np.testing.assert_array_equal(again.toarray(), counts.toarray()[:1])
    alone = count_terms(["the court"], terms, [EMPTY]).toarray()[0]
    assert not alone[context_terms(terms)].any()
    np.testing.assert_array_equal(alone, count_terms(["the court"], terms).toarray()[0])


def test_signs_and_single_letters_are_words():
    terms, _ = count_vocabulary(["§ 8 ; ( a )", "§ 8 ; ( a )"])
    assert {"§ 8", "( a", ";"} <= set(terms)


def test_a_wide_branch_without_context_ignores_it():
    texts, around, labels, _ = told_by_the_heading()
    terms, counts = count_vocabulary(texts, around)
    words_only = choice(False).wide
    wide = fit_wide(counts, labels, np.arange(ROWS), 0, words_only)
    with_it, without = (wide_logits(wide, count_terms(texts[:5], terms, c)) for c in (around[:5], None))
    np.testing.assert_array_equal(with_it, without)


def test_an_adapter_reads_contexts_as_it_was_trained_to(tiny_bert, encoder, tmp_path, monkeypatch):
    """Trained, saved, loaded: the heading decides; held-out readings stand beside those without it."""
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)
    texts, _ = synthetic_letters(48, seed=2)
    labels = np.random.default_rng(1).integers(0, 2, (48, 3)).astype(np.int8)
    said = [Context(headings="yes heading" if row[0] else "no heading") for row in labels]
    source = write_training_folder(
        tmp_path / "in", tiny_bert, texts, labels, folds=2, epochs=1, max_tokens=32, context=True
    )
    frame = polars.read_ipc((source / "texts.arrow").read_bytes())
    frame = frame.with_columns(
        headings=polars.Series([context.headings for context in said]),
        before=polars.lit(""),
        after=polars.lit(""),
    )
    frame.write_ipc(source / "texts.arrow")
    train(source, tmp_path / "work", tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["macro"]["wide"]["pr_auc"] > report["macro"]["tfidf"]["pr_auc"]
    assert {"without_context", "wide"} <= set(report["macro"])
    adapter = load_adapter(tmp_path / "out", encoder)
    assert adapter.reads_context
    option = adapter.option_keys.index("remorse")
    yes, no = (
        adapter.predict(["the letter"], contexts=[Context(headings=words)])[0, option]
        for words in ("yes heading", "no heading")
    )
    assert yes > no
    alone, beside = (adapter.logits(["the letter"], ("final",), contexts=c)[0] for c in (None, said[:1]))
    assert not np.isclose(alone[0, option], beside[0, option])
    assert report["macro"]["without_context"]["f1"] == pytest.approx(
        served_alone(adapter, texts, labels, tmp_path)
    )


def served_alone(adapter, texts, labels, folder):
    """Macro-F1 of the held-out rows read without contexts, at the thresholds that the fold models are served with."""
    folds = polars.read_ipc(folder / "out/held_out.arrow")["fold"].to_numpy()
    read, decided = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, np.int8)
    for fold in (0, 1):
        rows = np.flatnonzero(folds == fold)
        read[rows] = adapter.predict([texts[row] for row in rows], f"fold{fold}")
        decided[rows] = adapter.loaded[f"fold{fold}"].reading(None).calibration.decide(read[rows])
    return evaluate(labels, read, decided, adapter.scheme).macro["f1"]


def test_an_adapter_that_counts_words_in_another_way_is_refused(tiny_bert, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)
    source = write_training_folder(
        tmp_path / "in", tiny_bert, *synthetic_letters(32, seed=3), folds=2, epochs=1
    )
    train(source, tmp_path / "work", tmp_path / "out")
    path = tmp_path / "out/wide.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokens": "else"}))
    with pytest.raises(ValueError, match="train it again"):
        load_adapter(tmp_path / "out", encoder)
