"""Sentences of legal text, as character offsets: a full stop after "v.", "no.", "Art." or an initial ends nothing."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    """
    v vs cf eg ie viz al ibid op cit supra infra appl appls ser reps exh const stat stats reg regs rr cc ss ff supp cir ct
    cts dist div civ crim cass bankr fed cal tex mich penn conn fla amend app seq
    mr mrs ms mx dr prof hon messrs mme mlle jr sr st rev gen gov sen capt lt sgt atty jj lj cj
    inc ltd co corp plc bros assn dept univ intl natl
    jan feb apr jun jul aug sept oct nov approx ca etc
    """.split()  # noqa: SIM905 - a list of 90 quoted words is not read by anyone
)
_BEFORE_NUMBER = frozenset(
    """
    no nos nr art arts sec secs sect para paras par pt pts cl cls sch sched ch chs chap vol vols ed fn nn p pp n ex rep fig
    figs tel ext rec r c s f mar dec sep
    """.split()  # noqa: SIM905
)
"""Abbreviations only where a number follows: "no. 12", but "He said no."."""
_OFTEN_LAST = frozenset(
    ("inc", "ltd", "co", "corp", "plc", "jr", "sr", "etc", "al", "seq", "st", "ct", "app", "amend")
)
"""Abbreviations that also end sentences; a word that usually opens one then decides."""
_OPENERS = frozenset(
    """
    the a an in on at he she it they we i this that these those there however moreover furthermore therefore thus
    accordingly as if when while under although because since for but and his her its their our my such no nor not
    """.split()  # noqa: SIM905
)
_LONGEST_BRACKET = 600
"""Characters after which an open bracket is taken for a slip, and sentences may end again."""

_CANDIDATE = re.compile(
    r"""([.!?…؟۔׃]+)(["'”’»״)\]]*(?:\[\d{1,3}\]\.?)?)(?=\s|$)|([。！？]+)(["'”’」』）]*)"""
)
"""Chinese and Japanese marks end a sentence whatever follows: no white space stands between their sentences."""
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[•*–—-]\s|\(?\w{1,4}[.)]\s))")
_OPENING = " \t\n\"'“„‘«([–—-"
_NUMBERING = re.compile(r"""["'“„(\[]*(?:\d{1,4}|[ivxlcdmIVXLCDM]{1,7}|[A-Za-zא-ת])(?:\.\d{1,3})*$""")
_LAST_WORD = re.compile(r"[^\s(\[“\"'„‘«—–/]*$")
_NEXT_WORD = re.compile(r"""\s*["'“„‘«(\[]*(\w*)""")
_NUMBER = re.compile(r"\s*[§(\[]*(?:\d|[VXLC]|I+[IVX]|I(?= of\b|[,.;)\]]))")
_CAPITAL = re.compile(r"[^\W\d_a-zß-öø-ÿ]")
"""A letter that is not a small Latin one: a capital, or a script that knows no capitals."""
_AFTER_MARK = re.compile(r"([.!?]\s+)([a-zß-öø-ÿ])")
_LONGEST_WORD, _LOOK_AHEAD = 64, 64
"""Characters before and after a full stop that are looked at: a text without sentences is read in one pass."""
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Character offsets (start, end) of the sentences of a text, in order, without the white space around them.

    Every character that is not white space lies in exactly one sentence. A blank line, and a line that begins with a
    number or a bullet, always ends one. Made for English and Hebrew judgments, statutes, contracts and letters.
    Where a text is written in small letters throughout, those after a full stop say nothing.
    """
    text = text if _CAPITAL.search(text) else _AFTER_MARK.sub(_capital, text)
    spans: list[tuple[int, int]] = []
    for begin, end in _paragraphs(text):
        start = begin
        for stop in _boundaries(text, begin, end):
            spans.append((start, stop))
            start = stop
        spans.append((start, end))
    return [span for span in (_trimmed(text, *span) for span in spans) if span[0] < span[1]]


def _capital(found: re.Match[str]) -> str:
    large = found.group(2).upper()
    return found.group(1) + (large if len(large) == 1 else found.group(2))


def _paragraphs(text: str) -> list[tuple[int, int]]:
    breaks = list(_PARAGRAPH.finditer(text))
    starts = [0, *(found.end() for found in breaks)]
    ends = [*(found.start() for found in breaks), len(text)]
    return list(zip(starts, ends, strict=True))


def _boundaries(text: str, begin: int, end: int) -> list[int]:
    """Offsets inside one paragraph at which a sentence ends."""
    found: list[int] = []
    start = begin
    depth, opened, read = 0, begin, begin
    for candidate in _CANDIDATE.finditer(text, begin, end):
        for place in range(read, candidate.end()):
            if text[place] in "([":
                depth, opened = depth + 1, place
            elif text[place] in ")]":
                depth = max(depth - 1, 0)
        read = candidate.end()
        bracketed = depth > 0 and candidate.end() - opened < _LONGEST_BRACKET
        if not bracketed and _ends(text, start, candidate, end):
            found.append(candidate.end())
            start, depth = candidate.end(), 0
    return found


def _ends(text: str, start: int, candidate: re.Match[str], end: int) -> bool:
    """Whether the mark at `candidate` ends the sentence that began at `start`."""
    following = _NEXT_WORD.match(text, candidate.end(), end)
    word = following.group(1) if following else ""
    leads = not text[start : min(candidate.start(), start + _LONGEST_WORD)].strip(_OPENING)
    if word[:1].islower() or (leads and candidate.group(1) != "."):
        return False  # "“… shall have the right …" has only begun
    return candidate.group(1) != "." or _full_stop_ends(
        text[max(start, candidate.start() - _LONGEST_WORD) : candidate.start()],
        text[candidate.end() : min(end, candidate.end() + _LOOK_AHEAD)],
        word,
    )


def _full_stop_ends(before: str, after: str, word: str) -> bool:
    """Whether the full stop between two parts of a paragraph ends a sentence; `word` is the first one after it."""
    if _NUMBERING.fullmatch(before.strip()):
        return False
    found = _LAST_WORD.search(before)
    last = found.group(0) if found else ""
    plain = last.rstrip(")").replace(".", "").lower()
    opens = word.lower() in _OPENERS and word[:1].isupper()
    if plain in _BEFORE_NUMBER and _NUMBER.match(after):
        return False
    if plain in _ABBREVIATIONS:
        return opens and plain in _OFTEN_LAST
    # "… of the U.S. The court …" ends, "J. The …" hardly ever does.
    return not _INITIALS.fullmatch(last) or (opens and "." in last)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
