import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audit import neighbours
from models.audit.neighbours import adjacent, similar_texts
from models.data.near_duplicates import signatures


def label_rates(embeddings, labels, groups, signed=None):
    return neighbours.label_rates(similar_texts(embeddings, labels, groups, signed), labels, groups)


def test_neighbours_are_next_in_order_and_of_the_same_group():
    before, after = adjacent(["b", "a", "b", "a", "c"], [2, 5, 1, 9, 0])
    assert before.tolist() == [2, -1, -1, 1, -1]
    assert after.tolist() == [-1, 3, 0, -1, -1]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), min_size=1, max_size=40))
def test_before_and_after_are_each_others_inverse(rows):
    groups = [group for group, _ in rows]
    before, after = adjacent(groups, [place for _, place in rows])
    for row, following in enumerate(after):
        if following >= 0:
            assert before[following] == row
            assert groups[row] == groups[following]
            assert rows[row][1] <= rows[following][1]
    assert (before < 0).sum() == (after < 0).sum() == len(set(groups))


@pytest.fixture
def clusters():
    """Two clouds of texts; the option is yes in the first alone."""
    rng = np.random.default_rng(0)
    cloud = np.arange(80) % 2
    embeddings = np.eye(8)[cloud] * 2 + rng.normal(0, 0.4, (80, 8))
    return (
        embeddings.astype(np.float16),
        (cloud == 0).astype(np.int8)[:, None],
        [f"g{i // 8}" for i in range(80)],
    )


def test_similar_texts_speak_for_their_label(clusters):
    embeddings, labels, groups = clusters
    rates = label_rates(embeddings, labels, groups)
    assert rates.dtype == np.float32
    assert rates[labels[:, 0] == 1].min() > 0.6
    assert rates[labels[:, 0] == 0].max() < 0.4


def test_a_texts_own_label_and_its_groups_never_count(clusters):
    embeddings, labels, groups = clusters
    before = label_rates(embeddings, labels, groups)
    turned = labels.copy()
    inside = np.array(groups) == "g3"
    turned[inside] = 1 - turned[inside]
    after = label_rates(embeddings, turned, groups)
    assert after[inside] == pytest.approx(before[inside], abs=1e-6)


def test_barred_texts_speak_for_nobody(clusters):
    embeddings, labels, groups = clusters
    barred = np.isin(groups, ["g3", "g4"])
    turned = labels.copy()
    turned[barred] = 1 - turned[barred]
    near = similar_texts(embeddings, labels, groups)
    before, after = (neighbours.label_rates(near, given, groups, barred) for given in (labels, turned))
    assert np.array_equal(before, after)
    assert before[labels[:, 0] == 1].min() > 0.6
    open_to_all = neighbours.label_rates(near, turned, groups)
    assert not np.array_equal(open_to_all, before)


def test_duplicates_in_other_groups_do_not_count():
    rng = np.random.default_rng(1)
    texts = [
        "the same long sentence of a judgment that stands in every single file " + "x" * i for i in range(30)
    ]
    labels = np.ones((60, 1), dtype=np.int8)
    labels[30:] = 0
    others = [" ".join(f"w{rng.integers(500)}" for _ in range(20)) for _ in range(30)]
    embeddings = np.vstack([np.tile([1.0, 0, 0], (30, 1)), rng.normal(size=(30, 3))]) + rng.normal(
        0, 0.15, (60, 3)
    )
    groups = [f"g{i}" for i in range(60)]
    blind = label_rates(embeddings, labels, groups)
    told = label_rates(embeddings, labels, groups, signatures(texts + others))
    assert blind[:30].mean() > 0.8
    assert told[:30].mean() < blind[:30].mean() - 0.2


def test_missing_labels_have_no_weight(clusters):
    embeddings, labels, groups = clusters
    sparse = labels.copy()
    sparse[::2][labels[::2, 0] == 1] = np.where(np.arange(40) % 2, 1, -1)[:, None][
        : (labels[::2, 0] == 1).sum()
    ]
    rates = label_rates(embeddings, sparse, groups)
    assert rates[labels[:, 0] == 1].min() > 0.6


def test_without_any_label_the_rate_is_the_prior(clusters):
    embeddings, labels, groups = clusters
    assert label_rates(embeddings, np.full_like(labels, -1), groups) == pytest.approx(0.5)
