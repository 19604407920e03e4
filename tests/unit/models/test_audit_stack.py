from dataclasses import replace

import numpy as np
import pytest

from models.audit.confusion import after_annotators, confusions
from models.audit.evidence import Annotations, Evidence
from models.audit.stack import annotated, blocks
from models.audit.suspicion import score
from models.scheme import MISSING, NO, YES, Option, Question, QuestionKind, Scheme

SET = Question("set", QuestionKind.YES_NO_SET, tuple(Option(key, i) for i, key in enumerate("abc")))
ONE = Question("one", QuestionKind.CHOOSE_ONE, tuple(Option(key, 3 + i) for i, key in enumerate("xyz")))
SCHEME = Scheme((SET, ONE))
ROWS = 240


@pytest.fixture
def evidence():
    """Twelve cases of twenty texts with every kind of evidence; annotators 0, 1 and 2 take turns by text."""
    rng = np.random.default_rng(3)
    truth = np.zeros((ROWS, 6), dtype=np.int8)
    truth[:, :3] = rng.random((ROWS, 3)) < 0.4
    truth[:, 3:] = np.eye(3, dtype=np.int8)[rng.integers(0, 3, ROWS)]
    seen = (truth * 2.0 - 1) * 1.5 + rng.normal(0, 1, truth.shape)
    probabilities = (1 / (1 + np.exp(-seen))).astype(np.float32)
    return Evidence(
        probabilities,
        truth,
        SCHEME,
        [f"case-{row // 20}" for row in range(ROWS)],
        order=list(range(ROWS)),
        embeddings=(seen + rng.normal(0, 1, seen.shape)).astype(np.float32),
        probe_logits=(seen + rng.normal(0, 1, seen.shape)).astype(np.float32),
        annotations=Annotations(np.arange(ROWS), np.arange(ROWS) % 3, truth.copy()),
    )


def test_a_texts_own_given_values_are_in_no_block_but_the_given_one(evidence):
    """The other blocks of the text stay bit-equal however all of its own cells are turned."""
    turned = evidence.labels.copy()
    turned[7, :3] = 1 - turned[7, :3]
    turned[7, 3:] = np.roll(turned[7, 3:], 1)
    before, _ = blocks(evidence, 0)
    after, _ = blocks(replace(evidence, labels=turned), 0)
    for name in before.keys() - {"given"}:
        assert np.array_equal(before[name][7], after[name][7]), name
    assert not np.array_equal(before["given"][7], after["given"][7])


def test_turning_a_cell_does_not_move_the_probability_that_judges_it(evidence):
    turned = evidence.labels.copy()
    turned[7, 1] = 1 - turned[7, 1]
    plain = replace(evidence, embeddings=None)
    before = score(plain).stacked
    after = score(replace(plain, labels=turned)).stacked
    assert before[7, 1] == pytest.approx(after[7, 1], abs=1e-5)
    assert not np.allclose(before[:, 0], after[:, 0], atol=1e-6)  # but other cells may hear of it


def test_the_order_of_texts_does_not_matter(evidence):
    shuffled = np.random.default_rng(0).permutation(ROWS)
    moved = replace(
        evidence,
        probabilities=evidence.probabilities[shuffled],
        labels=evidence.labels[shuffled],
        groups=[evidence.groups[row] for row in shuffled],
        order=[evidence.order[row] for row in shuffled],
        embeddings=evidence.embeddings[shuffled],
        probe_logits=evidence.probe_logits[shuffled],
        annotations=Annotations(np.arange(ROWS), shuffled % 3, evidence.labels[shuffled]),
    )
    straight, permuted = score(evidence), score(moved)
    for name, scores in straight.every.items():
        assert permuted.every[name] == pytest.approx(scores[shuffled], abs=2e-3), name


def test_every_score_is_kept_by_name_with_the_same_gaps(evidence):
    evidence.probabilities[5] = np.nan
    evidence.labels[6, 1] = MISSING
    evidence.labels[8, 3:] = MISSING
    found = score(evidence)
    assert set(found.every) == {"self_confidence", "margin", "confident_learning", "knn", "stacked"}
    expected = np.zeros((ROWS, len(SCHEME.cells)), dtype=np.bool_)
    expected[5], expected[6, 1], expected[8, 3] = True, True, True
    for name, scores in found.every.items():
        assert scores.dtype == np.float32, name
        assert np.array_equal(np.isnan(scores), expected), name
        assert (scores[~expected] >= 0).all(), name
        assert (scores[~expected] <= 1).all(), name
    assert found.scores is found.every["stacked"]


def test_a_habit_of_one_annotator_makes_that_ones_values_more_suspicious():
    """Annotator 0 says yes far more often than two others do on the same evidence."""
    rng = np.random.default_rng(1)
    probabilities = rng.beta(1, 3, (3000, 1)).astype(np.float32)
    who = np.arange(3000) % 3
    values = (rng.random((3000, 1)) < np.where(who[:, None] == 0, probabilities**0.3, probabilities)).astype(
        np.int8
    )
    scheme = Scheme((Question("q", QuestionKind.YES_NO_SET, (Option("a", 0),)),))
    annotations = Annotations(np.arange(3000), who, values)
    relative = confusions(probabilities, annotations, scheme)[0].relative
    assert relative[0, NO, YES] > 1.3 * relative[1, NO, YES]
    moved = after_annotators(probabilities, values, annotations, scheme)
    yes = values[:, 0] == YES
    shift = (moved - probabilities)[:, 0]
    assert shift[yes & (who == 0)].mean() < shift[yes & (who == 1)].mean() - 0.02


def test_a_second_annotator_who_agrees_makes_a_value_less_suspicious_and_one_who_does_not_more():
    rng = np.random.default_rng(2)
    truth = rng.random(2000) < 0.4
    probabilities = np.where(truth, 0.7, 0.3).astype(np.float32)[:, None]
    first = np.where(rng.random(2000) < 0.9, truth, ~truth).astype(np.int8)[:, None]
    scheme = Scheme((Question("q", QuestionKind.YES_NO_SET, (Option("a", 0),)),))
    alone = Annotations(np.arange(2000), np.zeros(2000, dtype=np.int64), first)

    def given(second):
        both = Annotations(
            np.append(alone.texts, 0), np.append(alone.annotators, 1), np.vstack([first, [[second]]])
        )
        found = after_annotators(probabilities, first, both, scheme)[0, 0]
        return float(found if first[0, 0] == YES else 1 - found)

    agreeing, dissenting = given(first[0, 0]), given(1 - first[0, 0])
    single = after_annotators(probabilities, first, alone, scheme)[0, 0]
    single = float(single if first[0, 0] == YES else 1 - single)
    assert agreeing > single > dissenting


def test_choose_one_cells_are_judged_with_annotators_too(evidence):
    found = score(evidence)
    assert found.parameters["annotators"] == 3
    assert np.isfinite(found.scores[:, 3]).all()


def test_annotators_are_counted_by_name():
    found = annotated([0, 1, 1], ["vera", "ada", "vera"], np.ones((3, 1), dtype=np.int8))
    assert found.annotators.tolist() == [1, 0, 1]
    assert found.texts.tolist() == [0, 1, 1]
