"""Two readings side by side: McNemar against scipy, Holm by hand, and differences that know chance from more."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, f1_score

from models.evaluation.paired import Side, common_cells, compare_sides, exact_p, holm, mcnemar
from models.scheme import MISSING


def side(labels, noise, seed):
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(labels.shape) < noise, 1 - labels, labels).astype(np.int8)
    return Side(np.where(said == 1, 0.8, 0.2).astype(np.float32), said)


@pytest.fixture
def labels():
    return (np.random.default_rng(0).random((600, 3)) < 0.3).astype(np.int8)


GROUPS = [f"case-{i % 60}" for i in range(600)]
KEYS = ["a", "b", "c"]


@pytest.mark.parametrize("pair", [(0, 0), (1, 0), (5, 5), (12, 3), (0, 40), (800, 700), (3000, 3300)])
def test_mcnemar_is_the_exact_binomial_test(pair):
    expected = binomtest(pair[0], sum(pair), 0.5).pvalue if sum(pair) else 1.0
    assert exact_p(*pair) == pytest.approx(expected, rel=1e-6)


def test_mcnemar_counts_cells_in_which_one_side_alone_is_right():
    labels = np.array([[1], [1], [0], [0], [MISSING]], np.int8)
    first = np.array([[1], [1], [0], [1], [1]], np.int8)
    second = np.array([[0], [1], [1], [0], [0]], np.int8)
    assert mcnemar(labels, first, second) == [{"only_first_right": 2, "only_second_right": 1, "p": 1.0}]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_better_reading_is_better_beyond_chance(labels):
    found = compare_sides(labels, side(labels, 0.05, 1), side(labels, 0.2, 2), GROUPS, KEYS, draws=300)
    assert (found["rows"], found["cells"], found["groups"]) == (600, 1800, 60)
    for name in ("f1", "average_precision"):
        low, high = found["macro"][name]["interval"]
        assert 0 < low < found["macro"][name]["difference"] < high
    for option in found["options"]:
        assert option["p_holm"] >= option["p"]
        assert option["p_holm"] < 0.001
        assert option["only_first_right"] > option["only_second_right"]
        assert option["always_no"] == pytest.approx(1 - option["positives"] / option["support"])


def test_the_differences_are_those_of_scikit_learn(labels):
    first, second = side(labels, 0.1, 1), side(labels, 0.3, 2)
    found = compare_sides(labels, first, second, GROUPS, KEYS, draws=10)
    for column, option in enumerate(found["options"]):
        truth = labels[:, column]
        expected = f1_score(truth, first.decisions[:, column]) - f1_score(truth, second.decisions[:, column])
        assert option["f1"]["difference"] == pytest.approx(expected)
        precision = average_precision_score(truth, first.probabilities[:, column])
        assert option["average_precision"]["first"] == pytest.approx(precision)


def test_equal_readings_do_not_differ(labels):
    one = side(labels, 0.1, 1)
    found = compare_sides(labels, one, one, GROUPS, KEYS, draws=50)
    assert found["macro"]["f1"]["interval"] == [0.0, 0.0]
    assert {option["p_holm"] for option in found["options"]} == {1.0}


def test_only_cells_that_both_have_read_are_compared(labels):
    first, second = side(labels, 0.1, 1), side(labels, 0.1, 2)
    first.probabilities[:400] = np.nan
    second.probabilities[:, 2] = np.nan
    common = common_cells(labels, first, second)
    assert (common[:400] == MISSING).all()
    assert (common[:, 2] == MISSING).all()
    found = compare_sides(labels, first, second, GROUPS, KEYS, draws=20)
    assert (found["rows"], [option["key"] for option in found["options"]]) == (200, ["a", "b"])
    first.probabilities[:] = np.nan
    assert compare_sides(labels, first, second, GROUPS, KEYS)["cells"] == 0
