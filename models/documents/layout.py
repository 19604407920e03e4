"""From the lines of pages to paragraphs: running headers and footers removed, hyphenation undone, lines joined.

Conservative: a line is removed only where the same line stands at the same edge of most pages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

EDGE = 3
"""Lines at the top and at the bottom of a page that may be a running header or footer."""
FEWEST_PAGES = 4
SHARE = 0.6
"""A line repeated on this share of the pages, at the same edge, is a running one."""
SHORT_LINE = 0.7
"""A line that ends a sentence and is shorter than this share of a usual line ends its paragraph."""

_DIGITS = re.compile(r"\d+")
_SPACES = re.compile(r"[^\S\n]+")
_BREAK = re.compile(r"([^\W\d_]+)-\n([^\W\d_]+)")
_COMPOUND = re.compile(r"[^\W\d_]+-[^\W\d_]+")
_ENDS = re.compile(r"[.:;?!][\"'”’)\]]*$")
_BEGINS = re.compile(r"(\(?[0-9]{1,4}[.)]|\([a-z]{1,4}\)|[•▪–-])\s")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufeff]")


def cleaned(text: str) -> str:
    """The text without control characters and lone surrogates, with \\n line ends and single spaces."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n"))
    return "\n".join(_SPACES.sub(" ", line).strip() for line in plain.split("\n"))


def paragraphs_of(pages: Sequence[str]) -> tuple[str, int]:
    """Paragraphs, separated by blank lines, and the number of running header and footer lines removed.

    Args:
        pages: the text of each page, a line per line, in order.
    """
    lines = [cleaned(page).strip("\n").split("\n") for page in pages]
    kept, removed = without_running_lines(lines)
    flat = [line for page in kept for line in page]
    return unhyphenated("\n".join(flat), flat), removed


def without_running_lines(pages: Sequence[Sequence[str]]) -> tuple[list[list[str]], int]:
    """Pages without the lines that most of them repeat at their edges (numbers in them may differ), and how many were removed."""
    if len(pages) < FEWEST_PAGES:
        return [list(page) for page in pages], 0
    counts: Counter[tuple[int, str]] = Counter()
    for page in pages:
        counts.update({(edge, _pattern(page[place])) for edge, place in _edges(page)})
    least = max(FEWEST_PAGES - 1, SHARE * len(pages))
    running = {found for found, count in counts.items() if count >= least}
    kept, removed = [], 0
    for page in pages:
        gone = {place for edge, place in _edges(page) if (edge, _pattern(page[place])) in running}
        removed += len(gone)
        kept.append([line for place, line in enumerate(page) if place not in gone])
    return kept, removed


def unhyphenated(text: str, lines: Sequence[str]) -> str:
    """Lines joined into paragraphs. A word broken at a line's end is joined, with its hyphen where the document writes it so elsewhere."""
    compounds = {found.casefold() for line in lines for found in _COMPOUND.findall(line)}

    def joined(match: re.Match[str]) -> str:
        first, second = match.groups()
        compound = f"{first}-{second}"
        if compound.casefold() in compounds or not second[0].islower():
            return compound
        return first + second

    while (once := _BREAK.sub(joined, text)) != text:
        text = once
    return _joined_lines(text.split("\n"))


def _joined_lines(lines: Sequence[str]) -> str:
    lengths = sorted(len(line) for line in lines if line)
    usual = lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line:
            paragraphs.append([])
            continue
        current = paragraphs[-1]
        if current and _ends_paragraph(current[-1], line, usual):
            paragraphs.append([])
        paragraphs[-1].append(line)
    return "\n\n".join(" ".join(part) for part in paragraphs if part)


def _ends_paragraph(last: str, following: str, usual: int) -> bool:
    if not _ENDS.search(last):
        # a short line before a capital is a heading
        return len(last) < 0.5 * usual and following[:1].isupper()
    return len(last) < SHORT_LINE * usual or _BEGINS.match(following) is not None


def _edges(page: Sequence[str]) -> list[tuple[int, int]]:
    """(-1 for the top, 1 for the bottom; place) of the non-empty lines at the edges of a page."""
    filled = [place for place, line in enumerate(page) if line]
    top = [(-1, place) for place in filled[:EDGE]]
    return top + [(1, place) for place in filled[max(EDGE, len(filled) - EDGE) :]]


def _pattern(line: str) -> str:
    return _DIGITS.sub("#", line.casefold())
