"""How often people follow the model: what counts, and the intervals."""

import pytest

from app.review.following import Vote, differences, groups, newcombe, wilson


def vote(value, *, blind=True, decoy=False, model="yes", human="no", reviewer="vera"):
    return Vote(reviewer, blind, decoy, model, human, value)


def test_wilson_and_newcombe_give_the_published_examples():
    """Newcombe 1998 (Stat Med 17:873-890), table II: 56/70 less 48/80 and 9/10 less 3/10 by method 10."""
    one = wilson(56, 70)
    assert (one.low, one.high) == pytest.approx((0.6917, 0.8772), abs=5e-4)
    assert newcombe(wilson(56, 70), wilson(48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert newcombe(wilson(9, 10), wilson(3, 10)) == pytest.approx((0.6, 0.1705, 0.8090), abs=1e-4)


def test_without_a_decision_there_is_no_share():
    assert wilson(0, 0).share is None
    assert newcombe(wilson(0, 0), wilson(1, 2)) is None
    assert (groups([]), differences([])) == ([], [])


def test_following_is_counted_where_model_and_label_differ_and_keeping_everywhere():
    votes = [vote("yes"), vote("no"), vote("uncertain"), vote("no", decoy=True, model="no")]
    everybody = [group for group in groups(votes) if group.reviewer is None]
    assert [(g.reason, g.follows_model.count, g.follows_model.of) for g in everybody] == [
        ("flag", 1, 3),
        ("decoy", 0, 0),
    ]
    assert [(g.keeps_label.count, g.keeps_label.of) for g in everybody] == [(1, 3), (1, 1)]


def test_each_reviewer_has_groups_of_their_own_and_a_difference_where_both_kinds_are_known():
    votes = (
        [vote("yes", blind=False)] * 8 + [vote("no", blind=False)] * 2 + [vote("yes")] * 5 + [vote("no")] * 5
    )
    votes += [vote("yes", reviewer="wim")]
    assert {(g.reviewer, g.blind) for g in groups(votes)} == {
        (None, True), (None, False), ("vera", True), ("vera", False), ("wim", True),
    }  # fmt: skip
    found = differences(votes)
    assert [d.reviewer for d in found] == [None, "vera"]
    assert found[1].share == pytest.approx(0.3)
    assert found[1].low < 0 < found[1].high
