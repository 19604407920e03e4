"""Control characters are left out, said to be, and places in what is left lead back to the text as it was sent."""

from __future__ import annotations

import random

import pytest

from models.data.control_characters import CONTROL, Plain, left_out, plain


def test_what_was_left_out_is_named_once_each() -> None:
    assert left_out("plain", "/text") == []
    assert left_out("a\x07b\x07", "/text") == ["2 control characters were left out of /text: U+0007."]
    assert left_out("\x1b", "the text") == ["1 control character was left out of the text: U+001B."]


@pytest.mark.parametrize("seed", range(30))
def test_places_lead_back_to_the_text_as_it_was_sent(seed: int) -> None:
    drawn = random.Random(seed)
    text = "".join(drawn.choice("ab \x07\x1b") for _ in range(drawn.randrange(60)))
    read = Plain.of(text)
    assert read.text == plain(text)
    for start in range(len(read.text)):
        for end in range(start + 1, len(read.text) + 1):
            first, last = read.span(start, end)
            assert plain(text[first:last]) == read.text[start:end]
            assert not CONTROL.match(text[first])
            assert not CONTROL.match(text[last - 1])
