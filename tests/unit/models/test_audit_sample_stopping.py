"""The stopping rule: the figures of the design, exactness, looks, skips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from models.audit.sample.stopping import (
    StoppingPlan,
    chance_to_stop,
    cost_table,
    look,
    not_certifiable,
    p_values,
    reads_needed,
    upper_bound,
)


@pytest.mark.parametrize(("claim", "reads"), [(300, 286), (100, 847), (50, 1653)])
def test_the_cost_of_no_error_among_29000(claim, reads):
    plan = StoppingPlan(claim)
    assert reads_needed(29_000, plan) == reads
    assert look(plan, 1, 29_000, reads, 0, 0).stop
    assert not look(plan, 1, 29_000, reads - 1, 0, 0).stop


@settings(deadline=None)
@given(st.integers(20, 300), st.integers(1, 15), st.integers(0, 3), st.integers(1, 5))
def test_what_is_told_to_be_needed_is_the_least_that_certifies(remainder, claim, errors, looks):
    plan = StoppingPlan(claim, looks)
    reads = reads_needed(remainder, plan, errors)
    enough = [
        n
        for n in range(errors, remainder + 1)
        if hypergeom.cdf(errors, remainder, claim + 1, n) <= plan.alpha / looks
    ]
    assert reads == (enough[0] if enough and errors <= claim else None)


def test_at_the_edge_of_the_claim_it_stops_falsely_no_more_than_alpha():
    for looks in (1, 3, 5):
        plan = StoppingPlan(40, looks)
        for errors in (0, 1, 2):
            reads = reads_needed(3000, plan, errors)
            assert 0 < looks * chance_to_stop(3000, plan, reads, 41) <= 0.05


def test_skips_count_as_wrong():
    plan = StoppingPlan(100)
    assert look(plan, 1, 29_000, 847, 0, 0).stop
    assert not look(plan, 1, 29_000, 847, 0, 1).stop


def test_the_bound_is_the_first_claim_that_would_be_certified():
    bound = upper_bound(29_000, 847, 0)
    assert bound == 100
    assert p_values(0, 29_000, bound, 847) <= 0.05 < p_values(0, 29_000, bound - 1, 847)
    assert upper_bound(500, 500, 7) == 7


def test_more_errors_cost_more_and_what_cannot_be_certified_is_none():
    costs = [reads for _, reads in cost_table(29_000, StoppingPlan(3), most=5)]
    assert costs[:4] == sorted(costs[:4])
    assert costs[4:] == [None, None]


def test_only_declared_looks_are_looked_at():
    with pytest.raises(ValueError, match="not declared"):
        look(StoppingPlan(100, 2), 3, 29_000, 1000, 0, 0)
    with pytest.raises(ValueError, match="1 to 5"):
        StoppingPlan(100, 6)
    with pytest.raises(ValueError, match="do not fit"):
        look(StoppingPlan(100), 1, 29_000, 10, 9, 2)


def test_a_rare_option_says_why_it_cannot_be_certified():
    told = not_certifiable(120, 50, 2)
    assert "up to 5 of 120" in told
    assert "needs 76 texts" in told
    assert not_certifiable(120, 76, 2) is None


def test_p_values_over_arrays_are_those_one_by_one():
    found = p_values(np.array([0, 1]), 1000, 20, np.array([100, 200]))
    assert found.tolist() == [hypergeom.cdf(0, 1000, 21, 100), hypergeom.cdf(1, 1000, 21, 200)]
