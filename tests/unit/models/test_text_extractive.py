import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.extractive import Budget, Unit, lead, mmr, most_central, summarize


def words(count):
    return Budget(Unit.WORDS, count)


def test_a_sentence_that_repeats_a_chosen_one_is_passed_over():
    embeddings = np.array([[1, 0.22], [1, 0.21], [0.2, 1]], dtype=np.float32)
    assert mmr(embeddings, range(3), [10, 10, 10], Budget(Unit.SENTENCES, 2), trade_off=0.5) == [0, 2]


def test_relevance_alone_takes_what_is_nearest_to_the_whole():
    embeddings = np.array([[0, 1], [1, 0.1], [1, 0], [1, 0.05]], dtype=np.float32)
    assert mmr(embeddings, range(4), [5] * 4, Budget(Unit.SENTENCES, 2), trade_off=1.0) == [1, 3]


def test_the_answer_follows_the_order_of_the_document():
    embeddings = np.eye(3, dtype=np.float32)
    assert mmr(embeddings, [2, 0, 1], [4, 4, 4], Budget(Unit.SENTENCES, 3)) == [1, 2, 0]


def test_when_nothing_fits_the_shortest_sentence_is_taken():
    assert mmr(np.eye(3, dtype=np.float32), range(3), [30, 9, 20], words(5)) == [1]


def test_a_text_without_sentences_has_no_summary():
    for method in ("mmr", "textrank", "lexrank", "lead"):
        assert summarize([], words(10), method, embeddings=np.zeros((0, 4), dtype=np.float32)) == []


def test_sentences_without_direction_are_no_obstacle():
    assert len(mmr(np.zeros((3, 4)), range(3), [1, 1, 1], Budget(Unit.SENTENCES, 2))) == 2


def test_embeddings_and_sentences_must_match():
    with pytest.raises(ValueError, match="2 sentences need as many embeddings, not 3"):
        summarize(["a", "b"], words(10), embeddings=np.eye(3))


@pytest.mark.parametrize(("unit", "amount"), [(Unit.WORDS, 0), (Unit.SENTENCES, -1), (Unit.RATIO, 1.2)])
def test_impossible_lengths_are_refused(unit, amount):
    with pytest.raises(ValueError, match="summary"):
        Budget(unit, amount)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.sampled_from(Unit),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_summaries_keep_to_their_length_and_never_repeat(counts, unit, amount, seed):
    budget = Budget(unit, amount / 60 if unit is Unit.RATIO else amount)
    embeddings = np.random.default_rng(seed).normal(size=(len(counts), 8))
    most_words, most_sentences = budget.limits(counts)
    for chosen in (mmr(embeddings, range(len(counts)), counts, budget), lead(counts, budget)):
        assert chosen == sorted(set(chosen))
        assert 1 <= len(chosen) <= most_sentences
        assert sum(counts[i] for i in chosen) <= most_words or len(chosen) == 1


def test_lead_takes_the_beginning():
    assert lead([5, 5, 5, 5], words(12)) == [0, 1]
    assert lead([5, 5, 5, 5], Budget(Unit.RATIO, 0.75)) == [0, 1, 2]
    assert lead([50, 5], words(12)) == [0]


def test_the_most_central_sentences_that_fit_are_taken_in_document_order():
    scores = np.array([0.1, 0.4, 0.3, 0.2])
    assert most_central(scores, [5, 5, 5, 5], words(10)) == [1, 2]
    assert most_central(scores, [5, 50, 5, 5], words(10)) == [2, 3]
    assert most_central(scores, [50, 40, 60, 70], words(10)) == [1]


@pytest.mark.parametrize("method", ["textrank", "lexrank"])
def test_what_most_sentences_speak_of_is_the_summary(method):
    sentences = [
        "It rained in Strasbourg.",
        "The applicant complained of the length of the proceedings.",
        "The proceedings lasted nine years.",
        "The Government argued that the length of proceedings was the applicant's fault.",
    ]
    assert 0 not in summarize(sentences, Budget(Unit.SENTENCES, 2), method)
