"""Extractive summaries: lengths asked for and answers given. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.inference.rules import language_warning
from app.summaries.schemas import SummarizeAnswer, SummarizeBody, SummarySentence
from app.summaries.wishes import SummaryWishes

DEFAULT_SENTENCES = 3


def budget_of(body: SummaryWishes) -> tuple[str, float]:
    """Unit (`sentences`, `words`, `ratio`) and amount of the length given."""
    given = [
        (unit, amount)
        for unit, amount in (
            ("sentences", body.max_sentences),
            ("words", body.max_words),
            ("ratio", body.ratio),
        )
        if amount is not None
    ]
    return given[0] if given else ("sentences", DEFAULT_SENTENCES)


def summarized(body: SummarizeBody, base: str, document: dict[str, Any]) -> SummarizeAnswer:
    """The answer from a worker's: which sentences, and what to know about them."""
    spans = document["sentences"]
    sentences = [SummarySentence(start=start, end=end, text=body.text[start:end]) for start, end in spans]
    total = document["sentences_in_text"]
    compared = body.method == "mmr" and total > 1
    summary = " ".join(sentence.text for sentence in sentences)
    words = document["words"]
    return SummarizeAnswer(
        summary=summary,
        sentences=sentences,
        method=body.method,
        base_model=base if compared else None,
        sentences_in_text=total,
        words=words,
        words_in_text=document["words_in_text"],
        warnings=list(_warnings(body, base, len(sentences), total, words)),
    )


def _warnings(body: SummarizeBody, base: str, chosen: int, total: int, words: int) -> Iterator[str]:
    language = language_warning(body.text, base) if body.method == "mmr" else None
    if language is not None:
        yield language
    if chosen == total:
        yield f"The length asked for takes in all of the text ({total} {'sentence' if total == 1 else 'sentences'})."
    elif body.max_words is not None and words > body.max_words:
        yield f"No sentence is as short as {body.max_words} {'word' if body.max_words == 1 else 'words'}: the shortest was taken."
