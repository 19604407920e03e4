"""A summary of one text by any method, with what can be said of its faithfulness: the steps, without models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from models.data.control_characters import Plain, left_out
from models.text.abstractive import abstract
from models.text.abstracts import SummaryRefusedError, Wishes
from models.text.asking import Embed, Steps
from models.text.extractive import TRADE_OFF, Budget, Method, Unit, summarize
from models.text.faithfulness import Faithfulness, check
from models.text.long_documents import STRATEGIES
from models.text.sentences import split_sentences
from models.text.words import count_words

MOST_SENTENCES = 5_000
"""Sentences that are compared with each other at once by extractive methods."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary as it is answered and stored."""

    text: str
    words: int
    words_in_text: int
    strategy: str
    """`extractive`, or what an abstractive summary was made by."""
    warnings: tuple[str, ...] = ()
    sentences: tuple[tuple[int, int], ...] = ()
    """Of an extractive summary: where its sentences stand in the text."""
    faithfulness: Mapping[str, Any] | None = None
    """Of an abstractive summary: `Faithfulness.to_document`."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Of an abstractive summary: chunks, rounds, calls, tokens_in_text, window, kept_sentences, sentences_in_text."""


class UnfaithfulError(SummaryRefusedError):
    """A summary of which less is supported by its source than was asked for. Carries what was found."""

    def __init__(self, found: Faithfulness, floor: float, document: Mapping[str, Any]) -> None:
        missing = len(found.unsupported)
        super().__init__(
            "summary-unsupported", "min_supported",
            f"{found.supported_share:.0%} of the summary's sentences are supported by the text, at least {floor:.0%} were asked for; "
            f"{missing} {'item is' if missing == 1 else 'items are'} not in the text. Ask for another summary, or for a lower floor.",
        )  # fmt: skip
        self.supported_share = found.supported_share
        self.document = document


@dataclass(frozen=True, slots=True)
class Extractive:
    """An extractive summary as asked for."""

    method: Method
    budget: Budget
    trade_off: float = TRADE_OFF


def extract(text: str, wishes: Extractive) -> Steps[Summary]:
    """The steps of an extractive summary.

    Raises:
        SummaryRefusedError: the text is empty or has more sentences than can be compared.
    """
    spans = split_sentences(text)
    sentences = [text[start:end] for start, end in spans]
    if not sentences:
        raise SummaryRefusedError("empty-text", "text", "The text is empty: there is nothing to summarize.")
    if len(sentences) > MOST_SENTENCES:
        raise SummaryRefusedError(
            "too-many-sentences", "text",
            f"The text has {len(sentences):,} sentences, {MOST_SENTENCES:,} can be summarized at once.",
        )  # fmt: skip
    embeddings, method, warnings = None, wishes.method, []
    if method == "mmr" and len(sentences) > 1:
        embeddings = yield Embed(tuple(sentences))
        if embeddings is None:
            method = "lexrank"
            warnings.append("No embedder could be had: the sentences were chosen by lexrank.")
    chosen = summarize(sentences, wishes.budget, method, embeddings=embeddings, trade_off=wishes.trade_off)
    return Summary(
        text=" ".join(sentences[place] for place in chosen),
        words=sum(count_words(sentences[place]) for place in chosen),
        words_in_text=sum(map(count_words, sentences)),
        strategy="extractive",
        warnings=tuple(warnings),
        sentences=tuple(spans[place] for place in chosen),
    )


def rewrite(text: str, wishes: Wishes, min_supported: float | None = None) -> Steps[Summary]:
    """The steps of an abstractive summary, held against its text in the end. Control characters are not read; offsets count them.

    Raises:
        UnfaithfulError: a smaller share of its sentences than `min_supported` is supported.
        SummaryRefusedError: as `abstract`.
    """
    read = Plain.of(text)
    made = yield from abstract(read.text, wishes)
    made.warnings[:0] = left_out(text, "the text")
    checked = check(made.text, read.text)
    texts = checked.texts
    found = checked.report((yield Embed(tuple(texts))) if texts else None)
    document = found.to_document(made.text)
    for sentence in document["sentences"]:
        sentence["source"] = sentence["source"] and read.span(*sentence["source"])
    if min_supported is not None and found.supported_share < min_supported:
        raise UnfaithfulError(found, min_supported, document)
    told = asdict(made)
    rest = {name: told[name] for name in _MADE}
    return Summary(
        made.text, made.words, made.words_in_text, made.strategy, tuple(made.warnings), (), document, rest
    )


_MADE = ("chunks", "rounds", "calls", "tokens_in_text", "window", "kept_sentences", "sentences_in_text")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How texts are summarized, as requests and jobs carry it in JSON."""

    method: Literal["abstractive"] | Method
    wishes: Wishes | Extractive
    min_supported: float | None = None

    def steps(self, text: str) -> Steps[Summary]:
        """The steps for one text."""
        if isinstance(self.wishes, Extractive):
            return extract(text, self.wishes)
        return rewrite(text, self.wishes, self.min_supported)


def recipe_of(document: Mapping[str, Any]) -> Recipe:
    """From its JSON form: method, one length, and what else its method knows; ValueError for what makes no sense.

    Keys: method, max_sentences, max_words, ratio, trade_off; for abstractive: style, strategy, salience, max_tokens, window, min_supported.
    """
    method = document.get("method", "mmr")
    if method != "abstractive":
        trade_off = document.get("trade_off")
        return Recipe(
            method, Extractive(method, _budget(document), TRADE_OFF if trade_off is None else trade_off)
        )
    strategy: Any = document.get("strategy") or "auto"
    if strategy not in ("auto", *STRATEGIES):
        raise ValueError(f"strategy must be one of auto, {', '.join(STRATEGIES)}")
    wishes = Wishes(
        style=document.get("style") or "document",
        strategy=strategy,
        salience=document.get("salience") or "lexrank",
        max_words=document.get("max_words"),
        ratio=document.get("ratio"),
        most_tokens=int(document.get("max_tokens") or Wishes().most_tokens),
        window=document.get("window"),
    )
    return Recipe("abstractive", wishes, document.get("min_supported"))


def _budget(document: Mapping[str, Any]) -> Budget:
    if document.get("max_words") is not None:
        return Budget(Unit.WORDS, document["max_words"])
    if document.get("ratio") is not None:
        return Budget(Unit.RATIO, document["ratio"])
    return Budget(Unit.SENTENCES, document.get("max_sentences") or 3)
