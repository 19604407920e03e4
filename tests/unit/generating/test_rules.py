"""What is left out of prompts."""

from __future__ import annotations

import sys
import unicodedata

from app.generating.rules import text_warnings
from models.data.control_characters import plain


def test_control_characters_go_and_white_space_stays() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kept = "".join(one for one in every if unicodedata.category(one) != "Cc" or one in "\t\n\r\f")
    assert plain(every) == kept
    assert list(text_warnings(["a\x07b\x1b\u0085"], "/prompts")) == [
        "3 control characters were left out of /prompts/0: U+0007, U+001B, U+0085."
    ]
