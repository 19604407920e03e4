"""Draws of what is true: they vary where little is known, and intervals by them hold who people truly are."""

import numpy as np
import pytest

from models.audit.annotators.answers import answer_consensus
from models.audit.annotators.posterior import possible_truths
from models.audit.annotators.posterior_answers import possible_answers
from models.audit.annotators.quality import Right, Tally, hierarchy, imputed, right_by
from models.audit.annotators.votes import Answers, Votes, counts
from models.scheme import NO, YES
from models.training.logistic import sigmoid

TEXTS, ANNOTATORS, OPTIONS = 600, 6, 5


def crowd(seed, each=3):
    """Three of six read every text; who errs how often differs by person and option. Rare options among them."""
    rng = np.random.default_rng(seed)
    truth = rng.random((TEXTS, OPTIONS)) < (0.4, 0.3, 0.2, 0.1, 0.03)
    people = np.argsort(rng.random((TEXTS, ANNOTATORS)), axis=1)[:, :each].ravel()
    texts = np.repeat(np.arange(TEXTS), each)
    off = rng.normal(0, 0.6, (2, ANNOTATORS, 1)) + rng.normal(0, 0.4, (2, ANNOTATORS, OPTIONS))
    rates = np.asarray(sigmoid(np.array([1.5, 3.2])[:, None, None] + off))
    chance = np.where(truth[texts], rates[0, people], rates[1, people])
    right = rng.random(chance.shape) < chance
    values = np.where(right == truth[texts], YES, NO).astype(np.int8)
    quality = np.array([chance[people == person].mean() for person in range(ANNOTATORS)])
    return truth, Votes(texts, people, values, TEXTS, ANNOTATORS), quality


def counted(votes, truth):
    yes, no = counts(votes)
    shared = ((yes + no) > 1)[votes.texts].astype(np.float64)
    each = ((votes.values == YES) == truth[votes.texts]).astype(np.float64)
    return right_by(each, shared, votes.annotators, ANNOTATORS)


def test_intervals_hold_who_people_are_although_nobody_knows_what_is_true():
    inside = []
    for seed in range(6):
        _, votes, quality = crowd(seed)
        found, _ = hierarchy(imputed([counted(votes, t) for t in possible_truths(votes)]), np.zeros(ANNOTATORS, np.int64))  # fmt: skip
        inside += [each.low <= true <= each.high for each, true in zip(found, quality, strict=True)]
    assert np.mean(inside) >= 0.85  # 36 annotators; .95 within two standard errors and a half


def test_draws_agree_where_people_do_and_differ_where_they_do_not():
    truth, votes, _ = crowd(0)
    share = np.mean(list(possible_truths(votes)), axis=0)
    yes, no = counts(votes)
    assert share[no == 0].min() > 0.5
    assert share[(yes == 3) & truth].mean() > 0.95
    open_to_doubt = share[(yes > 0) & (no > 0)]
    assert ((open_to_doubt > 0.05) & (open_to_doubt < 0.95)).mean() > 0.3


def test_the_same_seed_draws_the_same_and_what_nobody_shares_is_never_yes():
    _, votes, _ = crowd(1)
    first, again = (list(possible_truths(votes, 3, seed=4)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    alone = Votes(np.arange(50), np.zeros(50, np.int64), np.ones((50, 2), np.int8), 50, 1)
    assert not list(possible_truths(alone))


def test_what_draws_do_not_agree_on_leaves_less_information():
    def right(share):
        return Right(np.array([share * 200.0]), np.array([200.0]), np.array([200.0]))

    sure, unsure = imputed([right(0.9)] * 20), imputed([right(0.85), right(0.95)] * 10)
    assert sure.information == pytest.approx([200.0])
    assert unsure.right == pytest.approx(sure.right)
    # own variance .9 · .1 / 200, and .0026 between draws
    assert unsure.information[0] == pytest.approx(200 * 0.00045 / (0.00045 + 0.00276), rel=0.05)
    assert imputed([right(1.0)] * 5).information == pytest.approx([200.0])


ROLES = np.array([0.45, 0.3, 0.2, 0.05])


def questioned(seed, each=2):
    """Two of six answer a question of four; the last one takes the third answer for the second mostly."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, TEXTS, p=ROLES)
    people = np.argsort(rng.random((TEXTS, ANNOTATORS)), axis=1)[:, :each].ravel()
    texts = np.repeat(np.arange(TEXTS), each)
    rates = np.asarray(sigmoid(1.7 + rng.normal(0, 0.6, (ANNOTATORS, 1)) + rng.normal(0, 0.4, (ANNOTATORS, 4))))  # fmt: skip
    confusion = np.where(np.eye(4, dtype=bool), rates[:, :, None], (1 - rates[:, :, None]) / 3)
    confusion[-1, 2] = [0.05, 0.5, 0.4, 0.05]
    below = np.cumsum(confusion[people, truth[texts]], axis=1)[:, :-1]
    chosen = (rng.random(len(texts))[:, None] > below).sum(axis=1)
    right = confusion[people, truth[texts], truth[texts]]
    quality = np.array([right[people == person].mean() for person in range(ANNOTATORS)])
    return truth, Answers(texts, people, chosen, TEXTS, ANNOTATORS, 4), quality


def test_with_two_answers_a_text_intervals_hold_where_the_fitted_consensus_does_not():
    inside = []
    for seed in range(6):
        _, answers, quality = questioned(seed)
        everything = np.ones((len(answers.texts), 1))

        def right(each, answers=answers, everything=everything):
            return right_by(each[:, None], everything, answers.annotators, ANNOTATORS)

        draws = [right((answers.chosen == true[answers.texts]) * 1.0) for true in possible_answers(answers)]
        fitted = right(answer_consensus(answers).probability[answers.texts, answers.chosen])
        found = [hierarchy(each, np.zeros(ANNOTATORS, np.int64))[0] for each in (imputed(draws), fitted)]
        inside.append([[q.low <= t <= q.high for q, t in zip(each, quality, strict=True)] for each in found])
    drawn, fitted = np.mean(inside, axis=(0, 2))
    assert drawn >= 0.85  # 36 annotators
    assert fitted < drawn


def test_answers_that_all_give_are_true_and_what_one_person_read_is_unknown():
    truth, answers, _ = questioned(0, each=3)
    alone = Answers(
        np.append(answers.texts, TEXTS), np.append(answers.annotators, 0), np.append(answers.chosen, 1), TEXTS + 1, ANNOTATORS, 4
    )  # fmt: skip
    draws = np.array(list(possible_answers(alone, 10)))
    assert (draws[:, -1] == -1).all()
    assert draws[:, :-1].min() >= 0
    agreed = (answers.counts().max(axis=1) == 3) & (truth < 3)
    assert (draws[:, :-1] == truth).mean(axis=0)[agreed].mean() > 0.95
    again = np.array(list(possible_answers(alone, 10)))
    np.testing.assert_array_equal(again, draws)
    assert not list(possible_answers(Answers(np.arange(3), np.zeros(3, np.int64), np.arange(3), 3, 1, 4)))


def test_an_answer_that_nobody_ever_gave_is_never_true():
    _, answers, _ = questioned(0)
    wider = Answers(answers.texts, answers.annotators, answers.chosen, TEXTS, ANNOTATORS, 6)
    assert np.array(list(possible_answers(wider, 10))).max() == 3


def test_votes_are_tallied_as_they_are_counted_one_by_one():
    truth, votes, _ = crowd(2)
    rng = np.random.default_rng(0)
    shared = rng.random(votes.values.shape) < 0.8
    each = ((votes.values == YES) == truth[votes.texts]) & shared
    tally = Tally.of(shared.T, votes.annotators, ANNOTATORS)
    slow = right_by(each * 1.0, shared * 1.0, votes.annotators, ANNOTATORS)
    cells = [right_by(each[:, [c]] * 1.0, shared[:, [c]] * 1.0, votes.annotators, ANNOTATORS) for c in range(OPTIONS)]  # fmt: skip
    for one, other in zip([tally.right(each.T), *tally.by_cell(each.T)], [slow, *cells], strict=True):
        np.testing.assert_array_equal(one.right, other.right)
        np.testing.assert_array_equal(one.overlaps, other.overlaps)
        np.testing.assert_allclose(one.information, other.information, rtol=1e-9)
