"""The methods of consensus: votes that agree stand, contested cells are settled by how people err and by a held-out model."""

from typing import Any

import numpy as np
import pytest

from app.corpora.consensus_methods import NO_RUN, Agreed, HeldOut, agreed_by
from app.corpora.rules import Annotations, consensus, counting, of_rows
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme

ARGUMENTS = Question("arguments", QuestionKind.YES_NO_SET, (Option("remorse", 0), Option("youth", 2)))
ROLE = Question(
    "role", QuestionKind.CHOOSE_ONE, (Option("facts", 1), Option("ruling", 3), Option("other", 4))
)
SCHEME = Scheme((ARGUMENTS, ROLE))
TEXTS, PEOPLE = 400, 4
ERRS = np.array([0.12, 0.25, 0.3, 0.3])
"""How often each answers at random: the first seldom, the others often."""


@pytest.fixture(scope="module")
def corpus() -> tuple[np.ndarray, np.ndarray, dict[str, Annotations]]:
    """Truth bool (texts, 2) and int (texts,), and what four people said of it; everyone reads everything."""
    rng = np.random.default_rng(3)
    truth = rng.random((TEXTS, 2)) < (0.4, 0.25)
    role = rng.choice(3, TEXTS, p=(0.5, 0.3, 0.2))
    texts, who = np.repeat(np.arange(TEXTS), PEOPLE), np.tile(np.arange(PEOPLE), TEXTS)
    errs = ERRS[who]
    said = np.where(rng.random((len(who), 2)) < errs[:, None], ~truth[texts], truth[texts]).astype(np.int8)
    chosen = np.where(
        rng.random(len(who)) < errs, (role[texts] + rng.integers(1, 3, len(who))) % 3, role[texts]
    )
    ranks = np.zeros(len(who), dtype=np.int64)
    given = {
        "arguments": Annotations(texts, who + 10, ranks, said),
        "role": Annotations(texts, who + 10, ranks, np.eye(3, dtype=np.int8)[chosen]),
    }
    return truth, role, given


def right(found: Agreed, truth: np.ndarray, role: np.ndarray) -> tuple[float, float]:
    """Shares of right cells of the yes_no_set and of the choose_one question."""
    values = found.consensus.values
    answers = values[:, [1, 3, 4]]
    return float((values[:, [0, 2]] == truth).mean()), float((answers.argmax(axis=1) == role)[(answers == 1).any(axis=1)].sum() / len(role))  # fmt: skip


def model_of(truth: np.ndarray, role: np.ndarray) -> HeldOut:
    """A model that is right more often than not."""
    rng = np.random.default_rng(4)
    probabilities = np.full((TEXTS, 5), np.nan, dtype=np.float32)
    probabilities[:, [0, 2]] = 1 / (1 + np.exp(-(truth * 4 - 2 + rng.standard_normal(truth.shape))))
    logits = 2.5 * np.eye(3)[role] + rng.standard_normal((TEXTS, 3))
    probabilities[:, [1, 3, 4]] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return HeldOut("run_x", probabilities)


def test_each_method_knows_more_than_the_one_before(corpus: Any) -> None:
    truth, role, given = corpus
    ways = [
        agreed_by("majority", SCHEME, given, TEXTS),
        agreed_by("dawid_skene", SCHEME, given, TEXTS),
        agreed_by("model_aware", SCHEME, given, TEXTS, model_of(truth, role)),
    ]
    shares = np.array([right(way, truth, role) for way in ways])
    assert (np.diff(shares, axis=0) > 0).all()
    assert [way.method for way in ways] == ["majority", "dawid_skene", "model_aware"]
    assert ways[0].parameters == {}
    assert ways[2].parameters["run"] == "run_x"
    assert set(ways[2].parameters["fits"][0]["model_slopes"]) == {"remorse", "youth", "role"}
    rows = ways[1].consensus.values[:, [1, 3, 4]]
    assert set(rows.sum(axis=1)) <= {1, -3}


def test_the_majority_is_what_it_was(corpus: Any) -> None:
    _, _, given = corpus
    found, before = agreed_by("majority", SCHEME, given, TEXTS), consensus(SCHEME, given, TEXTS)
    np.testing.assert_array_equal(found.consensus.values, before.values)
    np.testing.assert_array_equal(found.consensus.ties, before.ties)
    assert found.consensus.ties.any()
    assert not found.identity


def test_votes_that_agree_stand_whatever_anybody_thinks_of_them(corpus: Any) -> None:
    truth, role, given = corpus
    contrary = HeldOut("run_x", 1 - model_of(truth, role).probabilities)
    before = consensus(SCHEME, given, TEXTS)
    for method, beside in (("dawid_skene", None), ("model_aware", contrary)):
        found = agreed_by(method, SCHEME, given, TEXTS, beside).consensus
        agreed = ~((before.yes[:, 0] > 0) & (before.no[:, 0] > 0))
        np.testing.assert_array_equal(found.values[agreed, 0], before.values[agreed, 0])
        one = (before.yes[:, [1, 3, 4]] > 0).sum(axis=1) == 1
        np.testing.assert_array_equal(found.values[one][:, [1, 3, 4]], before.values[one][:, [1, 3, 4]])
        assert (found.values != before.values).any()
    alone = {"arguments": Annotations(*(each[:1] for each in (given["arguments"].texts, given["arguments"].annotators,
             given["arguments"].codebooks)), np.array([[1, 0]], dtype=np.int8))}  # fmt: skip
    assert agreed_by("dawid_skene", SCHEME, alone, 1).consensus.values[0, [0, 2]].tolist() == [1, 0]


def test_without_a_run_the_people_stand_alone_and_it_says_so(corpus: Any) -> None:
    _, _, given = corpus
    found = agreed_by("model_aware", SCHEME, given, TEXTS)
    plain = agreed_by("dawid_skene", SCHEME, given, TEXTS)
    assert found.method == "dawid_skene"
    assert found.parameters["fallback"] == NO_RUN
    assert (found.parameters["asked"], plain.parameters["asked"]) == ("model_aware", "dawid_skene")
    np.testing.assert_array_equal(found.consensus.values, plain.consensus.values)


def test_a_newer_codebook_is_not_outvoted_and_is_fitted_by_itself(corpus: Any) -> None:
    """On the first fifty texts two people answer again under a newer codebook: nothing said before counts there."""
    _, _, given = corpus
    old = given["arguments"]
    again = np.concatenate([np.arange(50), np.arange(50)])
    newer = Annotations(
        np.concatenate([old.texts, again]),
        np.concatenate([old.annotators, np.repeat([10, 11], 50)]),
        np.concatenate([old.codebooks, np.ones(100, dtype=np.int64)]),
        np.concatenate([old.values, np.ones((100, 2), dtype=np.int8)]),
    )
    found = agreed_by("dawid_skene", SCHEME, given | {"arguments": newer}, TEXTS)
    assert (found.consensus.values[:50][:, [0, 2]] == 1).all()
    assert [fit["codebook"] for fit in found.parameters["fits"]] == [0, 1]
    assert [fit["texts"] for fit in found.parameters["fits"]] == [TEXTS, 50]
    later = agreed_by("dawid_skene", SCHEME, {"arguments": old, "role": given["role"]}, TEXTS)
    np.testing.assert_array_equal(found.consensus.values[50:][:, 1], later.consensus.values[50:][:, 1])


def test_what_counts_is_what_the_consensus_counts(corpus: Any) -> None:
    _, _, given = corpus
    rows = counting(SCHEME, given)
    found = consensus(SCHEME, given, TEXTS)
    yes = np.zeros((TEXTS, 5), dtype=np.int64)
    np.add.at(yes, rows.texts, rows.values == 1)
    np.testing.assert_array_equal(yes, found.yes)
    assert len(rows.texts) == TEXTS * PEOPLE
    assert counting(SCHEME, {}).values.shape == (0, 5)
    np.testing.assert_array_equal(of_rows(found, np.array([3, 1])).yes, found.yes[[3, 1]])


def test_nothing_to_tell_two_people_apart_stays_a_tie() -> None:
    given = {"role": Annotations(np.zeros(2, dtype=np.int64), np.array([1, 2]), np.zeros(2, dtype=np.int64), np.array([[1, 0, 0], [0, 1, 0]], dtype=np.int8))}  # fmt: skip
    found = agreed_by("dawid_skene", SCHEME, given, 1).consensus
    assert (found.values == MISSING).all()
    assert found.ties[0, [1, 3, 4]].all()
