import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.metrics import (
    average_precision,
    calibration_error,
    evaluate,
    human_f1,
    option_metrics,
    question_metrics,
)

cells = st.lists(
    st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=150)
@given(cells)
def test_option_figures_equal_those_of_scikit_learn_on_the_known_labels(rows):
    labels, scores, said = (np.array(column) for column in zip(*rows, strict=True))
    found = option_metrics(labels.astype(np.int8), (scores / 20).astype(np.float32), said.astype(np.int8))
    known = labels != MISSING
    truth, scores, said = labels[known], scores[known] / 20, said[known]
    assert found.support == len(truth)
    if not len(truth) or not truth.any():
        assert np.isnan(found.f1) or said.any()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.precision_recall_fscore_support(truth, said, average="binary", zero_division=0)[
            :3
        ]
        assert (found.precision, found.recall, found.f1) == pytest.approx(expected)
        assert found.accuracy == pytest.approx(reference.accuracy_score(truth, said))
        assert found.pr_auc == pytest.approx(reference.average_precision_score(truth, scores), abs=1e-6)
        mcc = reference.matthews_corrcoef(truth, said)
    assert found.mcc == pytest.approx(mcc) or (np.isnan(found.mcc) and mcc == 0)
    assert found.prevalence + found.always_no == pytest.approx(1)


def test_average_precision_without_positives_is_undefined():
    assert np.isnan(average_precision(np.zeros(3, dtype=bool), np.arange(3)))


def test_calibration_error_of_perfect_and_of_overconfident_scores():
    rng = np.random.default_rng(0)
    scores = rng.random(50_000)
    truth = rng.random(50_000) < scores
    assert calibration_error(truth, scores) < 0.01
    assert calibration_error(truth, np.where(scores > 0.5, 1.0, 0.0)) == pytest.approx(0.25, abs=0.01)


def scheme():
    return Scheme(
        (
            Question("set", QuestionKind.YES_NO_SET, (Option("a", 0), Option("never", 1))),
            Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 2), Option("y", 3))),
        )
    )


def test_macro_leaves_out_options_without_positives_and_says_which():
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [1, 0, -1, -1]], dtype=np.int8)
    probabilities = np.array(
        [[0.9, 0.1, 0.6, 0.4], [0.2, 0.1, 0.7, 0.3], [0.4, 0.1, 0.5, 0.5]], dtype=np.float32
    )
    decisions = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]], dtype=np.int8)
    found = evaluate(labels, probabilities, decisions, scheme())
    assert found.options_without_positives == ("never",)
    assert found.macro["f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found.micro["accuracy"] == pytest.approx(7 / 10)
    assert found.questions["one"].accuracy == 0.5
    assert found.questions["one"].confusion == ((1, 0), (1, 0))
    assert json.loads(json.dumps(found.to_document()))["options"]["never"]["f1"] is None


def test_choose_one_figures_equal_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    given_options = rng.integers(0, 3, 200)
    labels = np.eye(3, dtype=np.int8)[given_options]
    probabilities = rng.dirichlet([1, 1, 1], 200).astype(np.float32)
    found = question_metrics(labels, probabilities)
    decided = probabilities.argmax(axis=1)
    assert found.accuracy == pytest.approx(reference.accuracy_score(given_options, decided))
    assert found.macro_f1 == pytest.approx(reference.f1_score(given_options, decided, average="macro"))
    assert found.log_loss == pytest.approx(
        -np.log(probabilities[np.arange(200), given_options]).mean(), abs=1e-5
    )


def test_a_question_nobody_answered_has_no_figures():
    found = question_metrics(np.full((4, 2), MISSING, dtype=np.int8), np.full((4, 2), 0.5, dtype=np.float32))
    assert found.support == 0
    assert np.isnan(found.accuracy)


def test_human_f1_is_symmetric_and_counts_only_cells_both_gave():
    first = np.array([[1, 0], [1, -1], [0, 1], [1, 1]], dtype=np.int8)
    second = np.array([[1, 0], [1, 1], [1, -1], [0, 1]], dtype=np.int8)
    found = human_f1(first, second, ["a", "b"])
    assert found == human_f1(second, first, ["a", "b"])
    assert found["options"]["a"] == {"rows": 4, "f1": pytest.approx(4 / 6, abs=1e-6)}
    assert found["options"]["b"] == {"rows": 2, "f1": 1.0}
