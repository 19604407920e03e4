import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.centrality import DAMPING, LEAST_COSINE, lexrank, textrank

WORDS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=12)


def pagerank(similar):
    graph = networkx.from_numpy_array(np.asarray(similar))
    ranks = networkx.pagerank(graph, alpha=DAMPING, tol=1e-9, max_iter=2000)
    return np.array([ranks[place] for place in range(len(similar))])


@given(WORDS)
def test_textrank_is_pagerank_on_shared_terms_over_the_logarithms_of_lengths(sentences):
    similar = np.zeros((len(sentences), len(sentences)))
    for i, left in enumerate(sentences):
        for j, right in enumerate(sentences):
            shared = len(set(left) & set(right))
            both = np.log(max(len(left), 1)) + np.log(max(len(right), 1))
            similar[i, j] = 0 if i == j else shared / both if both > 0 else min(shared, 1)
    assert np.allclose(textrank(sentences), pagerank(similar), atol=1e-5)


@given(WORDS)
def test_lexrank_is_pagerank_on_cosines_above_the_threshold(sentences):
    vocabulary = sorted({term for terms in sentences for term in terms})
    counts = np.array([[terms.count(term) for term in vocabulary] for terms in sentences], dtype=float)
    counts = counts.reshape(len(sentences), len(vocabulary))
    weighted = counts * np.log(len(sentences) / np.maximum((counts > 0).sum(axis=0), 1))
    unit = weighted / np.where((length := np.linalg.norm(weighted, axis=1, keepdims=True)) > 0, length, 1)
    cosine = unit @ unit.T
    if np.isclose(cosine, LEAST_COSINE, atol=1e-6).any():
        return  # on the threshold, where float32 and float64 part
    cosine = np.where(cosine < LEAST_COSINE, 0, cosine)
    np.fill_diagonal(cosine, 0)
    assert np.allclose(lexrank(sentences), pagerank(cosine), atol=1e-5)


@pytest.mark.parametrize("rank", [textrank, lexrank])
def test_sentences_that_share_nothing_are_equally_central(rank):
    assert np.allclose(rank([["a", "b"], ["c", "d"], [], ["e"]]), 0.25)
