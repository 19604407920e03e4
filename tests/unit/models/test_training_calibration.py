import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.calibration import (
    Calibration,
    best_threshold,
    cross_fit,
    decide,
    fit_calibration,
    logit,
    sigmoid,
)
from models.training.metrics import calibration_error


def yes_no(options):
    return Scheme(
        (Question("q", QuestionKind.YES_NO_SET, tuple(Option(f"o{i}", i) for i in range(options))),)
    )


def one_of(options):
    return Scheme(
        (Question("q", QuestionKind.CHOOSE_ONE, tuple(Option(f"o{i}", i) for i in range(options))),)
    )


def simulated(rows, slope, intercept, seed=0, spread=2.0):
    """Logits whose true probability is sigmoid(slope · logit + intercept), and labels drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, spread, (rows, len(slope))).astype(np.float32)
    labels = (rng.random(logits.shape) < sigmoid(logits * np.array(slope) + np.array(intercept))).astype(
        np.int8
    )
    return logits, labels


def test_platt_recovers_slope_and_intercept_of_options_with_many_positives():
    logits, labels = simulated(20_000, [0.5, 2.0], [-1.0, 0.5])
    found = fit_calibration(logits, labels, yes_no(2))
    assert found.slopes == pytest.approx([0.5, 2.0], rel=0.08)
    assert found.intercepts == pytest.approx([-1.0, 0.5], abs=0.1)


def test_calibration_lowers_the_calibration_error():
    logits, labels = simulated(8000, [0.4], [-2.0])
    found = fit_calibration(logits[:4000], labels[:4000], yes_no(1))
    before = calibration_error(labels[4000:, 0] == 1, sigmoid(logits[4000:, 0]))
    after = calibration_error(labels[4000:, 0] == 1, found.apply(logits[4000:])[:, 0])
    assert after < before / 4


def test_a_rare_option_follows_the_pool():
    logits, labels = simulated(3000, [0.6, 0.6, 0.6], [-1.0, -1.0, -1.0])
    few = labels[:, 2:].copy()
    few[:] = 0
    few[np.argsort(logits[:, 2])[1490:1500:4]] = 1  # three positives, all where the model is undecided
    pooled = fit_calibration(logits[:, :2], labels[:, :2], yes_no(2)).slopes.mean()
    together = fit_calibration(logits, np.hstack([labels[:, :2], few]), yes_no(3)).slopes[2]
    alone = fit_calibration(logits[:, 2:], few, yes_no(1)).slopes[0]
    assert abs(together - pooled) < abs(alone - pooled)
    assert together > pooled / 3


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_calibration_never_turns_the_order_around(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (40, 3)).astype(np.float32)
    labels = rng.integers(-1, 2, (40, 3)).astype(np.int8)
    found = fit_calibration(logits, labels, yes_no(3))
    for column in range(3):
        ordered = found.apply(logits)[np.argsort(logits[:, column]), column]
        assert (np.diff(ordered) >= -1e-7).all()
    assert np.isfinite(found.thresholds).all()


def test_missing_labels_do_not_count():
    logits, labels = simulated(2000, [1.0], [-0.5])
    scrambled = np.concatenate([labels, np.full_like(labels, MISSING)])
    both = np.concatenate([logits, -logits])
    first, second = (fit_calibration(x, y, yes_no(1)) for x, y in ((logits, labels), (both, scrambled)))
    assert first.slopes == pytest.approx(second.slopes, abs=1e-6)
    assert first.thresholds == pytest.approx(second.thresholds)


def test_an_option_without_labels_or_positives_stays_usable():
    logits = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    labels = np.zeros((50, 2), dtype=np.int8)
    labels[:, 1] = MISSING
    found = fit_calibration(logits, labels, yes_no(2))
    assert found.thresholds.tolist() == [0.5, 0.5]
    assert np.isfinite(found.apply(logits)).all()


def test_choose_one_gets_a_temperature_and_sums_to_one():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (6000, 4))
    labels = np.zeros((6000, 4), dtype=np.int8)
    powers = np.exp(true)
    draws = (rng.random((6000, 1)) > np.cumsum(powers / powers.sum(1, keepdims=True), axis=1)).sum(axis=1)
    labels[np.arange(6000), draws] = 1
    found = fit_calibration((true * 3).astype(np.float32), labels, one_of(4))
    assert found.slopes == pytest.approx([1 / 3] * 4, rel=0.08)
    assert found.apply((true * 3).astype(np.float32)).sum(axis=1) == pytest.approx(np.ones(6000), abs=1e-5)


def test_the_threshold_maximises_f1_where_there_are_many_positives():
    rng = np.random.default_rng(1)
    probabilities = rng.beta(0.5, 4, 30_000).astype(np.float32)
    labels = (rng.random(30_000) < probabilities).astype(np.int8)
    found = best_threshold(probabilities, labels)

    def f1(threshold):
        said = probabilities >= threshold
        return 2 * (said & (labels == 1)).sum() / (said.sum() + labels.sum())

    assert f1(found) >= max(f1(t) for t in np.linspace(0.05, 0.95, 60)) - 0.004


def test_the_threshold_of_a_rare_option_is_drawn_to_one_half():
    probabilities = np.linspace(0.001, 0.2, 500).astype(np.float32)
    few, many = np.zeros(500, dtype=np.int8), np.zeros(500, dtype=np.int8)
    few[-2:], many[-200:] = 1, 1
    assert best_threshold(few * 0 + probabilities, few) > best_threshold(probabilities, many)
    maximiser = float(probabilities[-3:-1].mean())
    assert logit(best_threshold(probabilities, few)) == pytest.approx(logit(maximiser) * 2 / 12, abs=1e-3)


def test_decisions_follow_thresholds_and_the_largest_option():
    probabilities = np.array([[0.4, 0.2, 0.5, 0.3], [0.6, np.nan, 0.1, 0.9]], dtype=np.float32)
    thresholds = np.array([0.5, 0.1, 0.5, 0.5], dtype=np.float32)
    assert decide(probabilities, thresholds, [(2, 3)]).tolist() == [[0, 1, 1, 0], [1, -1, 0, 1]]


def test_each_fold_is_calibrated_without_its_own_labels():
    logits, labels = simulated(600, [0.7], [-1.0])
    folds = np.arange(600, dtype=np.int32) % 3
    first = cross_fit(logits, labels, folds, yes_no(1))
    turned = labels.copy()
    turned[folds == 0] = 1 - turned[folds == 0]
    second = cross_fit(logits, turned, folds, yes_no(1))
    assert np.array_equal(first.probabilities[folds == 0], second.probabilities[folds == 0])
    assert not np.array_equal(first.probabilities[folds == 1], second.probabilities[folds == 1])
    assert len(first.calibrations) == 3


def test_rows_outside_every_fold_get_nothing():
    logits, labels = simulated(60, [1.0], [0.0])
    folds = np.arange(60, dtype=np.int32) % 3 - 1
    found = cross_fit(logits, labels, folds, yes_no(1))
    assert np.isnan(found.probabilities[folds < 0]).all()
    assert (found.decisions[folds < 0] == MISSING).all()
    assert np.isfinite(found.probabilities[folds >= 0]).all()


def test_a_calibration_survives_its_document():
    found = Calibration(
        np.array([0.5, 2.0]), np.array([0.1, 0.0]), np.array([0.3, 0.5], dtype=np.float32), ((0, 1),)
    )
    again = Calibration.from_document(found.to_document(["a", "b"]))
    assert again.to_document(["a", "b"]) == found.to_document(["a", "b"])
    assert again.softmax == ((0, 1),)
