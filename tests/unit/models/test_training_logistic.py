import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.training.logistic import fit_logistic, logit, sigmoid


def data(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    design = np.column_stack([rng.normal(size=(rows, 3)), np.ones(rows)])
    truth = (rng.random(rows) < sigmoid(design @ [1.0, -2.0, 0.0, 0.5])).astype(float)
    return design, truth


def test_around_zero_it_is_ridge_logistic_regression():
    design, truth = data()
    expected = LogisticRegression(C=0.25, fit_intercept=False, tol=1e-8).fit(design, truth).coef_[0]
    for dtype in (np.float64, np.float32):
        found = fit_logistic(design.astype(dtype), truth, np.zeros(4), np.full(4, 4.0))
        assert found == pytest.approx(expected, abs=2e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-3, 3))
def test_without_data_the_answer_is_the_prior_and_bounds_hold(seed, slope, bound):
    prior = np.array([slope, 0.0, 0.0, 0.0])
    assert fit_logistic(np.zeros((0, 4)), np.zeros(0), prior, np.ones(4)) == pytest.approx(prior)
    lowest = np.array([bound, -np.inf, -np.inf, -np.inf])
    assert fit_logistic(*data(60, seed), prior, np.ones(4), lowest)[0] >= bound


def test_the_search_ends_in_the_same_place_wherever_it_begins():
    design, truth = data()
    first = fit_logistic(design, truth, np.zeros(4), np.ones(4))
    far = fit_logistic(design, truth, np.zeros(4), np.ones(4), start=np.array([5.0, 5.0, -5.0, 3.0]))
    assert far == pytest.approx(first, abs=5e-3)


def test_separable_data_has_a_finite_answer():
    design = np.column_stack([np.repeat([-1.0, 1.0], 50), np.ones(100)])
    found = fit_logistic(design, np.repeat([0.0, 1.0], 50), np.zeros(2), np.ones(2))
    assert 1 < found[0] < 10


@given(st.floats(-25, 25))
def test_logit_inverts_sigmoid(value):
    assert logit(sigmoid(value), 1e-12) == pytest.approx(value, abs=1e-4)
