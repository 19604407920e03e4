"""Citations of a text: case names, articles and sections, reporters, docket and application numbers. English forms, and any script's numbers with a stroke."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from models.text.items import Item, Taken

_PARTS = {
    "article": "article articles art arts",
    "section": "section sections sec secs §",
    "paragraph": "paragraph paragraphs para paras §",
    "rule": "rule rules",
    "clause": "clause clauses",
    "chapter": "chapter chapters ch",
    "regulation": "regulation regulations",
    "schedule": "schedule schedules",
    "annex": "annex annexes",
    "exhibit": "exhibit exhibits",
    "amendment": "amendment amendments",
    "protocol": "protocol protocols",
    "directive": "directive directives",
}
"""§ is a section of a statute and a paragraph of a judgment."""
_KINDS: dict[str, frozenset[str]] = {}
for _kind, _names in _PARTS.items():
    for _name in _names.split():
        _KINDS[_name] = _KINDS.get(_name, frozenset()) | {_kind}

_REFERENCE = r"\d+[A-Za-z]?(?:[.-]\d+)*(?:\s?\([0-9A-Za-z]{1,4}\))*"
_NAMES = "|".join(name for name in _KINDS if name != "§")
_AFTER_LIST = r"(?=\s*(?:$|[.,;:)\]§]|of\b|[A-Z(]))"
_LIST = rf"(?:,\s?{_REFERENCE})*,?\s?(?:and|or|to|&|-|–)\s?{_REFERENCE}"
_PLURAL = "|".join(name for name in _KINDS if name.endswith("s"))
_PART = re.compile(
    rf"(?:\b(?:(?P<plural>(?i:{_PLURAL}))|(?P<name>(?i:{_NAMES})))\b\.?\s?(?:[Nn]os?\.\s?)?|(?P<sign>§{{1,2}})\s?)"
    rf"(?P<numbers>{_REFERENCE}(?:{_LIST}(?(plural)|{_AFTER_LIST}))?)(?!\s?%|\w)"
)
"""After a singular the last number of a list stands before a mark, "of" or a capital: "section 2 and 30 days" cites section 2."""
_ROMAN = re.compile(rf"\b(?P<name>(?i:{_NAMES}))\s(?P<numbers>[IVXLC]+)\b(?!\.\w)")
_PARTY = r"(?:[A-Z][\w’'&-]*\.?|[A-Z]\.)"
_JOIN = r"(?:\s(?:of|the|and|&|de|der|van|von|del|ex|rel\.)){0,2}\s"
_FIRM = r",\s(?=Inc\b|Ltd\b|LLC\b|L\.L|Co\b|Corp\b|PLC\b|S\.A)"
_PARTIES = rf"{_PARTY}(?:(?:{_JOIN}|{_FIRM}){_PARTY}){{0,7}}"
_VERSUS = re.compile(r"(?<=[\w.)]),?\s(?:v\.?|vs\.?|versus|c\.)\s(?:the\s)?(?=[A-Z])")
_LEFT, _RIGHT = re.compile(rf"(?<![\w.]){_PARTIES}$"), re.compile(_PARTIES)
_LONGEST_PARTY = 120
"""Characters before and behind the "v." that are looked at."""
_REPORTER = re.compile(
    r"(?<![\w/])(?:\[(?P<year>\d{4})\]\s(?:(?P<volume>\d{1,4})\s)?|(?P<first>\d{1,4})\s)"
    r"(?P<name>(?:[A-Z][A-Za-z]{0,7}\.\s?|[A-Z]{2,6}\s|Civ\s|Crim\s|Admin\s|\d(?:d|th|nd|rd)\.?\s){1,6})(?:§+\s?)?(?P<page>\d{1,5})\b"
)
_DOCKET = re.compile(
    r"(?<![\w/])(?P<number>\d{3,6}/\d{2,4}|[CTF]-\d{1,4}/\d{2})(?![\w/])"
    r"|\b(?:nos?\.|number|docket|case)\s(?P<docket>(?:\d{1,2}[:-])?(?:[A-Z]{2}-)?\d{1,7}(?:[-/]\d{1,6})+)\b",
    re.IGNORECASE,
)
_LEADING = frozenset(
    """
    in see the under as but cf compare and following citing per from since unlike like also accord with both for on by at
    when while although because court held judgment case
    """.split()  # noqa: SIM905
)
"""Words that begin a sentence, not a party's name."""
_FILLERS = frozenset(("of", "the", "and", "de", "der", "van", "von", "del"))
_MONTHS = frozenset("jan feb mar apr may jun jul aug sep sept oct nov dec".split())  # noqa: SIM905
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


@dataclass(slots=True)
class KnownCitations:
    """What a source cites."""

    parts: dict[str, set[str]] = field(default_factory=dict)
    """By kind (`article`) the numbers cited, each with everything it begins with: 12(b)(6), 12(b) and 12."""
    cases: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)
    others: set[object] = field(default_factory=set)

    def support(self, item: Item) -> bool:
        """Whether a source has a citation: same kind and number (of an inner part the outer one suffices), or the same parties."""
        return any(self._knows(key) for key in item.keys)

    def _knows(self, key: object) -> bool:
        assert isinstance(key, tuple)
        if key[0] == "part":
            _, kinds, numbers = key
            return any(all(number in self.parts.get(kind, ()) for number in numbers) for kind in kinds)
        if key[0] == "case":
            _, left, right = key
            return any(left <= known[0] and right <= known[1] for known in self.cases)
        return key in self.others


def citations(text: str) -> list[Item]:
    """The citations of a text, in order."""
    found = Taken(text).take(_all(text))
    return sorted(found, key=lambda item: item.start)


def known_citations(items: Iterable[Item]) -> KnownCitations:
    """What the citations of a source say."""
    known = KnownCitations()
    for key in (key for item in items for key in item.keys):
        assert isinstance(key, tuple)
        if key[0] == "part":
            for kind in key[1]:
                for number in key[2]:
                    known.parts.setdefault(kind, set()).update(_outer(number))
        elif key[0] == "case":
            known.cases.append(key[1:])
        else:
            known.others.add(key)
            if key[0] == "reporter" and key[2]:  # 42 U.S.C. § 1983 is a section 1983
                known.parts.setdefault("section", set()).add(key[1][4])
    return known


def _all(text: str) -> Iterator[Item]:
    for match in _VERSUS.finditer(text):
        item = _case(text, match.start(), match.end())
        if item is not None:
            yield item
    for match in _REPORTER.finditer(text):
        key = tuple(re.sub(r"[.\s]", "", part or "").casefold() for part in match.groups())
        if key[3] not in _MONTHS:
            yield Item("citation", match.start(), match.end(), (("reporter", key, "§" in match.group()),))
    for match in _DOCKET.finditer(text):
        group = "number" if match["number"] else "docket"
        yield Item("citation", match.start(group), match.end(group), (("docket", match[group].casefold()),))
    for form in (_PART, _ROMAN):
        for match in form.finditer(text):
            yield _part(match)


def _case(text: str, end_of_left: int, start_of_right: int) -> Item | None:
    """The case whose parties stand around a "v."."""
    left = _LEFT.search(text[max(0, end_of_left - _LONGEST_PARTY) : end_of_left])
    right = _RIGHT.match(text, start_of_right, min(len(text), start_of_right + _LONGEST_PARTY))
    if left is None or right is None:
        return None
    words = [match.group() for match in re.finditer(r"\S+", left.group())]
    starts = [match.start() for match in re.finditer(r"\S+", left.group())]
    first = 0
    while first < len(words) and words[first].strip(".,").casefold() in _LEADING:
        first += 1
    parties = _words(words[first:]), _words(right.group().split())
    if not all(parties):
        return None
    return Item(
        "citation", end_of_left - len(left.group()) + starts[first], right.end(), (("case", *parties),)
    )


def _words(party: Sequence[str]) -> frozenset[str]:
    words = (word.strip(".,").casefold().removesuffix("'s").removesuffix("’s") for word in party)
    return frozenset(word for word in words if word and word not in _FILLERS and word != "&")


def _part(match: re.Match[str]) -> Item:
    groups = match.groupdict()
    kinds = _KINDS[(groups.get("plural") or groups["name"] or "§").casefold()]
    numbers = match["numbers"]
    if re.fullmatch("[IVXLC]+", numbers):
        found: tuple[str, ...] = (str(_roman(numbers)),)
    else:
        found = tuple(
            re.sub(r"\s", "", number).casefold()
            for number in re.split(r"\s?(?:,|\band\b|\bor\b|\bto\b|&|–)\s?", numbers)
            if number
        )
    return Item("citation", match.start(), match.end(), (("part", tuple(sorted(kinds)), found),))


def _outer(number: str) -> Iterator[str]:
    """A number and what it lies in: 12(b)(6), 12(b), 12; of a range 12-14 both ends."""
    yield number
    for end in range(1, len(number)):
        if number[end] in "(.":
            yield number[:end]
    if "-" in number:
        yield from number.split("-")


def _roman(numeral: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in numeral] + [0]
    return sum(-value if value < after else value for value, after in pairwise(values))
