from dataclasses import replace

import numpy as np
import pytest

from models.audit.evidence import Annotations, Evidence
from models.audit.neighbours import similar_texts
from models.audit.stack import annotated, blocks
from models.audit.suspicion import score
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme

SET = Question("set", QuestionKind.YES_NO_SET, tuple(Option(key, i) for i, key in enumerate("abc")))
ONE = Question("one", QuestionKind.CHOOSE_ONE, tuple(Option(key, 3 + i) for i, key in enumerate("xyz")))
SCHEME = Scheme((SET, ONE))
ROWS = 240


@pytest.fixture
def evidence():
    """Twelve cases of twenty texts with every kind of evidence; annotators 0, 1 and 2 take turns by text."""
    rng = np.random.default_rng(3)
    truth = np.zeros((ROWS, 6), dtype=np.int8)
    truth[:, :3] = rng.random((ROWS, 3)) < 0.4
    truth[:, 3:] = np.eye(3, dtype=np.int8)[rng.integers(0, 3, ROWS)]
    seen = (truth * 2.0 - 1) * 1.5 + rng.normal(0, 1, truth.shape)
    probabilities = (1 / (1 + np.exp(-seen))).astype(np.float32)
    return Evidence(
        probabilities,
        truth,
        SCHEME,
        [f"case-{row // 20}" for row in range(ROWS)],
        order=list(range(ROWS)),
        embeddings=(seen + rng.normal(0, 1, seen.shape)).astype(np.float32),
        probe_logits=(seen + rng.normal(0, 1, seen.shape)).astype(np.float32),
        annotations=Annotations(np.arange(ROWS), np.arange(ROWS) % 3, truth.copy()),
    )


def test_a_texts_own_given_values_are_in_no_block_but_the_given_one(evidence):
    """The other blocks of the text stay bit-equal however all of its own cells are turned."""
    turned = evidence.labels.copy()
    turned[7, :3] = 1 - turned[7, :3]
    turned[7, 3:] = np.roll(turned[7, 3:], 1)
    near = similar_texts(evidence.embeddings, evidence.labels, evidence.groups)
    nobody = np.zeros(ROWS, dtype=np.bool_)
    before, after = (
        blocks(replace(evidence, labels=given), near, nobody) for given in (evidence.labels, turned)
    )
    for name in before.keys() - {"given", "habit"}:
        assert np.array_equal(before[name][7], after[name][7]), name
    np.testing.assert_allclose(before["habit"][7], after["habit"][7], atol=1e-12)  # sums less their own part
    assert not np.array_equal(before["given"][7], after["given"][7])


@pytest.mark.parametrize(("row", "design"), [(7, "whole"), (7, "lean"), (239, "whole")])
def test_turning_a_cell_does_not_move_the_probability_that_judges_it(evidence, row, design):
    turned = evidence.labels.copy()
    turned[row, 1] = 1 - turned[row, 1]
    before, after = (
        score(given, design=design).stacked for given in (evidence, replace(evidence, labels=turned))
    )
    assert before[row, 1] == after[row, 1]  # bit-equal
    assert not np.allclose(before[:, 0], after[:, 0], atol=1e-6)  # but other cells may hear of it


def test_turning_a_choice_does_not_move_the_probabilities_that_judge_it(evidence):
    turned = evidence.labels.copy()
    turned[7, 3:] = np.roll(turned[7, 3:], 1)
    before, after = score(evidence).stacked, score(replace(evidence, labels=turned)).stacked
    assert np.array_equal(before[7, 3:], after[7, 3:])


def test_whether_an_option_is_learnt_is_not_for_the_cell_itself_to_decide(evidence):
    """The option has one yes too few or just enough, by the very cell that is judged."""
    few = evidence.labels.copy()
    few[:, 1] = 0
    few[[20, 60, 100, 140], 1] = 1  # four cases
    more = few.copy()
    more[7, 1] = 1
    before, after = (score(replace(evidence, labels=given)).stacked for given in (few, more))
    assert before[7, 1] == after[7, 1]


def test_the_order_of_texts_does_not_matter(evidence):
    shuffled = np.random.default_rng(0).permutation(ROWS)
    moved = replace(
        evidence,
        probabilities=evidence.probabilities[shuffled],
        labels=evidence.labels[shuffled],
        groups=[evidence.groups[row] for row in shuffled],
        order=[evidence.order[row] for row in shuffled],
        embeddings=evidence.embeddings[shuffled],
        probe_logits=evidence.probe_logits[shuffled],
        annotations=Annotations(np.arange(ROWS), shuffled % 3, evidence.labels[shuffled]),
    )
    straight, permuted = score(evidence), score(moved)
    for name, scores in straight.every.items():
        assert permuted.every[name] == pytest.approx(scores[shuffled], abs=2e-3), name


def test_every_score_is_kept_by_name_with_the_same_gaps(evidence):
    evidence.probabilities[5] = np.nan
    evidence.labels[6, 1] = MISSING
    evidence.labels[8, 3:] = MISSING
    found = score(evidence)
    names = {"self_confidence", "margin", "confident_learning", "knn", "stacked", "unlimited"}
    assert set(found.every) == names
    expected = np.zeros((ROWS, len(SCHEME.cells)), dtype=np.bool_)
    expected[5], expected[6, 1], expected[8, 3] = True, True, True
    for name, scores in found.every.items():
        assert scores.dtype == np.float32, name
        assert np.array_equal(np.isnan(scores), expected), name
        assert (scores[~expected] >= 0).all(), name
        assert (scores[~expected] <= 1).all(), name
    assert found.scores is found.every["stacked"]


def test_choose_one_cells_are_judged_with_annotators_too(evidence):
    found = score(evidence)
    assert found.parameters["annotators"] == 3
    assert np.isfinite(found.scores[:, 3]).all()


def test_annotators_are_counted_by_name():
    found = annotated([0, 1, 1], ["vera", "ada", "vera"], np.ones((3, 1), dtype=np.int8))
    assert found.annotators.tolist() == [1, 0, 1]
    assert found.texts.tolist() == [0, 1, 1]


def test_beginning_with_some_of_the_rows_ends_at_the_same_fit(evidence, monkeypatch):
    """Where there are many rows a fit begins on every so-manyth; what it ends at, and what judges a cell, stay the same."""
    straight = score(evidence)
    monkeypatch.setattr("models.audit.stack_fits.FIRST_ROWS", 80)
    begun = score(evidence)
    assert begun.scores == pytest.approx(straight.scores, abs=1e-2, nan_ok=True)
    turned = evidence.labels.copy()
    turned[7, 0] = 1 - turned[7, 0]
    moved = score(replace(evidence, labels=turned, annotations=None)).stacked
    assert moved[7, 0] == score(replace(evidence, annotations=None)).stacked[7, 0]
