"""Explanations on tiny encoders: they add up, find what was planted, and leaving out is what reading again gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.adapters.head import Pooling
from models.encoder.load import load_encoder
from models.text.explain import (
    ExplainSettings,
    NothingToExplainError,
    UnknownOptionError,
    explain,
)
from models.text.explain_gradients import Steps
from models.text.explain_sentences import joined
from tests.quick_adapter import quick_adapter
from tests.tiny_encoder import (
    SIGNALS,
    TINY_FAMILIES,
    arguments_scheme,
    make_encoder,
    synthetic_letters,
)

LETTER = "My boss was in court. She was very sorry and the judge is old. Please time"


@pytest.fixture(scope="module")
def letters():
    return synthetic_letters(120, seed=3)


def adapter_of(encoder, letters, **rest):
    return quick_adapter(encoder, *letters, arguments_scheme(), **rest)


@pytest.fixture(scope="module")
def adapter(encoder, letters):
    return adapter_of(encoder, letters)


def long_text(letters):
    return ". ".join(letter.capitalize() for letter in letters[0][:12])


def assert_adds_up(found):
    for option in found.options:
        total = option.base_logit + option.weights.sum()
        assert option.completeness_error == pytest.approx(abs(option.logit - total), abs=1e-9)
        assert option.completeness_error <= option.bound


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_words_add_up_to_the_logit_in_every_family(family, letters, tmp_path):
    exact = load_encoder(make_encoder(tmp_path / family, family), "cpu", torch.float32)
    adapter = adapter_of(exact, letters)
    found = explain(adapter, LETTER)
    assert_adds_up(found)
    logits = adapter.logits([LETTER], ["final"])[0][0]
    np.testing.assert_allclose([option.logit for option in found.options], logits, atol=1e-4)
    assert any(np.abs(option.encoder).max() > 1e-3 for option in found.options)


@pytest.mark.parametrize("depth", [0, 2])
def test_words_add_up_with_every_layer_trained_and_with_none(depth, encoder, letters):
    """A full fine-tuning has all layers of its own, a probe none."""
    adapter = adapter_of(encoder, letters, depth=depth)
    found = explain(adapter, LETTER)
    assert_adds_up(found)
    assert all(np.abs(option.encoder).max() > 1e-3 for option in found.options)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_words_add_up_over_several_windows(pooling, encoder, letters):
    adapter = adapter_of(encoder, letters, pooling=pooling)
    text = long_text(letters)
    found = explain(adapter, text, settings=ExplainSettings(Steps(most=512)))
    assert found.windows == len(found.explained_windows) > 1
    assert_adds_up(found)
    assert (found.options[0].encoder != 0).mean() > 0.1


def test_bf16_weights_are_explained_in_fp32(tiny_bert, letters):
    adapter = adapter_of(load_encoder(tiny_bert, "cpu", torch.bfloat16), letters)
    found = explain(adapter, LETTER)
    assert found.precision == "float32"
    assert_adds_up(found)
    served = adapter.logits([LETTER], ["final"])[0][0]
    np.testing.assert_allclose([option.logit for option in found.options], served, atol=0.1)


def test_only_the_windows_that_fit_are_explained_and_the_rest_stands_still(adapter, letters):
    text = long_text(letters)
    found = explain(adapter, text, settings=ExplainSettings(window_tokens=70))
    assert len(found.explained_windows) == 2 < found.windows
    assert_adds_up(found)
    inside = np.zeros(len(text), dtype=bool)
    for start, end in found.explained_windows:
        inside[start:end] = True
    outside = [not inside[start:end].any() for start, end in found.words]
    assert not any(option.encoder[outside].any() for option in found.options)
    assert any(option.wide[outside].any() for option in found.options)  # the wide branch reads all of it


@pytest.mark.parametrize("wide", [True, False])
def test_a_planted_keyword_is_the_first_word(encoder, letters, wide):
    """Each option's own words make it yes in the synthetic letters."""
    adapter = adapter_of(encoder, letters, wide=wide)
    hits = []
    for text, labels in zip(letters[0][:12], letters[1], strict=False):
        found = explain(adapter, text, settings=ExplainSettings(sentence_tokens=1))
        for option, yes in zip(found.options, labels, strict=True):
            if yes:
                start, end = found.words[int(option.weights.argmax())]
                hits.append(text[start:end] in SIGNALS[option.key])
    assert np.mean(hits) > 0.8  # by chance: one in twelve


def test_words_carry_offsets_of_the_source_text(adapter):
    text = "  The\u00a0JUDGE 👩‍⚖️ שלום, sorry 法院 — remorse!"
    found = explain(adapter, text)
    assert_adds_up(found)
    words = [text[start:end] for start, end in found.words]
    assert words == ["The", "JUDGE", "👩‍⚖️", "שלום", ",", "sorry", "法", "院", "—", "remorse", "!"]
    option = found.options[0]
    assert words[int(option.weights.argmax())] in {"sorry", "remorse"}


def test_leaving_a_sentence_out_is_reading_the_text_without_it(adapter):
    found = explain(adapter, LETTER)
    assert [LETTER[start:end] for start, end in found.sentences] == [
        part + "." * (place < 2) for place, part in enumerate(LETTER.split(". "))
    ]
    whole = adapter.logits([LETTER], ["final"])[0][0]
    for place, (start, end) in enumerate(found.sentences):
        text = LETTER[:start] + LETTER[end:]
        expected = whole - adapter.logits([text], ["final"])[0][0]
        probability = adapter.predict([LETTER])[0] - adapter.predict([text])[0]
        for column, option in enumerate(found.options):
            assert option.delta_logit[place] == pytest.approx(expected[column], abs=0.05)
            assert option.delta_probability[place] == pytest.approx(probability[column], abs=0.02)
    assert found.options[0].delta_logit[1] > 0.5  # "sorry"


def test_sentences_are_left_out_in_runs_where_reading_costs_too_much(adapter, letters):
    text = long_text(letters)
    length = adapter.tokenize([text]).tokens
    found = explain(adapter, text, ["family"], ExplainSettings(sentence_tokens=3 * length))
    assert (len(found.sentences), found.sentences_in_text) == (3, 12)
    assert joined([(0, 1), (2, 3), (4, 5)], 2) == [(0, 3), (4, 5)]


def test_an_option_that_was_never_trained_has_no_words(adapter):
    adapter.loaded["final"].head.fixed[1] = -3.0
    try:
        found = explain(adapter, LETTER)
    finally:
        adapter.loaded["final"].head.fixed[1] = torch.nan
    option = found.options[1]
    assert (option.logit, option.base_logit, option.steps) == (-3.0, -3.0, 0)
    assert not option.weights.any()
    assert not option.delta_logit.any()
    assert_adds_up(found)


def test_the_strongest_window_may_be_explained_instead_of_the_mean(adapter, letters):
    text = long_text(letters)
    mean, strongest = (
        explain(adapter, text, ["family"], strongest_window=way).options[0] for way in (False, True)
    )
    assert strongest.logit > mean.logit
    assert strongest.completeness_error == pytest.approx(
        abs(strongest.logit - strongest.base_logit - strongest.weights.sum()), abs=1e-9
    )


def test_every_piece_of_arithmetic_is_carried(adapter, letters):
    pieces = []

    def carry(tokens, piece):
        pieces.append(tokens)
        return piece()

    settings = ExplainSettings(Steps(passes=64))
    expected = explain(adapter, LETTER)
    found = explain(adapter, LETTER, settings=settings, carry=carry)
    for one, other in zip(found.options, expected.options, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)
    assert len(pieces) > 8  # one step at a time
    assert all(tokens > 0 for tokens in pieces)


@pytest.mark.parametrize("text", ["", " \n ", "\u3000"])
def test_a_text_without_a_word(adapter, text):
    with pytest.raises(NothingToExplainError, match="no word"):
        explain(adapter, text)


@pytest.mark.parametrize("text", ["sorry", ".", "👩‍⚖️", "\ud800", "x" * 3000])
def test_texts_of_one_word(adapter, text):
    found = explain(adapter, text)
    assert len(found.words) == 1
    assert len(found.sentences) == 1
    assert_adds_up(found)


def test_an_option_that_does_not_exist(adapter):
    with pytest.raises(UnknownOptionError, match=r"no option 'mercy'; it has remorse, family, health"):
        explain(adapter, LETTER, ["mercy"])
    assert [option.key for option in explain(adapter, LETTER, ["health", "health"]).options] == ["health"]
