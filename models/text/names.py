"""Names of a text without a model: capitalised words in a row, inside sentences. Made for English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.text.items import Item

_WORD = re.compile(r"[^\W_]+(?:[.'’&-][^\W_]+)*")
_CLOSE = 3
"""A name's words may stand so many words apart in the source: "John Smith" is in "John Q. Smith"."""
_PARTICLES = frozenset(
    ("of", "the", "and", "de", "der", "den", "van", "von", "del", "di", "da", "la", "le", "bin", "al", "for")
)
_TITLES = frozenset(
    "mr mrs ms miss mx dr prof professor judge justice president sir lord lady chief hon rev capt gen sgt".split()  # noqa: SIM905
)  # fmt: skip
_NO_NAMES = frozenset(
    """
    i i'm i'd i've i'll i’m i’d i’ve i’ll am pm a.m p.m ok okay no yes mr mrs ms dr
    monday tuesday wednesday thursday friday saturday sunday
    january february march april may june july august september october november december
    """.split()  # noqa: SIM905
)
_OPENERS = frozenset(
    """
    the a an in on at he she it they we you his her its their our my your this that these those there here if when while
    as although though because since after before during under over with without for from to by of and or but not no
    however moreover furthermore therefore thus accordingly both each every all some any most many several few such
    who whom which what where why how see also then once until unless upon according one two three four five six seven
    eight nine ten first second third finally next later both neither either nor so yet still only even
    nobody everybody somebody anybody everyone someone anyone nothing everything something anything none
    today tomorrow yesterday tonight people everything such overall
    """.split()  # noqa: SIM905
)
_DOES = re.compile(
    r"(?:(?:is|was|has|had|will|would|can|could|may|might|must|should|does|did)(?:n['’]t)?|[a-z]{2,}s|[a-z]{3,}ed"
    r"|said|told|went|got|lost|left|made|took|gave|came|saw|thought|bought|sold|paid|won|held|found|kept|met|knew|felt|wrote|spoke|also)$"
)
"""What a name that opens a sentence is followed by: most verbs of reports."""
_NO_NAME_ENDINGS = ("ing", "ly")
_ENDINGS = ("s", "es", "n", "an", "ian", "i", "ese", "ish")
"""Endings by which a people is named after its country: Israel, Israeli; Austria, Austrian."""
_MOSTLY_CAPITALS = 0.6
_LEAST_WORDS = 4
_CASED_SHARE = 0.5


Parts = tuple[tuple[str, ...], ...]
"""A name's words, folded, in parts between "of", "de" and the like."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """Another reading of a name that opens a sentence: its first word is none of it ("Lawyer Jane Miller")."""

    word: str
    rest: Parts


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Where every word of a source stands, so that a name of several words can be looked for."""

    places: dict[str, list[int]]
    small: frozenset[str]
    """Words that stand somewhere in small letters."""
    initials: str
    """First letters of all capitalised words in a row, with a blank where something else stands between."""

    def support(self, item: Item) -> bool:
        """Whether a name's words stand in the source in their order and close together, however they are written there.

        Titles do not count. A people's name is supported by its country's and the other way round, an acronym by its words.
        """
        return any(self._knows(key) for key in item.keys)

    def _knows(self, key: object) -> bool:
        if isinstance(key, _Opening):
            return key.word in self.small and self._knows(key.rest)
        assert isinstance(key, tuple)
        whole = tuple(word for part in key for word in part)
        return self._stands(whole) or (len(key) > 1 and all(map(self._stands, key)))

    def _stands(self, words: Sequence[str]) -> bool:
        if len(words) == 1:
            return self._one(words[0])
        return any(self._follows(words, place) for place in self.places.get(words[0], ()))

    def _one(self, word: str) -> bool:
        if word in self.places or any(word + ending in self.places for ending in _ENDINGS if len(word) > 3):
            return True
        if any(
            word.endswith(end) and len(word) > len(end) + 3 and word[: -len(end)] in self.places
            for end in _ENDINGS
        ):
            return True
        return 2 < len(word) <= 8 and word.isalpha() and word in self.initials

    def _follows(self, words: Sequence[str], place: int) -> bool:
        for word in words[1:]:
            later = [other for other in self.places.get(word, ()) if place < other <= place + _CLOSE]
            if not later:
                return False
            place = later[0]
        return True


def known_words(text: str) -> KnownWords:
    """The words of a source, folded: small letters, no accents, no possessive."""
    places: dict[str, list[int]] = {}
    small: set[str] = set()
    initials: list[str] = []
    for place, match in enumerate(_WORD.finditer(text)):
        word = match.group()
        for part in dict.fromkeys((_folded(word), *map(_folded, re.split("[-.'’]", word)))):
            places.setdefault(part, []).append(place)
        if word[0].isupper():
            initials.append(word[0].lower())
        else:
            small.add(_folded(word))
            if word not in _PARTICLES:
                initials.append(" ")
    return KnownWords(places, frozenset(small), "".join(initials))


def names(text: str, sentences: Sequence[tuple[int, int]]) -> list[Item]:
    """The names in a text's sentences, in order.

    A single capitalised word that opens a sentence is taken for a name only if it stands so inside a sentence as well, has a capital,
    a digit or a possessive, or is followed by what reports say of people (is, has, asks, wanted, and Mary). Sentences all in capitals, and headings (mostly capitalised, no mark at the end), have none.
    """
    inside = {
        match.group() for start, end in sentences for match in list(_WORD.finditer(text, start, end))[1:]
    }
    return [item for start, end in sentences for item in _in_sentence(text, start, end, inside)]


def has_case(text: str) -> bool:
    """Whether most letters of a text know capitals: in other scripts no name can be told."""
    letters = [letter for letter in text if letter.isalpha()]
    cased = sum(letter.lower() != letter.upper() for letter in letters)
    return bool(letters) and cased / len(letters) >= _CASED_SHARE


def _in_sentence(text: str, start: int, end: int, inside: set[str]) -> Iterator[Item]:
    words = list(_WORD.finditer(text, start, end))
    capitals = [match.group()[0].isupper() for match in words]
    heading = text[end - 1] not in '.!?”"’' and sum(capitals) > _MOSTLY_CAPITALS * len(words)
    if len(words) >= _LEAST_WORDS and (heading or text[start:end].isupper()):
        return
    place = 0
    while place < len(words):
        run = _run(text, words, place)
        if not run:
            place += 1
            continue
        place += len(run)
        opening = run[0] is words[0] and not _opens(run, words[1:3], inside)
        if run[0] is words[0] and not opening:
            run = run[1:]
        while run and run[-1].group().casefold() in _PARTICLES:
            run = run[:-1]
        key = _parts([match.group() for match in run])
        if key:
            after = _parts([match.group() for match in run[1:]]) if opening else ()
            keys = (key, _Opening(_folded(run[0].group()), after)) if after else (key,)
            yield Item("name", run[0].start(), run[-1].end(), keys)


def _parts(words: Sequence[str]) -> Parts:
    """A name's words without titles, folded, in parts between particles."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word.casefold() in _PARTICLES:
            parts.append([])
        elif word.casefold() not in _TITLES | _NO_NAMES:
            parts[-1].append(_folded(word))
    return tuple(tuple(part) for part in parts if part)


def _run(text: str, words: Sequence[re.Match[str]], place: int) -> list[re.Match[str]]:
    """Capitalised words in a row from a place on, particles between them included; empty where no name begins."""
    first = words[place].group()
    if not first[0].isupper() or first.casefold() in _NO_NAMES - _TITLES:
        return []
    run = [words[place]]
    for match in words[place + 1 :]:
        between = text[run[-1].end() : match.start()]
        title = run[-1].group().casefold() in _TITLES and between.startswith(".")
        if between.strip(" \t\n") and not title and not (between == ". " and len(run[-1].group()) == 1):
            break
        word = match.group()
        small = word in _PARTICLES - {"and", "for"} and run[-1].group() not in _PARTICLES
        if not (word[0].isupper() or small) or word.casefold() in _NO_NAMES:
            break
        run.append(match)
    while run and run[-1].group() in _PARTICLES:
        run.pop()
    return run


def _opens(run: Sequence[re.Match[str]], following: Sequence[re.Match[str]], inside: set[str]) -> bool:
    """Whether the first word of a run is capitalised only because a sentence begins with it; `following`: the two words after it."""
    first = run[0].group()
    if re.split("['’]", first.casefold())[0] in _OPENERS:
        return True
    plain = (first[1:].islower() and first.isalpha()) or len(first) == 1
    if len(run) > 1 or not plain or first in inside:
        return False
    if len(first) == 1 or first.endswith(_NO_NAME_ENDINGS) or not following:
        return True
    after = [match.group() for match in following]
    with_another = after[0] == "and" and len(after) > 1 and after[1][0].isupper()
    return not (with_another or _DOES.match(after[0]))


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"['’]s$", "", plain)
