"""Counting terms and weighing them: the same numbers as scikit-learn's, whatever the texts and the vocabulary."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from models.adapters.wide import (
    SECTIONS,
    Wide,
    section_vectorizer,
    term_counter,
    tfidf,
    vectorizer,
    wide_logits,
)
from models.data.context import EMPTY, Context, contexts
from models.data.demo import demo
from models.training.wide import count_vocabulary

MORE = [
    "",
    "§ 8 ; ( a )",
    "Sorry, SORRY. sorry",
    "unheard-of words alone",
    "İstanbul \ud800 x",
    "the\tcourt\nthe court",
]
words = st.text("ab ()§Ä\t\n", max_size=12)


def reference(vocabulary, texts, around=None):
    """Term counts by scikit-learn."""
    counts = csr_matrix(vectorizer().set_params(vocabulary=vocabulary).transform(texts))
    for section in SECTIONS if around else ():
        parts = [getattr(context or EMPTY, section) for context in around]
        counts = counts + section_vectorizer(section).set_params(vocabulary=vocabulary).transform(parts)
    return csr_matrix(counts)


def reference_tfidf(counts, columns, idf):
    """TF-IDF by scikit-learn."""
    used = csr_matrix(counts[:, columns], dtype=np.float32, copy=True)
    used.data = (1 + np.log(used.data)) * idf[used.indices]
    return csr_matrix(normalize(used, copy=False))


def same(found, expected):
    """Bit for bit, and in the same order."""
    assert found.shape == expected.shape
    for part in ("indptr", "indices", "data"):
        assert getattr(found, part).dtype == getattr(expected, part).dtype
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


def branch_of(terms, options=3):
    draw = np.random.default_rng(0)
    columns = np.sort(draw.choice(terms, max(1, terms // 2), replace=False)).astype(np.int32)
    idf = draw.uniform(1, 8, len(columns)).astype(np.float32)
    weights = draw.normal(size=(len(columns), options)).astype(np.float32)
    return Wide(columns, idf, weights, draw.normal(size=options).astype(np.float32))


def held(texts, more):
    """Everything that is counted and weighed in texts and their contexts equals scikit-learn's."""
    around = contexts(texts, [None if place % 7 == 0 else str(place // 20) for place in range(len(texts))])
    vocabulary, _ = count_vocabulary(texts[: len(texts) // 2], around[: len(texts) // 2])
    counter, read = term_counter(vocabulary), [*texts[len(texts) // 3 :], *more]
    beside = [*around[len(texts) // 3 :], *[None, EMPTY, Context(headings="The Court"), *[None] * len(more)]][
        : len(read)
    ]
    branch = branch_of(len(vocabulary))
    for given_contexts in (None, beside):
        expected = reference(vocabulary, read, given_contexts)
        counts = counter.count(read, given_contexts)
        same(counts, expected)
        weighed = reference_tfidf(expected, branch.columns, branch.idf)
        same(tfidf(counts, branch.columns, branch.idf), weighed)
        np.testing.assert_array_equal(wide_logits(branch, counts), weighed @ branch.weights + branch.bias)


def test_letters_are_counted_as_scikit_learn_counts_them():
    held([letter.text for letter, _ in demo(120)], MORE)


@pytest.mark.data
def test_real_paragraphs_are_counted_as_scikit_learn_counts_them(shared_data):
    with (shared_data / "echr_arguments" / "paragraphs.csv").open(encoding="utf-8", newline="") as file:
        held([row["text"] for row, _ in zip(csv.DictReader(file), range(2000), strict=False)], MORE)


@given(st.lists(words, min_size=1, max_size=8), st.lists(words, max_size=8))
def test_any_texts_are_counted_as_scikit_learn_counts_them(texts, read):
    vocabulary, _ = count_vocabulary([*texts, *texts])
    if vocabulary and read:
        same(term_counter(vocabulary).count(read), reference(vocabulary, read))


def test_a_vocabulary_of_single_words_has_no_pairs():
    counts = term_counter(["court", "the"]).count(["the court the", "else"])
    np.testing.assert_array_equal(counts.toarray(), [[1, 2], [0, 0]])


def test_a_text_beside_others_is_what_it_is_alone():
    texts = [letter.text for letter, _ in demo(20)]
    vocabulary, _ = count_vocabulary(texts)
    counter, branch = term_counter(vocabulary), branch_of(len(vocabulary))
    alone = np.concatenate([wide_logits(branch, counter.count([text])) for text in texts])
    np.testing.assert_array_equal(wide_logits(branch, counter.count(texts)), alone)


def test_a_term_that_is_in_the_vocabulary_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        term_counter(["court", "the", "court"])


def test_columns_are_put_in_order_when_a_branch_is_read():
    branch = branch_of(40)
    shuffled = np.random.default_rng(1).permutation(len(branch.columns))
    tensors = {
        name: array if name == "bias" else array[shuffled] for name, array in branch.to_tensors().items()
    }
    again = Wide.from_tensors(tensors)
    np.testing.assert_array_equal(again.columns, branch.columns)
    np.testing.assert_array_equal(again.weights, branch.weights)
