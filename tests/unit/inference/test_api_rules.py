"""Texts at fault are named, decisions follow the scheme, other scripts are warned about."""

import pytest

from app.http.problems import Invalid, TooLarge
from app.inference.rules import Limits, check_texts, decisions, language_warning, wait_seconds
from models.scheme import Option, Question, QuestionKind, Scheme

LIMITS = Limits(texts=3, characters=10)


@pytest.mark.parametrize(
    ("texts", "kind", "field", "slug"),
    [
        ([], Invalid, "/texts", "no-texts"),
        (["a"] * 4, TooLarge, "/texts", "too-many-texts"),
        (["a", " \n"], Invalid, "/texts/1", "empty-text"),
        (["a", "b", "c" * 11], TooLarge, "/texts/2", "text-too-long"),
    ],
)
def test_the_text_at_fault_is_named(texts, kind, field, slug):
    with pytest.raises(kind) as problem:
        check_texts(texts, LIMITS)
    assert (problem.value.field, problem.value.slug) == (field, slug)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=10", 10),
        ("respond-async, WAIT = 0", 0),
        ("return=minimal; wait=5", 5),
        ("wait=1.5", None),
        ("await=5", None),
        ("wait=soon", None),
        (None, None),
    ],
)
def test_how_long_a_caller_waits(prefer, seconds):
    assert wait_seconds(prefer) == seconds


def test_texts_at_the_limits_pass():
    check_texts(["a" * 10] * 3, LIMITS)


def test_a_single_text_is_named_as_such():
    with pytest.raises(Invalid) as problem:
        check_texts([""], LIMITS, "/text")
    assert problem.value.field == "/text"


def test_decisions_follow_thresholds_and_choose_one_takes_the_best():
    many = Question("many", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 3)))
    one = Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 1), Option("y", 2)))
    found = decisions([0.4, 0.45, 0.3, 0.4], [0.4, 0.5, 0.5, 0.6], Scheme((many, one)))
    assert found == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "base", "warned"),
    [
        ("The applicant complained.", "minilm", False),
        ("L'État défendeur a violé l'article 6.", "minilm", False),
        ("בית המשפט קבע כי הנאשם אשם.", "minilm", True),
        ("حكمت المحكمة على المتهم.", "minilm", True),
        ("法院判决被告有罪。", "minilm", True),
        ("בית המשפט קבע", "multilingual-minilm", False),
        ("123 456", "minilm", False),
    ],
)
def test_other_scripts_are_warned_about_where_the_model_is_english(text, base, warned):
    assert (language_warning(text, base) is not None) is warned
