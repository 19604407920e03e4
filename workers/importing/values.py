"""What the values of label columns mean: yes and no in several notations; blank is missing; codes are asked about. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Lookup
from dataclasses import dataclass

from app.corpora.mapping import EVERY_COLUMN, Meaning
from models.scheme import MISSING, NO, NOT_APPLICABLE, UNCERTAIN, YES

NOTATIONS: Lookup[str, Lookup[str, int]] = {
    "0/1": {"0": NO, "1": YES, "0.0": NO, "1.0": YES},
    "yes/no": {"no": NO, "yes": YES},
    "y/n": {"n": NO, "y": YES},
    "true/false": {"false": NO, "true": YES},
}
"""Notations of yes and no, without case."""
CODES_OF_MEANING: Lookup[Meaning, int] = {
    Meaning.YES: YES,
    Meaning.NO: NO,
    Meaning.MISSING: MISSING,
    Meaning.UNCERTAIN: UNCERTAIN,
    Meaning.NOT_APPLICABLE: NOT_APPLICABLE,
}
CODE_LIKE = frozenset(
    {
        "9",
        "-9",
        "99",
        "-99",
        "999",
        "-999",
        "-1",
        "na",
        "n/a",
        "n.a.",
        "nan",
        "null",
        ".",
        "-",
        "?",
        "unk",
        "unknown",
        "unclear",
        "missing",
        "x",
    }
)
"""Values that look like codes for missing, uncertain or not applicable; what they mean is never guessed."""
_PLAIN: Lookup[str, tuple[str, int]] = {
    value: (notation, code) for notation, values in NOTATIONS.items() for value, code in values.items()
}


@dataclass(frozen=True, slots=True)
class Unclear:
    """Values of a column whose meaning must be given: with counts, and why they are asked about."""

    column: str
    counts: Lookup[str, int]
    mixed: bool
    """True when the column mixes notations (0/1 and yes/no), False when it holds unknown codes."""


def looks_like_yes_no(values: Counter[str]) -> bool:
    """Whether a column's values are yes and no in any notation, with at most some codes beside."""
    plain = sum(count for value, count in values.items() if value.casefold() in _PLAIN)
    rest = [value for value in values if value.casefold() not in _PLAIN]
    return plain > 0 and all(value.casefold() in CODE_LIKE for value in rest) and plain * 2 >= values.total()


def yes_no_table(
    column: str, values: Counter[str], codes: Lookup[str, Lookup[str, Meaning]]
) -> dict[str, int] | Unclear:
    """The code of every value of a wide or value column, by the value as it stands in the file; Unclear when one must be asked about."""
    given = meanings(column, codes)
    table: dict[str, int] = {"": MISSING}
    notations: Counter[str] = Counter()
    unknown: dict[str, int] = {}
    for value, count in values.items():
        folded = value.casefold()
        if folded in given:
            table[value] = given[folded]
        elif folded in _PLAIN:
            notation, table[value] = _PLAIN[folded]
            notations[notation] += count
        else:
            unknown[value] = count
    if unknown:
        return Unclear(column, unknown, mixed=False)
    if len(notations) > 1:
        return Unclear(column, dict(values), mixed=True)
    return table


def label_codes(
    column: str, values: Counter[str], options: frozenset[str], codes: Lookup[str, Lookup[str, Meaning]]
) -> dict[str, int] | Unclear:
    """Codes among the labels of a choose_one, list or long column (UNCERTAIN, NOT_APPLICABLE or MISSING); Unclear for ones that look like codes.

    options: keys that are known to be options, however they look.
    """
    given = meanings(column, codes)
    table = {value: given[value.casefold()] for value in values if value.casefold() in given}
    unknown = {
        value: count
        for value, count in values.items()
        if value.casefold() in CODE_LIKE and value not in options and value not in table
    }
    return Unclear(column, unknown, mixed=False) if unknown else table


def meanings(column: str, codes: Lookup[str, Lookup[str, Meaning]]) -> dict[str, int]:
    """The codes given for a column, its own before those for every column; keys without case."""
    merged = {**codes.get(EVERY_COLUMN, {}), **codes.get(column, {})}
    return {value.strip().casefold(): CODES_OF_MEANING[meaning] for value, meaning in merged.items()}
