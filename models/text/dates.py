"""Dates of a text as year, month and day: in words, in figures, in part. English, Hebrew and Chinese month names and forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.text.items import Item, Taken

_MONTHS = {
    name: month + 1
    for month, names in enumerate(
        (
            "january jan ינואר", "february feb פברואר", "march mar מרץ מרס", "april apr אפריל", "may מאי", "june jun יוני",
            "july jul יולי", "august aug אוגוסט", "september sept sep ספטמבר", "october oct אוקטובר", "november nov נובמבר",
            "december dec דצמבר",
        )
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ALONE = frozenset(
    ("january", "february", "april", "june", "july", "august", "september", "october", "november", "december")
)
"""Months that are dates without a day: "may" and "march" are words, too."""
_WORDS_TOO = frozenset(("may", "march", "mar"))
"""Written small and without a year they are no months."""

_MONTH = rf"(?P<month>(?:{'|'.join(_MONTHS)})\b\.?)"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>1[5-9]\d\d|20\d\d)"
_END = r"(?!\w)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\w){_DAY}\s+(?:day\s+)?(?:of\s+)?ב?{_MONTH},?\s+(?:in\s+)?{_YEAR}{_END}",
        rf"\b{_MONTH}\s+{_DAY}{_END},?\s+{_YEAR}{_END}",
        rf"(?<![\w/.-]){_YEAR}-(?P<month>[01]\d)-(?P<day>[0-3]\d)(?![\w-])",
        r"(?P<year>1[5-9]\d\d|20\d\d)\s?年(?:\s?(?P<month>[01]?\d)\s?月)?(?:\s?(?P<day>[0-3]?\d)\s?日)?",
        r"(?<![\w/.-])(?P<first>[0-3]?\d)(?P<by>[/.-])(?P<second>[0-3]?\d)(?P=by)(?P<year>1[5-9]\d\d|20\d\d)(?![\w/-]|\.\d)",
        r"(?<!\w)(?P<clock>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?![\w:])",
        rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}{_END}",
        rf"(?<!\w){_DAY}\s+(?:of\s+)?ב?{_MONTH}{_END}",
        rf"\b{_MONTH}\s+{_DAY}{_END}(?!\s?[%$€£:])",
        rf"(?<![\w.,/$€£#]){_YEAR}(?![\w%]|[.,/]\d)",
        rf"\b(?P<weekday>{'|'.join(_WEEKDAYS)})(?=s?\b)",
        rf"\b(?P<alone>{'|'.join(sorted(_ALONE))})\b",
    )
)

Parts = tuple[int | None, int | None, int | None]
"""Year, month and day; None: not said."""
Clock = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class KnownDates:
    """What a source says of dates."""

    parts: frozenset[Parts]
    others: frozenset[object]
    """Weekdays and times of the clock."""

    def support(self, item: Item) -> bool:
        """Whether one of the readings of a date is in the source.

        All that it says must stand in one date of the source. A year may stand elsewhere, if the source gives day and month without one.
        """
        return any(
            key in self.others if not _is_parts(key) else self._knows(key)  # type: ignore[arg-type]
            for key in item.keys
        )

    def _knows(self, asked: Parts) -> bool:
        if any(_covers(known, asked) for known in self.parts):
            return True
        year, month, day = asked
        years = {known[0] for known in self.parts}
        return None not in (year, month, day) and (None, month, day) in self.parts and year in years


def dates(text: str) -> list[Item]:
    """The dates, times of the clock, weekdays and years of a text, longest forms first where they overlap; in order."""
    matches = (match for form in _FORMS for match in form.finditer(text))
    items = (
        Item("date", match.start(), match.end(), keys)
        for match in matches
        if (keys := tuple(dict.fromkeys(_keys(match))))
    )
    return sorted(Taken(text).take(items), key=lambda item: item.start)


def known_dates(items: Iterable[Item]) -> KnownDates:
    """What the dates of a source may stand for."""
    keys = {key for item in items for key in item.keys}
    return KnownDates(
        frozenset(key for key in keys if _is_parts(key)),  # type: ignore[misc]
        frozenset(key for key in keys if not _is_parts(key)),
    )


def years_of(items: Iterable[Item]) -> set[int]:
    """Years that dates name."""
    return {key[0] for item in items for key in item.keys if _is_parts(key) and key[0] is not None}  # type: ignore[index]


def _is_parts(key: object) -> bool:
    return isinstance(key, tuple) and len(key) == 3 and not isinstance(key[0], str)


def _covers(known: Parts, asked: Parts) -> bool:
    return all(wanted is None or wanted == given for wanted, given in zip(asked, known, strict=True))


def _keys(match: re.Match[str]) -> Iterator[object]:
    found = match.groupdict()
    if found.get("weekday"):
        yield ("weekday", found["weekday"].lower())
    elif found.get("alone"):
        yield (None, _MONTHS[found["alone"].lower()], None)
    elif found.get("clock"):
        yield ("clock", int(found["clock"]) % 12, int(found["minute"]))
    elif found.get("first"):
        first, second = int(found["first"]), int(found["second"])
        for in_year, in_month in ((second, first), (first, second)):
            if 1 <= in_year <= 12 and 1 <= in_month <= 31:
                yield (int(found["year"]), in_year, in_month)
    elif not (found.get("month") in _WORDS_TOO and found.get("year") is None):
        year, month, day = (found.get(name) for name in ("year", "month", "day"))
        number = None if not month else int(month) if month.isdigit() else _MONTHS[month.lower().rstrip(".")]
        if (day is None or 1 <= int(day) <= 31) and (number is None or 1 <= number <= 12):
            yield (int(year) if year else None, number, int(day) if day else None)
