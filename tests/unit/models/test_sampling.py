"""Clusters that never look at held-out texts, doubtful texts, texts unlike each other."""

import numpy as np
import pytest

from models.sampling.clusters import auto_clusters, count_words, fit_clusters
from models.sampling.diversity import diverse
from models.sampling.uncertainty import uncertainty
from models.scheme import Option, Question, QuestionKind, Scheme

THEMES = ("sorry remorse regret ashamed", "mother child family household", "court appeal ruling judge")
ROWS = 90


def letters(count=ROWS, seed=0):
    """Texts of three themes in turn, in words that overlap a little."""
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice((*THEMES[row % 3].split(), "letter", "year"), 6)) for row in range(count)]


def test_clusters_find_the_themes_and_name_them():
    vocabulary, counts = count_words(letters())
    found = fit_clusters(counts, np.arange(ROWS), 3, 1)
    for theme in range(3):
        inside = found.of[theme::3]
        assert np.bincount(inside).max() >= 0.9 * len(inside)
    named = {word for words in found.top_terms(vocabulary) for word in words[:4]}
    assert named >= {"mother", "court", "remorse"}
    assert np.bincount(found.of)[0] == np.bincount(found.of).max(), "cluster 0 is the largest"


def test_held_out_texts_never_touch_the_clustering():
    """Other words, other lengths, other vocabulary in the held-out rows: the training part's clusters stay as they are."""
    texts, fit = letters(), np.flatnonzero(np.arange(ROWS) % 4 > 0)
    changed = [text if row % 4 else f"zebra {'sorry ' * row} quark {row}" for row, text in enumerate(texts)]
    found = [fit_clusters(count_words(some)[1], fit, 4, 3) for some in (texts, changed)]
    np.testing.assert_array_equal(found[0].of[fit], found[1].of[fit])
    np.testing.assert_array_equal(found[0].points[fit], found[1].points[fit])
    assert found[0].terms == found[1].terms
    alone = fit_clusters(count_words([texts[row] for row in fit])[1], np.arange(len(fit)), 4, 3)
    np.testing.assert_array_equal(alone.of, found[0].of[fit])
    touched = fit_clusters(count_words(changed)[1], np.arange(ROWS), 4, 3)
    assert touched.terms != found[0].terms, "fitted on them, they would have mattered"


def test_the_same_texts_and_seed_give_the_same_clusters():
    counts = count_words(letters())[1]
    first, again = (fit_clusters(counts, np.arange(ROWS), 5, 2) for _ in range(2))
    np.testing.assert_array_equal(first.of, again.of)
    np.testing.assert_array_equal(first.points, again.points)


@pytest.mark.parametrize("texts", [[""], ["", "!"], ["one"], ["one", "one", "one"], ["a b c", "7"]])
def test_texts_without_common_words_are_one_cluster(texts):
    found = fit_clusters(count_words(texts)[1], np.arange(len(texts)), None, 0)
    assert found.of.tolist() == [0] * len(texts)
    assert found.count == 1


def test_the_number_of_clusters_grows_with_the_texts():
    assert [auto_clusters(texts) for texts in (1, 60, 5000, 35_000)] == [2, 2, 10, 20]


SCHEME = Scheme(
    (
        Question("set", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 1))),
        Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 2), Option("y", 3), Option("z", 4))),
    )
)


def test_uncertainty_of_sure_doubtful_and_unread_texts():
    sure, doubtful = [1, 0, 1, 0, 0], [0.5, 0.5, 1 / 3, 1 / 3, 1 / 3]
    one_close = [0.5, 0, 1, 0, 0]
    found = np.array([sure, doubtful, one_close, [np.nan] * 5], dtype=np.float32)
    np.testing.assert_allclose(
        uncertainty(found, SCHEME, "entropy"), [0, 1, 1 / 3, np.nan], atol=1e-6, equal_nan=True
    )
    np.testing.assert_allclose(
        uncertainty(found, SCHEME, "margin"), [0, 1, 1, np.nan], atol=1e-6, equal_nan=True
    )


def test_cells_without_a_prediction_do_not_count():
    found = np.array([[0.5, np.nan, np.nan, np.nan, np.nan]], dtype=np.float32)
    assert uncertainty(found, SCHEME, "entropy").tolist() == [1.0]


def test_k_center_reaches_every_corner_and_k_means_plus_plus_is_seeded():
    corners = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], dtype=np.float32)
    points = np.concatenate([corners + shift for shift in np.linspace(0, 0.5, 10)]).astype(np.float32)
    for how in ("k_center", "k_means++"):
        picked = diverse(points, 4, how, 1)
        assert {tuple((points[row] > 5).tolist()) for row in picked} == {
            tuple(c.tolist()) for c in corners > 5
        }
        assert picked.tolist() == diverse(points, 4, how, 1).tolist()
        assert len(set(diverse(points, len(points), how, 1).tolist())) == len(points)
    assert diverse(points, 0, "k_center", 1).tolist() == []


def test_what_is_covered_needs_no_neighbour():
    points = np.array([[0, 0], [1, 0], [50, 0]], dtype=np.float32)
    assert diverse(points, 1, "k_center", 0, points[:1]).tolist() == [2]
    assert diverse(np.zeros((3, 2), np.float32), 3, "k_means++", 0, points[:1]).tolist() != []
    with pytest.raises(ValueError, match="cannot be picked"):
        diverse(points, 4, "k_center", 0)
