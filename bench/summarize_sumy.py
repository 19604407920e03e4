"""sumy's TextRank and LexRank on sentences that are already split, with its own stemmer and stop words; nothing where it is not installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from models.text.extractive import Budget
from models.text.words import count_words

NAMES = {"sumy textrank": ("text_rank", "TextRankSummarizer"), "sumy lexrank": ("lex_rank", "LexRankSummarizer")}  # fmt: skip


def sumy_methods() -> dict[str, Callable[[Sequence[str], Budget], Sequence[int]]]:
    """Both by name; empty, with a line on standard output, without sumy."""
    try:
        import importlib

        from sumy.nlp.stemmers import Stemmer
        from sumy.utils import get_stop_words
    except ImportError as error:
        print(f"sumy's rows are left out: {error}.")
        return {}
    found = {}
    for name, (module, kind) in NAMES.items():
        summarizer = getattr(importlib.import_module(f"sumy.summarizers.{module}"), kind)(Stemmer("english"))
        summarizer.stop_words = get_stop_words("english")
        found[name] = _choosing(summarizer)
    return found


class _Words:
    """A tokenizer as sumy wants one; nltk's needs data that is downloaded."""

    def to_words(self, sentence: str) -> tuple[str, ...]:
        return tuple(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", sentence.lower()))


def _choosing(summarizer: Any) -> Callable[[Sequence[str], Budget], Sequence[int]]:
    def chosen(sentences: Sequence[str], budget: Budget) -> list[int]:
        from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence

        tokenizer = _Words()
        own = [Sentence(sentence, tokenizer) for sentence in sentences]
        places = {id(sentence): place for place, sentence in enumerate(own)}
        left, most = budget.limits([count_words(sentence) for sentence in sentences])

        def fitting(infos: Sequence[Any]) -> list[Any]:
            """As many of the best-rated as fit: sumy takes a function in place of a count."""
            nonlocal left
            taken = []
            for info in infos:
                words = count_words(sentences[places[id(info.sentence)]])
                if len(taken) < most and words <= left:
                    taken.append(info)
                    left -= words
            return taken or [min(infos, key=lambda info: count_words(sentences[places[id(info.sentence)]]))]

        answer = summarizer(ObjectDocumentModel([Paragraph(own)]), fitting)
        return [places[id(sentence)] for sentence in answer]

    return chosen
