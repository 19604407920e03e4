"""Words by character offsets in any script, and exact shares of the wide branch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.adapters.wide import Wide, count_terms, wide_logits
from models.data.context import Context
from models.text.explain_words import spread, wide_terms, word_of_characters, word_spans


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know...  (well)", ["I", "don't", "know", "...", "(", "well", ")"]),
        ("בית המשפט, עו״ד כהן", ["בית", "המשפט", ",", "עו״ד", "כהן"]),
        ("שָׁלוֹם רב", ["שָׁלוֹם", "רב"]),
        ("法院判决。", ["法", "院", "判", "决", "。"]),
        ("ok 👩‍⚖️👍🏽 🇮🇱🇩🇪!", ["ok", "👩‍⚖️", "👍🏽", "🇮🇱", "🇩🇪", "!"]),
        ("été e\u0301te\u0301", ["été", "e\u0301te\u0301"]),
        ('he said "no"', ["he", "said", '"', "no", '"']),
        ("न्यायालय ने", ["न्यायालय", "ने"]),
        ("a_b 12.5", ["a_b", "12", ".", "5"]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert words(text) == expected


def test_every_character_that_is_no_space_lies_in_one_word():
    text = "".join(map(chr, [*range(0x20, 0x3000, 7), *range(0x1F1E6, 0x1F64F, 3)]))
    owner = word_of_characters(text, word_spans(text))
    assert [bool(sign.isspace()) for sign in text] == (owner < 0).tolist()
    assert (np.diff(owner[owner >= 0]) >= 0).all()


def test_weights_go_to_the_words_below():
    text = " ab cd"
    spans = word_spans(text)
    weights = np.array([[1.0], [4.0], [8.0], [16.0]])
    found, left = spread(
        [(1, 3), (2, 5), (3, 4), (0, 1)], weights, word_of_characters(text, spans), len(spans)
    )
    # The second lies over both words, the third on the space after "ab", the fourth on the space before it.
    assert found[:, 0].tolist() == [1 + 2 + 8 + 16, 2]
    assert left.tolist() == [0]
    none, rest = spread([(0, 1)], np.array([[3.0]]), word_of_characters(" ", word_spans(" ")), 0)
    assert (none.shape, rest.tolist()) == ((0, 1), [3.0])


VOCABULARY = ("sorry", "very", "very sorry", "court", "unused", "בית המשפט", "straße")


@pytest.fixture
def wide():
    draw = np.random.default_rng(3)
    columns = np.array([0, 1, 2, 3, 5, 6], dtype=np.int32)
    return Wide(
        columns,
        draw.uniform(1, 3, 6).astype(np.float32),
        draw.normal(size=(6, 2)).astype(np.float32),
        np.array([0.5, -1.0], dtype=np.float32),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Very sorry, very SORRY indeed: the Court",
        "בית המשפט וגם sorry",
        "İİ sorry İ STRASSE straße",
        "nothing that counts",
    ],
)
def test_the_shares_of_terms_add_up_to_the_logit(wide, text):
    terms = wide_terms(text, wide, VOCABULARY, count_terms([text], VOCABULARY))
    expected = wide_logits(wide, count_terms([text], VOCABULARY))[0]
    np.testing.assert_allclose(terms.bias + terms.weights.sum(axis=0), expected, atol=1e-5)
    counted = " ".join(VOCABULARY).split()
    assert all(text[start:end].lower() in counted for start, end in terms.spans)


def test_shares_by_hand(wide):
    """Counts: sorry 2, very 1, "very sorry" 1; (1 + ln 2)·idf for the first, length 1, half of a pair to each word."""
    text = "very sorry sorry"
    terms = wide_terms(text, wide, VOCABULARY, count_terms([text], VOCABULARY))
    values = np.array([(1 + np.log(2)) * wide.idf[0], wide.idf[1], wide.idf[2]])
    values = values / np.linalg.norm(values)
    parts = values[:, None] * wide.weights[:3]
    owner = word_of_characters(text, word_spans(text))
    found, _ = spread(terms.spans, terms.weights, owner, 3)
    expected = [parts[1] + parts[2] / 2, parts[0] / 2 + parts[2] / 2, parts[0] / 2]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_word_that_alone_is_left_out_takes_its_share_with_it(wide):
    """Of a text with one term besides, whose value is 1 either way, the difference is the whole logit above the bias."""
    without = wide_logits(wide, count_terms(["nothing"], VOCABULARY))[0]
    text = "nothing court"
    terms = wide_terms(text, wide, VOCABULARY, count_terms([text], VOCABULARY))
    whole = wide_logits(wide, count_terms([text], VOCABULARY))[0]
    np.testing.assert_allclose(terms.weights[0], whole - without, atol=1e-5)


def test_terms_around_the_text_belong_to_what_is_there_before_any_word(wide):
    vocabulary = (*VOCABULARY[:4], "headings\tsorry", *VOCABULARY[5:])
    wide = replace(wide, columns=np.array([0, 1, 2, 3, 4, 6], dtype=np.int32))
    counts = count_terms(["the court"], vocabulary, [Context(headings="Sorry")])
    terms = wide_terms("the court", wide, vocabulary, counts)
    assert terms.spans == [(4, 9)]
    assert not np.allclose(terms.bias, wide.bias)
    expected = wide_logits(wide, counts)[0]
    np.testing.assert_allclose(terms.bias + terms.weights.sum(axis=0), expected, atol=1e-5)
