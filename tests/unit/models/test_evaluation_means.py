"""Means and paired differences against scipy's bootstrap; box plots against quartiles worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from models.evaluation.boxes import MOST_OUTLIERS, box
from models.evaluation.means import mean_draws, mean_with_interval, paired_differences
from models.evaluation.resampling import group_codes, group_draws


def test_intervals_are_those_of_scipy_up_to_the_draw():
    """Every item a group of its own: a plain bootstrap of the mean, percentile method."""
    scores = np.random.default_rng(0).beta(2, 5, (400, 1))
    found = mean_with_interval(scores, np.arange(400), group_draws(400, 4000, seed=1))[0]
    theirs = stats.bootstrap((scores[:, 0],), np.mean, n_resamples=4000, method="percentile", rng=2)
    assert found["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    assert found["interval"] == pytest.approx(list(theirs.confidence_interval), abs=0.002)


def test_paired_differences_are_those_of_scipy_up_to_the_draw():
    rng = np.random.default_rng(3)
    first, second = rng.random((300, 2)), rng.random((300, 2))
    second[:, 1] = first[:, 1] - 0.1  # always so much less: nothing is uncertain about it
    found = paired_differences(first, second, np.arange(300), group_draws(300, 4000, seed=1))
    theirs = stats.bootstrap(
        (first[:, 0], second[:, 0]), lambda a, b: np.mean(a - b), paired=True, vectorized=False,
        n_resamples=4000, method="percentile", rng=2,
    )  # fmt: skip
    assert found[0]["interval"] == pytest.approx(list(theirs.confidence_interval), abs=0.005)
    assert found[1]["interval"] == pytest.approx([0.1, 0.1], abs=1e-6)


def test_groups_are_drawn_whole():
    """Two cases of which one has ten texts that score alike: an interval by text would be far too narrow."""
    codes = group_codes(["a"] * 10 + ["b"] * 10)
    scores = np.repeat([[0.0], [1.0]], 10, axis=0)
    assert mean_with_interval(scores, codes, group_draws(2, 500, seed=0))[0]["interval"] == [0.0, 1.0]
    one = mean_with_interval(scores[:10], codes[:10], group_draws(1, 500, seed=0))[0]
    assert one == {"mean": 0.0, "interval": None, "items": 10}


def test_every_draw_is_the_mean_of_the_repeated_rows_that_have_a_score():
    rng = np.random.default_rng(5)
    scores = rng.random((60, 3))
    scores[rng.random(scores.shape) < 0.3] = np.nan
    codes = group_codes([f"case-{row // 4}" for row in range(60)])
    drawn = group_draws(15, 20, seed=4)
    found = mean_draws(scores, codes, drawn)
    for draw in range(21):
        rows = np.repeat(np.arange(60), drawn[codes, draw])
        np.testing.assert_allclose(found[draw], np.nanmean(scores[rows], axis=0))


def test_pairs_count_where_both_have_a_score():
    first, second = np.array([[0.5], [np.nan], [0.9]]), np.array([[0.25], [0.1], [np.nan]])
    found = paired_differences(first, second, np.arange(3), group_draws(3, 50, seed=0))[0]
    assert (found["difference"], found["items"]) == (0.25, 1)
    empty = mean_with_interval(np.full((3, 1), np.nan), np.arange(3), group_draws(3, 50, seed=0))[0]
    assert empty == {"mean": None, "interval": None, "items": 0}


def test_a_box_by_hand():
    """1 … 9 and 30: quartiles 3.25, 5.5, 7.75 (type 7); the whisker ends at the last value within 7.75 + 1.5 × 4.5 = 14.5."""
    found = box(np.array([30.0, *range(1, 10), np.nan]))
    assert found == {
        "low": 1.0, "first": 3.25, "median": 5.5, "third": 7.75, "high": 9.0,
        "mean": 7.5, "items": 10, "beyond": 1, "outliers": [30.0],
    }  # fmt: skip


def test_boxes_of_little():
    assert box(np.array([np.nan])) is None
    one = box(np.array([0.3]))
    assert one is not None
    assert {one[part] for part in ("low", "first", "median", "third", "high")} == {0.3}
    alike = box(np.full(50, 0.1))
    assert alike is not None
    assert (alike["beyond"], alike["low"], alike["high"]) == (0, 0.1, 0.1)


def test_many_outliers_are_counted_and_thinned():
    found = box(np.concatenate([np.zeros(5000), np.linspace(1, 2, 1000)]))
    assert found is not None
    assert found["beyond"] == 1000
    assert len(found["outliers"]) == MOST_OUTLIERS
    assert (found["outliers"][0], found["outliers"][-1]) == (1.0, 2.0)


def test_a_whisker_never_ends_inside_its_box():
    """0, 10, 10, 10: quartiles 7.5, 10, 10; 0 lies beyond 7.5 − 1.5 × 2.5, and the next value above the box's lower end."""
    found = box(np.array([0.0, 10.0, 10.0, 10.0]))
    assert found is not None
    assert (found["low"], found["first"], found["high"], found["outliers"]) == (7.5, 7.5, 10.0, [0.0])
