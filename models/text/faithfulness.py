"""Whether a summary says what its source says, so far as that can be told without understanding: its numbers, dates, citations and names, and the words of its sentences.

It is no proof. A negation, a wrong subject or a wrong link between facts that all stand in the source is not found (docs/summaries.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.text.citations import KnownCitations, citations, known_citations
from models.text.dates import KnownDates, dates, known_dates
from models.text.items import KINDS, Item, Kind, Taken
from models.text.names import KnownWords, has_case, known_words, names
from models.text.numbers import Key, number_keys, numbers, supports
from models.text.sentences import split_sentences
from models.text.support import Overlap, overlaps, similarities, wanted

LEAST_OVERLAP = 0.5
"""Share of a sentence's terms found in one stretch of the source from which it counts as supported."""
LEAST_SIMILARITY = 0.65
"""Cosine to a sentence of the source from which it counts as supported, where embeddings are at hand."""

Span = tuple[int, int]
Embed = Callable[[Sequence[str]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """One sentence of a summary: `summary[start:end]`."""

    start: int
    end: int
    supported: bool
    overlap: float
    """Share of its terms found in one stretch of three sentences of the source."""
    similarity: float | None
    """Highest cosine to a sentence of the source; None where its words sufficed or no embeddings were at hand."""
    source: Span | None
    """The stretch of the source that speaks most for it; None where none does."""
    unsupported_items: int


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What of a summary is found in its source."""

    items: dict[Kind, int]
    """How many numbers, dates, citations and names the summary has."""
    unsupported: tuple[Item, ...]
    """Those that the source does not have, in order."""
    sentences: tuple[SentenceSupport, ...]
    names_checked: bool
    """False where the summary's script knows no capitals: names cannot be told then."""
    embedded: bool
    """Whether embeddings were at hand."""

    @property
    def supported_share(self) -> float:
        """Share of the sentences that are supported; 0 of an empty summary."""
        return sum(sentence.supported for sentence in self.sentences) / max(len(self.sentences), 1)

    def precision(self, *kinds: Kind) -> float | None:
        """Share of the summary's items of some kinds (all by default) that the source has; None where there is none."""
        asked = kinds or KINDS
        total = sum(self.items[kind] for kind in asked)
        missing = sum(item.kind in asked for item in self.unsupported)
        return None if total == 0 else (total - missing) / total

    def to_document(self, summary: str) -> dict[str, Any]:
        """As answers and tables keep it."""
        return {
            "supported_share": round(self.supported_share, 4),
            "items": {kind: self.items[kind] for kind in KINDS},
            "unsupported": [
                {
                    "kind": item.kind,
                    "text": summary[item.start : item.end],
                    "start": item.start,
                    "end": item.end,
                }
                for item in self.unsupported
            ],
            "sentences": [_sentence(sentence) for sentence in self.sentences],
            "names_checked": self.names_checked,
            "embedded": self.embedded,
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """A summary held against its source by its words alone. `texts` are what embeddings may be had of before `report`."""

    items: tuple[Item, ...]
    unsupported: tuple[Item, ...]
    spans: tuple[Span, ...]
    """Sentences of the summary."""
    source_spans: tuple[Span, ...]
    overlaps: tuple[Overlap, ...]
    names_checked: bool
    summary: str
    source: str

    @property
    def open(self) -> list[int]:
        """Sentences of the summary whose words do not suffice."""
        return [place for place, found in enumerate(self.overlaps) if found.share < LEAST_OVERLAP]

    @property
    def texts(self) -> list[str]:
        """Open sentences of the summary, then the sentences of the source that they are compared with; empty where nothing is open."""
        own = [self.summary[slice(*self.spans[place])] for place in self.open]
        other = wanted([self.overlaps[place].candidates for place in self.open])
        return [*own, *(self.source[slice(*self.source_spans[place])] for place in other)]

    def report(self, embeddings: NDArray[np.floating] | None = None) -> Faithfulness:
        """What was found. embeddings: float (texts, dimensions), of `texts` in their order; None: none are at hand."""
        close: dict[int, tuple[float, int]] = {}
        if embeddings is not None and self.open and self.source_spans:
            own, candidates = len(self.open), [self.overlaps[place].candidates for place in self.open]
            found = similarities(embeddings[:own], embeddings[own:], candidates)
            close = dict(zip(self.open, found, strict=True))
        return Faithfulness(
            items={kind: sum(item.kind == kind for item in self.items) for kind in KINDS},
            unsupported=self.unsupported,
            sentences=tuple(self._sentence(place, close.get(place)) for place in range(len(self.spans))),
            names_checked=self.names_checked,
            embedded=embeddings is not None,
        )

    def _sentence(self, place: int, close: tuple[float, int] | None) -> SentenceSupport:
        start, end = self.spans[place]
        overlap = self.overlaps[place]
        missing = sum(start <= item.start < end for item in self.unsupported)
        alike = overlap.share >= LEAST_OVERLAP or (close is not None and close[0] >= LEAST_SIMILARITY)
        return SentenceSupport(
            start=start, end=end, supported=alike and missing == 0, overlap=overlap.share,
            similarity=None if close is None else close[0], source=self._stretch(overlap, close), unsupported_items=missing,
        )  # fmt: skip

    def _stretch(self, overlap: Overlap, close: tuple[float, int] | None) -> Span | None:
        if close is not None and close[0] >= LEAST_SIMILARITY:
            return self.source_spans[close[1]]
        if not self.source_spans or overlap.share == 0:
            return None
        last = min(overlap.place + 2, len(self.source_spans) - 1)
        return self.source_spans[overlap.place][0], self.source_spans[last][1]


def check(summary: str, source: str) -> Checked:
    """Hold a summary against its source by its words alone."""
    spans, source_spans = split_sentences(summary), split_sentences(source)
    items, known = items_of(summary, spans), Known.of(source)
    names_checked = has_case(summary)
    return Checked(
        items=tuple(items),
        unsupported=tuple(item for item in items if not known.support(item)),
        spans=tuple(spans),
        source_spans=tuple(source_spans),
        overlaps=tuple(
            overlaps(
                [summary[start:end] for start, end in spans],
                [source[start:end] for start, end in source_spans],
            )
        ),
        names_checked=names_checked,
        summary=summary,
        source=source,
    )


def faithfulness(summary: str, source: str, embed: Embed | None = None) -> Faithfulness:
    """Hold a summary against its source. embed: gives float (texts, dimensions) of some sentences; None: words alone."""
    checked = check(summary, source)
    texts = checked.texts
    return checked.report(embed(texts) if embed is not None and texts else None)


def items_of(text: str, sentences: Sequence[Span]) -> list[Item]:
    """Numbers, dates, citations and names of a text, in order; no character belongs to two of them."""
    taken = Taken(text)
    found = taken.take(citations(text))
    found += taken.take(dates(text))
    found += taken.take(numbers(text))
    if has_case(text):
        found += taken.take(names(text, sentences))
    return sorted(found, key=lambda item: item.start)


@dataclass(frozen=True, slots=True)
class Known:
    """What a source has."""

    numbers: set[Key]
    dates: KnownDates
    citations: KnownCitations
    words: KnownWords

    @classmethod
    def of(cls, source: str) -> Known:
        """Read a source."""
        return cls(
            number_keys(source),
            known_dates(dates(source)),
            known_citations(citations(source)),
            known_words(source),
        )

    def support(self, item: Item) -> bool:
        """Whether the source has an item of a summary."""
        if item.kind == "number":
            return supports(self.numbers, item)
        if item.kind == "date":
            return self.dates.support(item) or self._year(item)
        return self.citations.support(item) if item.kind == "citation" else self.words.support(item)

    def _year(self, item: Item) -> bool:
        """A bare year may stand in the source as any number."""
        return any(
            isinstance(key, tuple)
            and len(key) == 3
            and key[1] is None
            and key[2] is None
            and (key[0], "") in self.numbers
            for key in item.keys
        )


def _sentence(sentence: SentenceSupport) -> dict[str, Any]:
    return {
        "start": sentence.start,
        "end": sentence.end,
        "supported": sentence.supported,
        "overlap": round(sentence.overlap, 4),
        "similarity": None if sentence.similarity is None else round(sentence.similarity, 4),
        "source": None if sentence.source is None else list(sentence.source),
        "unsupported_items": sentence.unsupported_items,
    }
