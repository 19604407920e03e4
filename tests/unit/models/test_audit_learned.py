"""What decisions teach the order: how options differ, and nothing of how many labels are wrong."""

import numpy as np
import pytest

from models.audit.learned import FEWEST, Decided, learned_shifts, reordered
from models.training.logistic import sigmoid


def decided(wrong_by_cell, count, suspicion=0.7):
    cells = np.repeat(np.arange(len(wrong_by_cell)), count)
    wrong = np.concatenate([np.arange(count) < round(share * count) for share in wrong_by_cell])
    return Decided(np.full(len(cells), suspicion), cells, wrong)


def test_an_option_whose_flags_came_true_more_often_moves_up_and_the_other_down():
    shifts = learned_shifts(decided([0.9, 0.3, 0.6], 60), 3)
    assert shifts[0] > 0.5
    assert shifts[1] < -0.5
    assert abs(shifts[2]) < 0.3


def test_what_all_options_have_in_common_is_thrown_away():
    """Nearly every flag right, or nearly every flag wrong: the order and the level of what is left stay as they are."""
    for share in (0.05, 0.95):
        np.testing.assert_allclose(learned_shifts(decided([share, share], 100), 2), 0.0, atol=1e-3)


def test_few_decisions_teach_little_and_fewer_nothing():
    many, few = (learned_shifts(decided([1.0, 0.0], count), 2)[0] for count in (100, 10))
    assert 0 < few < many
    assert not learned_shifts(decided([1.0, 0.0], FEWEST // 2 - 1), 2).any()


def test_an_option_without_decisions_stays_where_it_is():
    assert learned_shifts(decided([0.9, 0.3], 60), 4)[2:].tolist() == [0.0, 0.0]


def test_decisions_that_only_say_what_suspicion_said_teach_nothing():
    rng = np.random.default_rng(1)
    suspicion = rng.uniform(0.05, 0.95, 4000)
    cells = rng.integers(0, 4, 4000)
    found = learned_shifts(Decided(suspicion, cells, rng.random(4000) < suspicion), 4)
    assert np.abs(found).max() < 0.2


def test_reordering_moves_between_options_only_and_keeps_what_is_not_audited():
    scores = np.array([[0.9, 0.8], [0.2, np.nan]], dtype=np.float32)
    moved = reordered(scores, np.array([-2.0, 1.0]))
    assert moved[0, 0] == pytest.approx(sigmoid(np.log(9) - 2.0), rel=1e-6)
    assert moved[0, 1] > scores[0, 1]
    assert np.isnan(moved[1, 1])
    assert moved[0, 0] > moved[1, 0]
