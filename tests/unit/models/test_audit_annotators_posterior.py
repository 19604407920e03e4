"""Draws of what is true: they vary where little is known, and intervals by them hold who people truly are."""

import numpy as np
import pytest

from models.audit.annotators.posterior import possible_truths
from models.audit.annotators.quality import Right, hierarchy, imputed, right_by
from models.audit.annotators.votes import Votes, counts
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
