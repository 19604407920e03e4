"""The wide branch: terms, idf and weights come from the training part alone."""

import numpy as np

from models.adapters.wide import wide_logits
from models.training import wide
from models.training.wide import count_vocabulary, fit_wide

TEXTS = [
    "remorse deep remorse today",
    "children need remorse",
    "children wait today",
    "court order today",
    "children and remorse again",
    "court hears children",
]
LABELS = np.array([[1], [1], [0], [0], [1], [0]], dtype=np.int8)
TRAINED = np.arange(5, dtype=np.int64)


def fitted(texts):
    """The fitted branch with its columns as words."""
    terms, counts = count_vocabulary(texts)
    found = fit_wide(counts, LABELS, TRAINED, seed=0)
    order = np.argsort([terms[column] for column in found.columns])
    return sorted(terms[column] for column in found.columns), found.idf[order], found.weights[order]


def test_a_text_outside_the_training_part_changes_nothing(monkeypatch):
    monkeypatch.setattr(wide, "MOST_TERMS", 3)
    words, idf, weights = fitted(TEXTS)
    assert words == ["children", "remorse", "today"]
    loud = [*TEXTS[:5], "court order " * 50]
    again, same_idf, same_weights = fitted(loud)
    assert again == words
    assert np.array_equal(idf, same_idf)
    assert np.allclose(weights, same_weights)


def test_a_term_of_a_single_training_text_is_left_out():
    words, _, _ = fitted(TEXTS)
    assert "court" not in words
    assert "today" in words


def test_texts_that_share_no_word_are_told_apart_by_nothing():
    strangers = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    _, counts = count_vocabulary(
        [*strangers[:5], "alpha"]
    )  # alpha alone stands in two texts, one of them held out
    found = fit_wide(counts, LABELS, TRAINED, seed=0)
    assert not len(found.columns)
    assert len(np.unique(wide_logits(found, counts))) == 1
