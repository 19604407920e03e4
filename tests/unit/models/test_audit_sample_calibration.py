"""Error probabilities: when they are claimed, that they hold, and what follows from them."""

import numpy as np
import pytest

from models.audit.sample.calibration import (
    Calibration,
    NotCalibrated,
    brier_skill,
    calibrate,
    cross_fitted,
    observed_and_expected,
)
from models.audit.sample.design import AuditDesign, draw_audit
from models.audit.sample.flags import budget_curve, flags_by_rate
from models.audit.sample.totals import estimate_total
from models.training.logistic import sigmoid

CELLS = 6000
ODDS = -3 + 2 * np.random.default_rng(0).standard_normal(CELLS)
CHANCE = np.asarray(sigmoid(ODDS))
SUSPICION = np.asarray(sigmoid(0.5 * ODDS + 1))
"""Orders as the truth does, but is far too high."""
ONES = np.ones(CELLS)


@pytest.fixture(scope="module")
def wrong():
    return np.random.default_rng(1).random(CELLS) < CHANCE


@pytest.fixture(scope="module")
def fitted(wrong):
    rows = np.random.default_rng(2).choice(CELLS, 900, replace=False)
    found = calibrate(SUSPICION[rows], wrong[rows], np.full(900, 900 / CELLS), rows)
    assert isinstance(found, Calibration)
    return found


def test_below_200_decisions_or_five_errors_suspicion_stays_suspicion(wrong):
    few = calibrate(SUSPICION[:199], wrong[:199], ONES[:199], np.arange(199))
    assert isinstance(few, NotCalibrated)
    assert "from 200 on" in few.reason
    right = np.flatnonzero(~wrong)[:300]
    clean = calibrate(SUSPICION[right], wrong[right], ONES[:300], right)
    assert isinstance(clean, NotCalibrated)
    assert clean.errors == 0
    for errors, kind in ((4, NotCalibrated), (5, Calibration)):
        rows = np.concatenate([right, np.flatnonzero(wrong)[:errors]])
        found = calibrate(SUSPICION[rows], wrong[rows], ONES[: len(rows)], rows)
        assert isinstance(found, kind), errors
        assert found.errors == errors


def test_over_samples_sums_are_divided_and_not_ratios_averaged():
    """Half of the samples expect one error and half three, all find two: sums say 1, the mean of ratios 1.33."""
    summed = [observed_and_expected(np.full(4, p), np.array([1, 1, 0, 0]), ONES[:4], 2) for p in (0.25, 0.75)]
    above, below = np.sum(summed, axis=0)
    assert above[0] / below[0] == pytest.approx(1.0)
    assert np.mean([observed[0] / expected[0] for observed, expected in summed]) == pytest.approx(4 / 3)


def test_probabilities_hold_where_suspicion_did_not(fitted):
    observed, expected = observed_and_expected(SUSPICION, CHANCE, ONES)
    assert observed[0] / expected[0] < 0.4
    observed, expected = observed_and_expected(fitted.apply(SUSPICION), CHANCE, ONES)
    ratios = observed / expected
    assert ratios == pytest.approx(np.ones(6), abs=0.25)


def test_they_say_more_than_the_rate_and_keep_the_order(fitted, wrong):
    said = fitted.apply(SUSPICION)
    assert brier_skill(said, wrong, ONES) > 0.1
    assert (np.diff(said[np.argsort(SUSPICION)]) >= 0).all()
    assert np.isnan(fitted.apply(np.array([np.nan, 0.5]))).tolist() == [True, False]


def test_uneven_probabilities_are_weighed_out(wrong):
    rng = np.random.default_rng(5)
    inclusion = np.where(SUSPICION > 0.7, 0.5, 0.1)
    lied = np.where(SUSPICION > 0.7, wrong, rng.random(CELLS) < 0.02)
    rows = np.flatnonzero(rng.random(CELLS) < inclusion)
    found = calibrate(SUSPICION[rows], lied[rows], inclusion[rows], rows)
    assert found.apply(SUSPICION).sum() == pytest.approx(lied.sum(), rel=0.2)


def test_many_decisions_may_take_steps():
    rng = np.random.default_rng(6)
    suspicion = rng.random(4000)
    wrong = rng.random(4000) < np.where(suspicion > 0.6, 0.5, np.where(suspicion > 0.55, 0.3, 0.02))
    found = calibrate(suspicion, wrong, np.ones(4000), np.arange(4000))
    assert found.steps is not None
    assert found.apply(np.array([0.3, 0.9])) == pytest.approx([0.02, 0.5], abs=0.1)


def test_flags_keep_the_rate_and_caution_flags_fewer(fitted, wrong):
    scores = SUSPICION.astype(np.float32).reshape(-1, 4)
    scores[0, 0] = np.nan
    flags = flags_by_rate(fitted, scores, rate=0.5)
    assert not flags[0, 0]
    right = (~wrong.reshape(-1, 4))[flags].mean()
    assert right == pytest.approx(0.5, abs=0.12)
    assert 0 < flags_by_rate(fitted, scores, rate=0.5, confidence=0.95).sum() < flags.sum()
    assert not flags_by_rate(fitted, np.full((2, 2), 0.01, dtype=np.float32), rate=0.01).any()


def test_the_curve_tells_what_reading_the_top_finds(fitted, wrong):
    reviewed = np.array([0, 100, 500, 10 * CELLS])
    curve = budget_curve(fitted, SUSPICION.astype(np.float32), reviewed)
    order = np.argsort(-SUSPICION.astype(np.float32), kind="stable")
    finds = np.append(0, np.cumsum(wrong[order]))[np.minimum(reviewed, CELLS)]
    assert curve.reviewed.tolist() == [0, 100, 500, CELLS]
    assert ((curve.low <= finds) & (finds <= curve.high)).all()
    assert (curve.high - curve.low)[1:].min() > 0


def test_expectations_for_totals_are_fitted_without_the_text(wrong):
    sample = draw_audit(AuditDesign(600, 1, bands=1), [str(i) for i in range(CELLS)])
    found, cells = wrong[sample.rows].astype(np.int64), np.ones(CELLS, dtype=np.int64)
    centred = cross_fitted(sample, SUSPICION, found, cells)
    turned = found.copy()
    turned[0] = 1 - turned[0]
    assert cross_fitted(sample, SUSPICION, turned, cells)[0] == centred[0]
    skipped = np.zeros(600, dtype=np.int64)
    plain = estimate_total(sample, found, skipped, CELLS)
    helped = estimate_total(sample, found, skipped, CELLS, centred=centred)
    assert helped.standard_error < plain.standard_error
    assert helped.low <= wrong.sum() <= helped.high
