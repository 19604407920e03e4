"""What stands around a text: headings above it, and how its neighbours begin."""

from __future__ import annotations

import random

import pytest

from models.data.context import EMPTY, HEADINGS, NEIGHBOUR_WORDS, Context, context_of, contexts

LONG = "word " * 40


def test_neighbours_are_of_the_same_group_however_the_groups_are_mixed():
    texts = ["(a) The applicant", "other case", f"I argued {LONG}", "another of it", f"They denied {LONG}"]
    found = contexts(texts, ["one", "two", "one", "two", "one"])
    assert found[0] == Context("", "", "I argued " + "word " * (NEIGHBOUR_WORDS - 3) + "word")
    assert found[2].headings == "(a) The applicant"
    assert found[2].before == "(a) The applicant"
    assert found[2].after.startswith("They denied word")
    assert found[3] == Context("other case", "other case", "")


def test_the_nearest_short_texts_are_the_headings():
    texts = [f"Heading {number}" for number in range(HEADINGS + 2)] + [LONG]
    found = contexts(texts, ["g"] * len(texts))
    assert found[-1].headings == "Heading 2\nHeading 3\nHeading 4"


def test_a_text_without_a_group_or_alone_in_it_has_no_context():
    assert contexts(["a", "b", "c"], [None, None, "alone"]) == [EMPTY] * 3


def test_a_caller_s_neighbours_give_the_same_context_as_the_corpus():
    texts = ["I. Law", f"The Court {LONG}", "(b) The Government", f"They said {LONG}", f"In reply {LONG}"]
    found = contexts(texts, ["g"] * len(texts))
    for place, context in enumerate(found):
        assert context_of(texts[:place], texts[place + 1 :]) == context


def test_a_document_is_read_back_and_a_wrong_one_refused():
    context = Context("a", "b", "c")
    assert Context.from_document(context.to_document()) == context
    for wrong in ({"above": "x"}, {"before": 3}):
        with pytest.raises(ValueError, match="context"):
            Context.from_document(wrong)


def test_every_context_is_that_of_the_texts_above_and_below_however_groups_are_interleaved():
    rng = random.Random(3)
    for _ in range(20):
        texts = [
            rng.choice(["I. Law", "(a) Facts", f"The Court {LONG}", "", f"They said {LONG}"])
            for _ in range(60)
        ]
        groups = [rng.choice(["one", "two", "three", None]) for _ in texts]
        found = contexts(texts, groups)
        for row, (group, context) in enumerate(zip(groups, found, strict=True)):
            mates = [other for other, name in enumerate(groups) if name == group] if group else [row]
            above, below = ([texts[m] for m in mates if m < row], [texts[m] for m in mates if m > row])
            assert context == context_of(above, below)
