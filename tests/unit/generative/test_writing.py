"""Choosing tokens as transformers does, and text as it comes: whole characters, whole words, exact stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from models.generative.decode.choice import candidates
from models.generative.decode.writing import Writing


class Bytes:
    """A tokenizer whose tokens are bytes; 0 is a special token."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return bytes(token for token in ids if token).decode("utf-8", errors="replace")


@pytest.mark.parametrize("temperature", [0.7, 1.5])
@pytest.mark.parametrize("top_k", [0, 5, 4000])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3])
def test_what_may_be_drawn_has_the_probabilities_that_transformers_gives_it(
    temperature: float, top_k: int, top_p: float
) -> None:
    logits = torch.randn((3, 3000), generator=torch.Generator().manual_seed(1)) * 2
    expected = TemperatureLogitsWarper(temperature)(None, logits.clone())
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    tokens, weights = candidates(logits / temperature, top_k, top_p)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    found = torch.zeros_like(logits, dtype=torch.float64)
    found = weights if tokens is None else found.scatter(1, tokens, weights)
    torch.testing.assert_close(found, expected.double().softmax(dim=-1), atol=1e-6, rtol=1e-4)


def written(text: str, stops: tuple[str, ...] = ()) -> tuple[Writing, list[str]]:
    writing, pieces = Writing(Bytes(), stops), []
    for token in text.encode():
        writing.add(token)
        pieces.append(writing.piece())
        if writing.stopped:
            return writing, pieces
    writing.end()
    return writing, [*pieces, writing.piece(final=True)]


@pytest.mark.parametrize(
    "text",
    [
        "Der Kläger – „ohne Geld“ – verlor.",
        "בית המשפט קבע כי",
        "法院认为，原告的请求成立。",
        "🏛️ ⚖️ end",
        "x" * 200,
        "a-b c’d  e\n\nf",
    ],
)
def test_pieces_are_whole_characters_and_add_up(text: str) -> None:
    writing, pieces = written(text)
    assert writing.text == text == "".join(pieces)
    assert not any("\ufffd" in piece for piece in pieces)


def test_pieces_end_between_words_and_not_within_chinese_alone() -> None:
    _, pieces = written("the defendant is released")
    assert [piece for piece in pieces if piece] == ["the ", "defendant ", "is ", "released"]
    _, pieces = written("法院认为")
    assert [piece for piece in pieces if piece] == ["法", "院", "认", "为"]


def test_a_stop_string_cuts_exactly_and_nothing_of_it_is_shown() -> None:
    writing, pieces = written("Held: yes.\n\nNext case", ("\n\nNext", "never"))
    assert (writing.text, writing.stopped) == ("Held: yes.", True)
    assert "".join(pieces) == writing.text
    writing, pieces = written("Held: yes.\n\nNever mind", ("\n\nNext",))
    assert (writing.text, writing.stopped) == ("Held: yes.\n\nNever mind", False)
    assert "".join(pieces) == writing.text
    writing, _ = written("aab", ("ab", "b"))
    assert writing.text == "a"


def test_what_stood_before_is_no_text_but_its_spaces_count() -> None:
    writing = Writing(Bytes(), (), tuple(b"before"))
    for token in b" after":
        writing.add(token)
    assert writing.text == " after"
    assert writing.piece(final=True) == " after"


def test_a_character_that_never_becomes_whole_is_shown_at_the_end() -> None:
    writing = Writing(Bytes(), ())
    for token in b"ab" + "é".encode()[:1]:
        writing.add(token)
    assert writing.text == "ab"
    writing.end()
    assert writing.text == "ab\ufffd"
