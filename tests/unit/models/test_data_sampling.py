"""Strata, allocation, inclusion probabilities and what a sample's report adds up to."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.sampling import Design, allocate, cardinalities, draw_sample, spread, stratify
from models.data.sampling_report import fidelity, merges_report, strata_report

TEXTS = 200


def frame(texts=TEXTS, seed=0):
    """Keys, labels of three options (some texts have none) and clusters."""
    draw = np.random.default_rng(seed)
    labels = (draw.random((texts, 3)) < [0.5, 0.2, 0.02]).astype(np.int8)
    labels[draw.random(texts) < 0.1] = -1
    return [f"t{row}" for row in range(texts)], labels, draw.integers(0, 4, texts).astype(np.int32)


@given(st.integers(1, TEXTS), st.sampled_from(["proportional", "equal", "neyman"]), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_any_size_is_met_and_every_text_can_be_drawn(size, allocation, least):
    keys, labels, clusters = frame()
    drawn = draw_sample(Design(size, 1, allocation, least), keys, labels, clusters)
    assert len(drawn.rows) == len(set(drawn.rows.tolist())) == size == drawn.taken.sum()
    assert drawn.probabilities.min() > 0
    assert drawn.probabilities.sum() == pytest.approx(size)
    np.testing.assert_array_equal(drawn.probabilities[drawn.rows], drawn.inclusion)
    assert (drawn.taken <= drawn.strata.sizes).all()
    assert (drawn.taken >= np.minimum(min(least, size), drawn.strata.sizes)).all()


def test_all_texts_are_drawn_with_certainty_when_so_many_are_asked_for():
    keys, labels, clusters = frame()
    drawn = draw_sample(Design(TEXTS), keys, labels, clusters)
    assert drawn.rows.tolist() == list(range(TEXTS))
    assert set(drawn.inclusion.tolist()) == {1.0}


@pytest.mark.parametrize("size", [0, TEXTS + 1])
def test_a_size_that_cannot_be_drawn_is_refused(size):
    keys, labels, clusters = frame()
    with pytest.raises(ValueError, match="cannot be drawn"):
        draw_sample(Design(size), keys, labels, clusters)


def test_the_seed_decides_and_the_order_of_rows_does_not():
    keys, labels, clusters = frame()
    first = draw_sample(Design(50, 7), keys, labels, clusters)
    again = draw_sample(Design(50, 7), keys, labels, clusters)
    other = draw_sample(Design(50, 8), keys, labels, clusters)
    assert first.rows.tolist() == again.rows.tolist() != other.rows.tolist()
    order = np.array(random.Random(0).sample(range(TEXTS), TEXTS))
    shuffled = draw_sample(Design(50, 7), [keys[row] for row in order], labels[order], clusters[order])
    assert {keys[row] for row in first.rows} == {keys[order[row]] for row in shuffled.rows}


def test_a_simple_random_sample_reaches_each_text_as_often_as_it_says():
    """Over many seeds every text is drawn in about n/N of the samples: 4 standard errors."""
    keys = [f"t{row}" for row in range(40)]
    drawn = np.zeros(40)
    for seed in range(800):
        sample = draw_sample(Design(10, seed), keys)
        assert set(sample.inclusion.tolist()) == {0.25}
        drawn[sample.rows] += 1
    assert np.abs(drawn / 800 - 0.25).max() < 4 * (0.25 * 0.75 / 800) ** 0.5


def test_cardinality_counts_yes_and_keeps_unlabelled_texts_apart():
    labels = np.array([[1, 1, 0], [0, 0, -1], [-1, -1, -1], [-1, 1, -1]], dtype=np.int8)
    assert cardinalities(labels).tolist() == [2, 0, -1, 1]


def test_small_strata_join_the_nearest_number_of_labels_and_it_is_told():
    number = np.array([0] * 10 + [1] * 10 + [1] * 2 + [5] * 3, dtype=np.int32)
    cluster = np.array([0] * 10 + [0] * 10 + [1] * 2 + [0] * 3, dtype=np.int32)
    strata = stratify(number, cluster, smallest=5, most=99)
    assert strata.parts == (((0, 0),), ((1, 0), (1, 1), (5, 0)))
    assert strata.sizes.tolist() == [10, 15]
    told = [(merge.small, merge.texts, merge.into) for merge in strata.merges]
    assert told == [(((1, 1),), 2, ((1, 0),)), (((5, 0),), 3, ((1, 0), (1, 1)))]


def test_there_are_never_more_strata_than_the_sample_can_reach():
    keys, labels, clusters = frame()
    drawn = draw_sample(Design(3, smallest=1), keys, labels, clusters)
    assert len(drawn.taken) == 3
    assert drawn.taken.tolist() == [1, 1, 1]
    single = draw_sample(Design(1), keys, labels, clusters)
    assert single.inclusion.tolist() == [1 / TEXTS]


def test_allocations():
    sizes = np.array([100, 10, 1])
    assert allocate(sizes, 22, sizes.astype(float), 1).tolist() == [19, 2, 1]
    assert allocate(sizes, 22, np.ones(3), 1).tolist() == [11, 10, 1]
    assert allocate(sizes, 20, np.array([0.0, 1.0, 0.0]), 1).tolist() == [9, 10, 1], (
        "weight 0: only what the others cannot hold"
    )
    assert allocate(sizes, 12, sizes.astype(float), 5).tolist() == [6, 5, 1]
    with pytest.raises(ValueError, match="cannot be allocated"):
        allocate(sizes, 2, np.ones(3), 1)
    with pytest.raises(ValueError, match="cannot be allocated"):
        allocate(sizes, 112, np.ones(3), 1)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.data())
def test_a_larger_sample_never_takes_fewer_of_a_stratum(sizes, data):
    counts = np.array(sizes)
    size = data.draw(st.integers(len(sizes), int(counts.sum())))
    smaller = allocate(counts, size, counts.astype(float))
    if size < counts.sum():
        assert (allocate(counts, size + 1, counts.astype(float)) >= smaller).all()


def test_neyman_takes_more_where_labels_vary():
    """Both strata hold texts of one yes; in the first it is always the same option."""
    keys = [str(row) for row in range(40)]
    clusters = np.repeat([0, 1], 20).astype(np.int32)
    labels = np.tile(np.array([[1, 0], [1, 0]], dtype=np.int8), (20, 1))
    labels[21::2] = [0, 1]
    strata = stratify(cardinalities(labels), clusters, 1, 9)
    assert spread(strata, labels).tolist() == [0.0, 0.5]
    assert draw_sample(Design(10), keys, labels, clusters).taken.tolist() == [5, 5]
    neyman = Design(10, allocation="neyman")
    assert draw_sample(neyman, keys, labels, clusters).taken.tolist() == [1, 9]
    assert draw_sample(neyman, keys, None, clusters).taken.tolist() == [5, 5], "no labels: proportional"


def test_the_report_adds_up():
    keys, labels, clusters = frame()
    drawn = draw_sample(Design(60, 2), keys, labels, clusters)
    options = ["a", "b", "c"]
    told = strata_report(
        drawn, labels, options, np.full(TEXTS, 7), [["law"], ["court"], ["letter"], ["plea"]]
    )
    assert sum(entry["texts"] for entry in told) == TEXTS
    assert sum(entry["drawn"] for entry in told) == 60
    assert all(entry["inclusion"] == entry["drawn"] / entry["texts"] for entry in told)
    for column, key in enumerate(options):
        assert sum(entry["positives"][key] for entry in told) == (labels[:, column] == 1).sum()
        assert sum(entry["drawn_positives"][key] for entry in told) == (labels[drawn.rows, column] == 1).sum()
    assert {entry["mean_characters"] for entry in told} == {7.0}
    assert len(merges_report(drawn)) == len(drawn.strata.merges) > 0
    assert "top_terms" not in strata_report(drawn, labels, options)[0]


def test_fidelity_compares_frame_and_sample():
    labels = np.array([[1], [1], [0], [-1]], dtype=np.int8)
    found = fidelity(labels, np.array([0, 3]), ["a"])
    assert found["options"] == [{"key": "a", "frame": 0.66667, "sample": 1.0}]
    assert found["prevalence_difference"] == 0.33333
    assert found["cardinalities"][0] == {"yes": None, "frame": 0.25, "sample": 0.5}
    assert fidelity(labels, np.array([3]), ["a"])["prevalence_difference"] is None
