"""Numbers of a text as values: digits with thousands separators, words, scales, per cent, money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from models.text.items import Item

_SMALL = {
    word: value
    for value, word in enumerate(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen
        """.split()  # noqa: SIM905
    )
}
_TENS = {
    word: 10 * (place + 2)
    for place, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    )
}
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SHORT_SCALES = {"k": 1000, "m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9}
_ORDINALS = {
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "thirteenth": 13,
    "fourteenth": 14,
    "fifteenth": 15,
    "twentieth": 20,
    "thirtieth": 30,
    "hundredth": 100,
}
_ONLY_SUPPORT = {
    "one": 1,
    "once": 1,
    "first": 1,
    "second": 2,
    "twice": 2,
    "both": 2,
    "half": None,
    "dozen": 12,
    "zero": 0,
}
"""Words that speak of a number too loosely to be held against a summary; in a source they support one."""
_UNITS = {
    "%": "%", "percent": "%", "per cent": "%", "percentage points": "%", "٪": "%",
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "dollars": "$", "a$": "$", "c$": "$",
    "€": "€", "eur": "€", "euro": "€", "euros": "€",
    "£": "£", "gbp": "£", "pound": "£", "pounds": "£",
    "¥": "¥", "yen": "¥", "jpy": "¥", "₪": "₪", "nis": "₪", "ils": "₪", "shekel": "₪", "shekels": "₪", "ש\"ח": "₪",
}  # fmt: skip

_WORD = "|".join((*_SMALL, *_TENS))
_SCALE = "|".join(_SCALES)
_NUMERAL = r"\d{1,3}(?:[,.'’\u00a0\u202f ]\d{3})+(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d{1,30}(?:[.,]\d{1,30})?"
_IN_WORDS = rf"(?:{_WORD}|{_SCALE})(?:(?:[\s-]+|\s+and\s+|-and-)(?:{_WORD}|{_SCALE}))*|\ba\s+(?:{_SCALE})\b(?!\s+of\b)"
_BEFORE = r"(?P<before>(?:US|A|C)?\$|[€£¥₪]|\b(?:USD|EUR|GBP|JPY|NIS|ILS)\s)?\s?"
_AFTER = (
    r"(?P<after>\s?[%٪]|\s?[€£₪]|[\s-](?:per\s?cent|percentage\spoints)\b|[\s-](?:dollars?|euros?|pounds|yen|shekels?)\b"
    r"|\s(?:USD|EUR|GBP|JPY|NIS|ILS)\b|\sש\"ח)?"
)
_NUMBER = re.compile(
    rf"{_BEFORE}(?<![A-Za-z0-9_.,/#])(?P<digits>{_NUMERAL})(?P<ordinal>st|nd|rd|th)?(?P<short>(?:k|mn?|bn?)\b)?(?![A-Za-z0-9_#])"
    rf"(?:[\s-](?P<scale>{_SCALE}))?{_AFTER}"
    rf"|\b(?P<words>{_IN_WORDS})\b(?:(?P<unit>[\s-]per\s?cent|[\s-](?:dollars?|euros?|pounds|yen|shekels?))\b)?"
    rf"|\b(?P<nth>{'|'.join(_ORDINALS)})\b|\b(?P<loose>{'|'.join(_ONLY_SUPPORT)})\b",
    re.IGNORECASE,
)
_PARTY = re.compile(r"[\s-]part(?:y|ies)\b", re.IGNORECASE)
_RANGE = re.compile(r"\s*(?:-|–|—|to|and|or)\s*", re.IGNORECASE)

Key = tuple[Decimal, str]
"""Value and unit: `%`, a currency or nothing."""


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    values: tuple[Decimal, ...]
    unit: str
    loose: bool
    scale: int = 1


def numbers(text: str) -> list[Item]:
    """The numbers of a text that a summary is held to, in order. Signs are not looked at."""
    return [_item(found) for found in _ranged(text) if not found.loose]


def number_keys(text: str) -> set[Key]:
    """Everything that the numbers of a source may stand for; each with its unit, and without."""
    return {
        key for found in _ranged(text) for value in found.values for key in ((value, found.unit), (value, ""))
    }


def supports(known: set[Key], item: Item) -> bool:
    """Whether a source knows one of the values that a number may stand for, with the same unit."""
    return any(key in known for key in item.keys)


def _item(found: _Found) -> Item:
    return Item("number", found.start, found.end, tuple((value, found.unit) for value in found.values))


def _ranged(text: str) -> list[_Found]:
    """All numbers; the first of "5 to 10 %" or "$5-10 million" also in the unit and scale of the second."""
    found = list(_found(text))
    for place in range(len(found) - 2, -1, -1):
        first, second = found[place], found[place + 1]
        if (first.unit and second.scale == 1) or not (second.unit or second.scale > 1):
            continue
        if second.start - first.end > 6 or not _RANGE.fullmatch(text, first.end, second.start):
            continue
        values = first.values
        if first.scale == 1 and second.scale > 1:
            values += tuple(value * second.scale for value in first.values)
        found[place] = _Found(first.start, first.end, values, first.unit or second.unit, first.loose)
    return found


def _found(text: str) -> Iterator[_Found]:
    for match in _NUMBER.finditer(text):
        digits = match["digits"]
        if digits is not None:
            scale = _SCALES.get(
                (match["scale"] or "").lower(), _SHORT_SCALES.get((match["short"] or "").lower(), 1)
            )
            unit = _unit(match["before"]) or _unit(match["after"])
            values = tuple(value * scale for value in _readings(digits))
            if match["short"]:
                values += _readings(digits)  # "3m" is three million or three metres
            start = match.start("digits") if not _unit(match["before"]) else match.start("before")
            yield _Found(start, _end(match), values, unit, _is_party(match), scale)
        elif match["words"] is not None:
            words = match["words"].lower()
            loose = words in _ONLY_SUPPORT and not match["unit"]
            values = tuple(Decimal(value) for value in _in_words(words))
            yield _Found(match.start(), _end(match), values, _unit(match["unit"]), loose)
        elif match["nth"] is not None:
            values = (Decimal(_ORDINALS[match["nth"].lower()]),)
            yield _Found(match.start(), match.end(), values, "", _is_party(match))
        else:
            value = _ONLY_SUPPORT[match["loose"].lower()]
            if value is not None:
                yield _Found(match.start(), match.end(), (Decimal(value),), "", True)


def _is_party(match: re.Match[str]) -> bool:
    """Whether a number is the one of "third party", which counts nothing."""
    ordinal = match["nth"] or match["ordinal"]
    return bool(ordinal) and _PARTY.match(match.string, match.end()) is not None


def _end(match: re.Match[str]) -> int:
    return max(match.end(name) for name in ("digits", "ordinal", "short", "scale", "after", "words", "unit"))


def _unit(found: str | None) -> str:
    return "" if not found else _UNITS.get(" ".join(found.replace("-", " ").lower().split()), "")


@lru_cache(maxsize=1 << 14)
def _readings(digits: str) -> tuple[Decimal, ...]:
    """The values that a numeral may stand for: a point or comma before three digits separates thousands or decimals."""
    plain = re.sub(r"['’\u00a0\u202f ]", "", digits)
    if not re.search("[.,]", plain):
        return (Decimal(plain),)
    points, commas = plain.count("."), plain.count(",")
    last = max(plain.rfind("."), plain.rfind(","))
    if points and commas:  # 1,234.50 or 1.234,50: the last one separates decimals
        decimals = plain[last]
        return (Decimal(plain.replace("," if decimals == "." else ".", "").replace(decimals, ".")),)
    whole = Decimal(re.sub("[.,]", "", plain))
    if points + commas > 1:
        return (whole,)
    broken = Decimal(plain.replace(",", "."))
    thousands = last <= 3 and len(plain) - last == 4
    return (whole, broken) if thousands else (broken,)


def _in_words(words: str) -> tuple[int, ...]:
    """What number words say: "two hundred and five" is 205; of "nineteen eighty" also the year."""
    parts = [part for part in re.split(r"[\s-]+", words) if part not in {"and", "a"}]
    total = current = 0
    values = []
    for part in parts:
        if part in _SCALES:
            scale = _SCALES[part]
            current = (current or 1) * scale
            if scale > 100:
                total, current = total + current, 0
        else:
            value = _SMALL.get(part, _TENS.get(part, 0))
            fits = (
                current == 0
                or current % 100 == 0
                or (current % 10 == 0 and value < 10 and current % 100 >= 20)
            )
            if not fits:
                values.append(total + current)  # "two, three": neighbours, not one number
                total = current = 0
            current += value
    values.append(total + current)
    if len(values) == 2 and all(10 <= value < 100 for value in values):
        values.append(values[0] * 100 + values[1])
    return tuple(dict.fromkeys(values))
