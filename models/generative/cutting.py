"""Texts cut to what a model was trained to read of them."""

from __future__ import annotations

from typing import Any


def cut_to(tokenizer: Any, text: str, most: int) -> tuple[str, bool]:
    """The beginning of a text that is `most` tokens with its end mark, and whether anything was left out.

    Training cuts token ids (models.generative.seq2seq); this is the text that they come of.

    Args:
        tokenizer: a fast one, of transformers.
        text: as the model would read it, its prefix included.
        most: tokens with the end mark.
    """
    room = max(1, most - (tokenizer.eos_token_id is not None))
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = found["offset_mapping"]
    if len(offsets) <= room:
        return text, False
    kept = room
    while (
        len(tokenizer(text[: offsets[kept - 1][1]], add_special_tokens=False, verbose=False)["input_ids"])
        > room
    ):
        kept -= 1  # a word cut in two may be more tokens than it was
    return text[: offsets[kept - 1][1]], True
