import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoder.batches import padded_tokens, shuffled_batches, token_batches
from models.encoder.tokens import window_places

some_lengths = st.lists(st.integers(1, 300), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.int64)
)


@given(some_lengths, st.integers(1, 1000))
def test_every_row_is_in_one_batch_and_batches_keep_to_the_budget(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


@given(some_lengths, st.integers(1, 1000), st.integers(0, 5))
def test_an_epoch_reads_every_row_once_and_its_order_is_the_generators(lengths, budget, seed):
    rows = np.arange(len(lengths))
    first = shuffled_batches(lengths, budget, np.random.default_rng(seed), rows)
    second = shuffled_batches(lengths, budget, np.random.default_rng(seed), rows)
    assert sorted(np.concatenate(first).tolist()) == rows.tolist()
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]
    assert padded_tokens(first, lengths) >= lengths.sum()


@given(st.integers(0, 2000), st.integers(1, 256))
def test_windows_cover_every_token_and_overlap(tokens, limit):
    places = window_places(tokens, limit)
    covered = np.zeros(tokens, dtype=bool)
    for place in places:
        covered[place : place + limit] = True
    assert covered.all()
    assert places[0] == 0
    assert places[-1] == max(0, tokens - limit)
    assert places == sorted(set(places))


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_windows_of_a_capped_text_run_from_its_start(kept):
    places = window_places(1000, 50, max_windows=kept)
    assert len(places) == kept
    assert places[0] == 0
    if kept > 1:
        assert places[-1] == 950
