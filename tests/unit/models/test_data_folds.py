from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.folds import TooFewGroupsError, assign_folds, group_folds, inner_split

group_rows = st.lists(st.sampled_from([f"case-{i}" for i in range(12)]), min_size=12, max_size=80)


@given(group_rows, st.integers(2, 5), st.integers(0, 9), st.randoms())
def test_folds_follow_the_group_and_not_the_row_order(groups, folds, seed, random):
    groups = [*groups, *(f"case-{i}" for i in range(12))]
    first = dict(zip(groups, assign_folds(groups, folds, seed), strict=True))
    shuffled = groups.copy()
    random.shuffle(shuffled)
    second = dict(zip(shuffled, assign_folds(shuffled, folds, seed), strict=True))
    assert first == second
    assert set(first.values()) == set(range(folds))


@given(group_rows, st.integers(2, 5))
def test_no_fold_is_larger_than_another_by_more_than_the_largest_group(groups, folds):
    groups = [*groups, *(f"case-{i}" for i in range(12))]
    rows = np.bincount(assign_folds(groups, folds, 1), minlength=folds)
    assert rows.max() - rows.min() <= max(Counter(groups).values())


def test_a_sample_keeps_the_folds_of_the_whole_corpus():
    sizes = {f"case-{i}": 1 + i % 7 for i in range(60)}
    whole = group_folds(sizes, 5, seed=3)
    sample = ["case-7", "case-3", "case-7", "case-59"]
    assert assign_folds(sample, 5, 3, sizes).tolist() == [whole[group] for group in sample]
    assert assign_folds(sample, 5, 3, sizes).dtype == np.int32


def test_another_seed_gives_other_folds():
    groups = [f"case-{i}" for i in range(60)]
    assert assign_folds(groups, 5, 0).tolist() != assign_folds(groups, 5, 1).tolist()


def test_fewer_groups_than_folds_is_an_error_that_says_what_to_do():
    with pytest.raises(TooFewGroupsError, match="needs at least 5 groups, but the corpus has 2") as caught:
        assign_folds(["a", "b", "a"], 5, 0)
    assert "2 folds or fewer" in str(caught.value)
    with pytest.raises(TooFewGroupsError, match="finer grouping key"):
        assign_folds(["a", "a"], 2, 0)


def test_one_fold_would_hold_nothing_out():
    with pytest.raises(ValueError, match="2 or more"):
        assign_folds(["a", "b"], 1, 0)


def test_a_group_unknown_to_the_corpus_is_named():
    with pytest.raises(KeyError, match="case-9"):
        assign_folds(["case-9"], 2, 0, {"case-1": 4, "case-2": 4})


@given(st.lists(st.sampled_from("abcdefgh"), min_size=10, max_size=60), st.integers(0, 5))
def test_the_inner_split_keeps_groups_whole_and_both_sides_filled(groups, seed):
    groups = [*groups, "a", "b"]
    kept = inner_split(groups, 0.2, seed)
    inside = {group for group, k in zip(groups, kept, strict=True) if k}
    outside = {group for group, k in zip(groups, kept, strict=True) if not k}
    assert inside
    assert outside
    assert not inside & outside


def test_the_inner_split_reaches_about_its_share():
    groups = [f"case-{i % 50}" for i in range(1000)]
    assert inner_split(groups, 0.15, 0).mean() == pytest.approx(0.15, abs=0.02)


def test_the_inner_split_of_one_group_is_refused():
    with pytest.raises(TooFewGroupsError, match="inner split"):
        inner_split(["a", "a"], 0.2, 0)
