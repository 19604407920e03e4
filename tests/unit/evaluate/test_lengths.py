"""How long extractive summaries may be beside a model's: as long as its own, and never one word because it wrote nothing."""

from __future__ import annotations

from workers.evaluate.arms import Author, Subject
from workers.evaluate.items import Items
from workers.evaluate.summaries import _lengths
from workers.evaluate.written import Written

REFERENCES = ["one two three four", "one two", "one two three four five six"]


def items() -> Items:
    return Items(["a", "b", "c"], ["a", "b", "c"], ["text"] * 3, REFERENCES, {"seen_by": {}})


def by_a_model(*texts: str) -> list[Written]:
    author = Author("tuned", "with the adapter", {}, Subject("t5", None, None, {}))
    return [Written(author, list(texts), (), {})]


def test_as_long_as_the_models_own_summary_of_the_same_text() -> None:
    found = _lengths("matched", by_a_model("a b c", "a", "a b"), items())
    assert found.words == [3, 1, 2]
    assert found.document == {"words": "matched", "by_mean": 0, "mean_words": None, "mean_of": None}


def test_where_it_wrote_nothing_the_mean_of_what_it_wrote() -> None:
    found = _lengths("matched", by_a_model("a b c d e f g", "  ", "a b c"), items())
    assert found.words == [7, 5, 3]
    assert found.document == {"words": "matched", "by_mean": 1, "mean_words": 5, "mean_of": "model"}


def test_where_it_wrote_nothing_at_all_the_references_mean() -> None:
    found = _lengths("matched", by_a_model("", "", ""), items())
    assert found.words == [4, 4, 4]
    assert found.document == {"words": "matched", "by_mean": 3, "mean_words": 4, "mean_of": "references"}


def test_without_a_model_the_references_mean_and_a_number_is_kept() -> None:
    assert _lengths("matched", [], items()).words == [4, 4, 4]
    assert _lengths(9, by_a_model("", "a", ""), items()).words == [9, 9, 9]
