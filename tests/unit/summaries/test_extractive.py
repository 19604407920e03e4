"""Lengths of summaries and what is said about them."""

import pytest

from app.http.problems import Invalid
from app.summaries.extractive import budget_of, summarized
from app.summaries.rules import check_wishes
from app.summaries.schemas import SummarizeBody

TEXT = "It rained. He stayed in."
BOTH = {"sentences": [[0, 10], [11, 24]], "sentences_in_text": 2, "words": 5, "words_in_text": 5}
FIRST = {"sentences": [[0, 10]], "sentences_in_text": 2, "words": 2, "words_in_text": 5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("sentences", 3)),
        ({"max_sentences": 2}, ("sentences", 2)),
        ({"max_words": 9}, ("words", 9)),
        ({"ratio": 0.5}, ("ratio", 0.5)),
    ],
)
def test_the_length_asked_for(given, expected):
    assert budget_of(SummarizeBody(text=TEXT, **given)) == expected


def test_two_lengths_contradict_each_other():
    with pytest.raises(Invalid) as problem:
        check_wishes(SummarizeBody(text=TEXT, max_words=3, ratio=0.5))
    assert problem.value.slug == "several-lengths"


def test_sentences_are_the_source_verbatim_at_their_offsets():
    answer = summarized(SummarizeBody(text=TEXT, max_sentences=1), "minilm", FIRST)
    assert [TEXT[found.start : found.end] for found in answer.sentences] == ["It rained."]
    assert (answer.summary, answer.words, answer.words_in_text) == ("It rained.", 2, 5)
    assert (answer.method, answer.base_model, answer.warnings) == ("mmr", "minilm", [])


def test_a_length_beyond_the_text_is_said():
    answer = summarized(SummarizeBody(text=TEXT, max_sentences=50), "minilm", BOTH)
    assert answer.summary == TEXT
    assert "takes in all of the text (2 sentences)" in answer.warnings[0]


def test_a_length_below_every_sentence_is_said():
    answer = summarized(SummarizeBody(text=TEXT, max_words=1), "minilm", FIRST)
    assert "No sentence is as short as 1 word:" in answer.warnings[0]


def test_the_lead_needs_no_model():
    answer = summarized(SummarizeBody(text=TEXT, max_sentences=1, method="lead"), "minilm", FIRST)
    assert (answer.method, answer.base_model) == ("lead", None)


def test_lambda_is_the_name_of_the_trade_off():
    assert SummarizeBody.model_validate({"text": TEXT, "lambda": 0.2}).trade_off == 0.2
