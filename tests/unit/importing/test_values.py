"""What label values mean, and which are asked about."""

from __future__ import annotations

from collections import Counter

from app.corpora.mapping import Meaning
from models.scheme import MISSING, NO, NOT_APPLICABLE, UNCERTAIN, YES
from workers.importing.values import Unclear, label_codes, looks_like_yes_no, yes_no_table


def test_each_notation_alone() -> None:
    """In any case; pandas' 1.0 is 1; blank is missing."""
    assert yes_no_table("c", Counter(["0", "1", "1.0"]), {}) == {"": MISSING, "0": NO, "1": YES, "1.0": YES}
    assert yes_no_table("c", Counter(["Yes", "NO"]), {}) == {"": MISSING, "Yes": YES, "NO": NO}
    assert yes_no_table("c", Counter(["TRUE", "False"]), {}) == {"": MISSING, "TRUE": YES, "False": NO}


def test_mixed_notations_and_unknown_codes() -> None:
    """Both are asked about, codes first: what they mean may settle the rest."""
    assert yes_no_table("c", Counter({"1": 5, "yes": 2}), {}) == Unclear("c", {"1": 5, "yes": 2}, mixed=True)
    assert yes_no_table("c", Counter({"1": 5, "yes": 2, "99": 1}), {}) == Unclear("c", {"99": 1}, mixed=False)


def test_given_codes_come_before_everything() -> None:
    """A column's own before those for all; they may even say that 1 is uncertain."""
    codes = {
        "*": {"99": Meaning.MISSING, "9": Meaning.MISSING},
        "c": {"9": Meaning.UNCERTAIN, "1": Meaning.NOT_APPLICABLE},
    }
    table = yes_no_table("c", Counter(["0", "1", "9", "99"]), codes)
    assert table == {"": MISSING, "0": NO, "1": NOT_APPLICABLE, "9": UNCERTAIN, "99": MISSING}


def test_codes_among_labels() -> None:
    """NA beside words is asked about, unless the scheme has it as an option."""
    labels = Counter({"Finding": 3, "NA": 2})
    assert label_codes("c", labels, frozenset(), {}) == Unclear("c", {"NA": 2}, mixed=False)
    assert label_codes("c", labels, frozenset({"NA"}), {}) == {}
    assert label_codes("c", labels, frozenset(), {"c": {"na": Meaning.UNCERTAIN}}) == {"NA": UNCERTAIN}


def test_what_looks_like_labels() -> None:
    """Mostly yes and no, the rest only codes."""
    assert looks_like_yes_no(Counter({"0": 5, "1": 5, "99": 2}))
    assert not looks_like_yes_no(Counter({"0": 5, "1": 5, "2": 1}))
    assert not looks_like_yes_no(Counter({"1": 1, "99": 8}))
    assert not looks_like_yes_no(Counter())
