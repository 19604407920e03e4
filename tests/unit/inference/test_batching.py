"""Batches: like lengths together, within the budget, nobody starves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.inference.batching import choose_batch, choose_flat

lengths = st.lists(st.integers(1, 600), min_size=1, max_size=200)


@given(lengths, st.integers(1, 4000))
def test_the_longest_waiting_window_is_always_taken_and_the_budget_is_kept(waiting, budget):
    chosen = choose_batch(waiting, budget)
    assert 0 in chosen
    assert len(set(chosen)) == len(chosen)
    assert len(chosen) == 1 or len(chosen) * max(waiting[place] for place in chosen) <= budget


@given(lengths, st.integers(1, 4000))
def test_a_batch_is_a_run_of_neighbours_in_order_of_length(waiting, budget):
    chosen = choose_batch(waiting, budget)
    order = sorted(range(len(waiting)), key=lambda place: (waiting[place], place))
    first = order.index(chosen[0])
    assert order[first : first + len(chosen)] == chosen


@pytest.mark.parametrize(
    ("waiting", "budget", "expected"),
    [
        ([10], 5, [0]),
        ([10, 10, 10], 20, [0, 1]),
        ([100, 10, 90, 10, 95], 300, [2, 4, 0]),
        ([10, 500, 11, 12], 40, [0, 2, 3]),
    ],
)
def test_examples(waiting, budget, expected):
    assert choose_batch(waiting, budget) == expected


@given(lengths, st.integers(1, 4000))
def test_flat_batches_are_what_came_first_and_as_much_as_fits(waiting, budget):
    count = choose_flat(waiting, budget)
    assert count == 1 or sum(waiting[:count]) <= budget
    assert count == len(waiting) or sum(waiting[: count + 1]) > budget
