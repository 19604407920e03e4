"""Error totals: the estimator by hand, what a useless expectation costs, skips, readers who err."""

import numpy as np
import pytest

from models.audit.sample.design import AuditDesign, AuditSample, draw_audit
from models.audit.sample.readers import (
    corrected_by_each_other,
    corrected_with_estimated_rates,
    rogan_gladen,
    two_readers,
    wilson,
)
from models.audit.sample.totals import difference_estimate, estimate_total, total_interval

NONE = np.zeros(6, dtype=np.int64)
STRATUM = np.repeat([0, 1], [60, 40]).astype(np.int32)
SAMPLE = AuditSample(np.array([0, 1, 2, 60, 61, 62]), STRATUM, np.array([60, 40]), np.array([3, 3]))


def test_without_expectation_the_total_is_the_weighted_sum_and_its_variance_cochran_s():
    found = estimate_total(SAMPLE, np.array([0, 1, 0, 1, 1, 0]), NONE, 100)
    assert found.total == pytest.approx(20 * 1 + 40 / 3 * 2)
    variance = sum(n**2 * (1 - 3 / n) / 3 * (1 / 3) for n in (60, 40))
    assert found.standard_error == pytest.approx(variance**0.5)
    assert found.low < found.total < found.high


def test_each_slope_is_fitted_without_its_own_text():
    errors, expected = np.array([[0.0, 1, 0, 2, 0, 1]]), np.array([[-1.0, 0.5, -0.2, 1.5, -0.7, 0.9]])
    strata, sizes = np.zeros(6, dtype=np.int32), np.array([600])
    slopes = []
    for left_out in range(6):
        e, q = np.delete(errors[0], left_out), np.delete(expected[0], left_out)
        product = (e - e.mean()) * (q - q.mean())
        slopes.append(product.sum() / ((q - q.mean()) ** 2).sum())
    unshrunk = difference_estimate(errors, expected, strata, sizes, doubt=0.0)
    weighted = 100 * (errors[0] - np.array(slopes) * expected[0]).sum()
    assert unshrunk.total[0] == pytest.approx(weighted)
    assert unshrunk.slope[0] == pytest.approx(np.mean(slopes))


def test_a_good_expectation_narrows_and_its_scale_does_not_matter():
    rng = np.random.default_rng(1)
    expected = rng.beta(0.3, 3, 4000)
    wrong = (rng.random(4000) < expected).astype(np.int64)
    sample = draw_audit(AuditDesign(800, 4, bands=1), [str(i) for i in range(4000)])
    skipped = np.zeros(800, dtype=np.int64)
    plain = estimate_total(sample, wrong[sample.rows], skipped, 4000)
    helped = estimate_total(sample, wrong[sample.rows], skipped, 4000, expected)
    halved = estimate_total(sample, wrong[sample.rows], skipped, 4000, expected / 2)
    assert helped.standard_error < 0.9 * plain.standard_error
    assert halved.total == pytest.approx(helped.total)
    assert helped.low <= wrong.sum() <= helped.high


def test_where_all_drawn_texts_have_one_expectation_it_says_nothing():
    """A slope fitted to rounding once told that every label was wrong."""
    expected = np.full(6000, 0.024)
    expected[5000:] = 2.4
    rows = np.arange(300)
    sample = AuditSample(rows, np.zeros(6000, dtype=np.int32), np.array([6000]), np.array([300]))
    wrong = (rows % 30 == 0).astype(np.int64)
    plain = estimate_total(sample, wrong, 0 * rows, 6000)
    helped = estimate_total(sample, wrong, 0 * rows, 6000, expected)
    assert helped.slope == 0
    assert (helped.low, helped.total, helped.high) == (plain.low, plain.total, plain.high)


def test_skips_count_against():
    wrong, skipped = np.array([0, 1, 0, 0, 0, 0]), np.array([0, 0, 0, 1, 0, 0])
    with_skip, without = (
        estimate_total(SAMPLE, wrong, skipped, 1000),
        estimate_total(SAMPLE, wrong, NONE, 1000),
    )
    assert with_skip.total > with_skip.total_without_skips == without.total
    assert with_skip.high > without.high
    assert with_skip.low == without.low


def test_no_error_found_still_leaves_some_possible_and_a_census_leaves_none():
    found = estimate_total(SAMPLE, NONE, NONE, 100)
    assert found.total == found.low == 0
    assert found.high == pytest.approx(20 * 3.689, rel=0.01)
    everyone = AuditSample(np.arange(100), STRATUM, np.array([60, 40]), np.array([60, 40]))
    wrong = (np.arange(100) % 7 == 0).astype(np.int64)
    census = estimate_total(everyone, wrong, 0 * wrong, 100)
    assert (census.low, census.total, census.high) == (15, 15, 15)


def test_all_wrong_among_those_read_are_not_all_wrong_everywhere():
    """100 of 6,000 read, all wrong: up to 3.6 % could still be right (1 − .025^(1/100))."""
    sample = AuditSample(np.arange(100), np.zeros(6000, dtype=np.int32), np.array([6000]), np.array([100]))
    none, ones = np.zeros(100, dtype=np.int64), np.ones(100, dtype=np.int64)
    all_wrong, all_right = estimate_total(sample, ones, none, 6000), estimate_total(sample, none, none, 6000)
    assert (all_wrong.total, all_wrong.high) == (6000, 6000)
    assert all_wrong.low == pytest.approx(6000 - all_right.high)
    assert all_wrong.low < 6000 * 0.025 ** (1 / 100)
    few_right = np.append(np.zeros(3, dtype=np.int64), np.ones(97, dtype=np.int64))
    turned, straight = (
        estimate_total(sample, few_right, none, 6000),
        estimate_total(sample, 1 - few_right, none, 6000),
    )
    assert (turned.low, turned.high) == pytest.approx((6000 - straight.high, 6000 - straight.low))


def test_a_few_texts_with_many_cells_may_be_the_ones_not_seen():
    """One text in ten has twelve labels, the others one; a wrong text is wrong in most of its labels."""
    rng = np.random.default_rng(7)
    cells = np.where(rng.random(6000) < 0.1, 12, 1)
    wrong = np.where(rng.random(6000) < 0.03, rng.binomial(cells, 0.8), 0)
    held = {"most": [], "average": []}
    for _ in range(300):
        rows = rng.choice(6000, 300, replace=False)
        sample = AuditSample(rows, np.zeros(6000, dtype=np.int32), np.array([6000]), np.array([300]))
        for name, given in (("most", cells), ("average", int(cells.sum()))):
            found = estimate_total(sample, wrong[rows], 0 * rows, given)
            held[name].append(found.low <= wrong.sum() <= found.high)
    assert np.mean(held["average"]) < 0.9
    assert np.mean(held["most"]) > 0.93


def test_at_small_counts_the_interval_covers_where_a_normal_one_does_not():
    counts = np.random.default_rng(2).poisson(1.5, 4000).astype(np.float64)
    total, variance = 100 * counts, 100.0**2 * counts
    low, high = total_interval(total, variance, 100.0, 30_000)
    assert ((low <= 150) & (high >= 150)).mean() > 0.95
    assert (np.abs(total - 150) <= 1.96 * np.sqrt(variance)).mean() < 0.9


def test_errors_that_come_in_clumps_need_more_room_above():
    """One text in two hundred is wrong, in one to twelve of its cells: one more such text adds several."""
    rng = np.random.default_rng(3)
    errors = rng.integers(1, 13, (4000, 300)) * (rng.random((4000, 300)) < 0.005).astype(np.float64)
    found = difference_estimate(
        errors, 0 * errors, np.zeros(300, dtype=np.int32), np.array([30_000]), cells_a_text=12
    )
    covered = []
    for largest in (100.0, 100.0 * found.clump):
        low, high = total_interval(found.total, found.variance, largest, 360_000)
        covered.append(((low <= 975) & (high >= 975)).mean())
    assert covered[0] < 0.8
    assert covered[1] > 0.95


def test_a_text_of_one_cell_knows_no_clumps():
    errors = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = difference_estimate(errors, 0 * errors, np.zeros(3, dtype=np.int32), np.array([30]))
    assert found.clump.tolist() == [1.0, 1.0]


def test_a_reading_of_another_sample_is_refused():
    with pytest.raises(ValueError, match="5 readings for 6"):
        estimate_total(SAMPLE, NONE[:5], NONE[:5], 100)


def test_rogan_and_gladen_give_back_what_a_known_reader_distorts():
    cells, true, sensitivity, specificity = 10_000, 500, 0.9, 0.98
    seen = true * sensitivity + (cells - true) * (1 - specificity)
    found = rogan_gladen(seen, seen - 100, seen + 100, cells, sensitivity, specificity)
    assert float(found[0]) == pytest.approx(true)
    assert found[1] < true < found[2]
    with pytest.raises(ValueError, match="says nothing"):
        rogan_gladen(seen, seen, seen, cells, 0.5, 0.5)


def test_reader_rates_that_are_estimated_widen_the_interval():
    sure = corrected_with_estimated_rates(650, 50, 10_000, (9000, 10_000), (9800, 10_000))
    unsure = corrected_with_estimated_rates(650, 50, 10_000, (27, 30), (98, 100))
    assert sure[0] == pytest.approx(unsure[0])
    assert unsure[2] - unsure[1] > sure[2] - sure[1]


def test_two_readers_tell_what_each_misses():
    rng = np.random.default_rng(3)
    wrong = rng.random(20_000) < 0.1
    seen = [np.where(wrong, rng.random(20_000) < se, rng.random(20_000) < 0.01) for se in (0.9, 0.7)]
    final = np.where(seen[0] == seen[1], seen[0], wrong)
    found = two_readers(seen[0], seen[1], final)
    assert found.sensitivity is not None
    for rate, true in zip(found.sensitivity, (0.9, 0.7), strict=True):
        assert rate.low <= true <= rate.high
    assert found.together_sensitivity == pytest.approx(0.97, abs=0.01)
    missed_by_both = (wrong & ~seen[0] & ~seen[1]).sum()
    assert found.missed == pytest.approx(missed_by_both, rel=0.4)
    assert all(rate.value == pytest.approx(0.99, abs=0.005) for rate in found.specificity)


def test_few_errors_say_nothing_of_sensitivity_and_contradictions_are_refused():
    quiet = np.zeros(50, dtype=np.bool_)
    assert two_readers(quiet, quiet, quiet).sensitivity is None
    with pytest.raises(ValueError, match="both agree"):
        two_readers(quiet, quiet, ~quiet)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_what_is_not_known_of_two_readers_sensitivity_widens_their_corrected_total():
    """Each sees every second error; with their joint sensitivity taken as known .90 of these intervals held."""
    rng = np.random.default_rng(8)
    wrong = rng.random(8000) < 0.1
    held = {"known": [], "estimated": []}
    for _ in range(300):
        rows = rng.choice(8000, 1000, replace=False)
        first, second = (wrong[rows] & (rng.random(1000) < 0.5) for _ in range(2))
        pair = two_readers(first, second, first | second)
        sample = AuditSample(rows, np.zeros(8000, dtype=np.int32), np.array([8000]), np.array([1000]))
        seen = estimate_total(sample, (first | second).astype(np.int64), 0 * rows, 8000)
        assert pair.together_sensitivity is not None
        assert pair.doubt is not None
        for name, doubt in (("known", 0.0), ("estimated", pair.doubt)):
            _, low, high = corrected_by_each_other(
                seen.total, seen.low, seen.high, 8000, pair.together_sensitivity, doubt
            )
            held[name].append(low <= wrong.sum() <= high)
    assert np.mean(held["known"]) < 0.93
    assert np.mean(held["estimated"]) > 0.94
    assert corrected_by_each_other(20, 0, 60, 100, 0.5, 0.1)[1] == 0
    assert corrected_by_each_other(90, 80, 95, 100, 0.5, 0.1) == (100, 100, 100)
