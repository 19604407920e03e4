"""Estimates for the paper: right where student labels mislead, honest about their error, refused where events are few."""

import numpy as np
import pytest

from models.estimates.draws import Draw, ExpertSample, pooled
from models.estimates.moments import Readings, solve, solve_naive
from models.estimates.regression import Naive, Refusal, group_differences, prevalence, regression
from models.estimates.sample import cross_fitted_labels, label_features
from models.training.logistic import sigmoid

TEXTS = 4000


class Corpus:
    def __init__(self, seed=0, texts=TEXTS):
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal(texts)
        self.label = (rng.random(texts) < sigmoid(-1 + self.x)).astype(float)
        self.probability = np.asarray(sigmoid(3 * (self.label - 0.5) + self.x + rng.standard_normal(texts)))
        errs = np.where(self.x > 0, 0.25, 0.02)
        self.student = np.where(rng.random(texts) < errs, 1 - self.label, self.label).astype(np.int8)
        self.amount = 1 + 0.8 * self.label - 0.5 * self.x + rng.standard_normal(texts)
        self.stratum = (self.probability > 0.4).astype(np.int64)
        sizes, taken = np.bincount(self.stratum), np.array([300, 300])
        sampled = np.zeros(texts, dtype=bool)
        for h in range(2):
            sampled[rng.choice(np.flatnonzero(self.stratum == h), taken[h], replace=False)] = True
        self.sample = ExpertSample(
            sampled, (taken / sizes)[self.stratum], self.stratum, np.arange(texts) // 4
        )
        self.seen = np.where(sampled, self.label, np.nan)
        features = np.column_stack([label_features(self.student, self.probability), self.x, self.amount])
        self.said = cross_fitted_labels(np.where(sampled, self.label, 0.0), features, self.sample)
        self.outside = np.column_stack([np.ones(texts), self.x])

    def inside(self, label):
        return np.column_stack([np.ones(len(label)), label, self.x])


@pytest.fixture(scope="module")
def corpus():
    return Corpus()


def test_predictions_leave_out_the_expert_s_own_label(corpus):
    row = int(np.flatnonzero(corpus.sample.sampled)[0])
    labels = np.where(corpus.sample.sampled, corpus.label, 0.0)
    features = label_features(corpus.student, corpus.probability)
    turned = labels.copy()
    turned[row] = 1 - turned[row]
    before, after = (cross_fitted_labels(y, features, corpus.sample) for y in (labels, turned))
    assert before[row] == after[row]
    assert (before != after).any()
    assert ((before > 0) & (before < 1)).all()


def test_linear_with_the_label_as_outcome_is_regression_on_the_pseudo_outcome(corpus):
    y = np.nan_to_num(corpus.seen)
    found = solve(Readings(y, corpus.said, corpus.outside, corpus.outside), corpus.sample, "linear", 1.0)
    pseudo = corpus.said + corpus.sample.weights * (y - corpus.said)
    by_hand = np.linalg.lstsq(corpus.outside, pseudo, rcond=None)[0]
    assert found.coefficients == pytest.approx(by_hand)


def test_with_every_text_read_it_is_the_ordinary_regression_with_robust_errors(corpus):
    everyone = ExpertSample(np.ones(TEXTS, dtype=bool), np.ones(TEXTS), np.zeros(TEXTS, dtype=np.int64))
    X = corpus.outside
    found = solve(Readings(corpus.label, corpus.said, X, X), everyone, "linear", 0.0)
    by_hand = np.linalg.solve(X.T @ X, X.T @ corpus.label)
    scores = X * (corpus.label - X @ by_hand)[:, None]
    bread = np.linalg.inv(X.T @ X)
    assert found.coefficients == pytest.approx(by_hand)
    assert np.diag(found.covariance) == pytest.approx(np.diag(bread @ scores.T @ scores @ bread), rel=0.01)


def test_the_logistic_equation_is_solved(corpus):
    y = np.nan_to_num(corpus.seen)
    found = solve(Readings(y, corpus.said, corpus.outside, corpus.outside), corpus.sample, "logistic", 0.7)
    fitted, weights = np.asarray(sigmoid(corpus.outside @ found.coefficients)), corpus.sample.weights
    each = 0.7 * (1 - weights) * (corpus.said - fitted) + weights * (y - fitted)
    assert corpus.outside.T @ each / TEXTS == pytest.approx(np.zeros(2), abs=1e-8)


def test_intervals_hold_the_truth_where_the_naive_ones_do_not():
    held, naive, narrower = [], [], []
    for seed in range(12):
        c = Corpus(seed, 2000)
        y, truth = np.nan_to_num(c.seen), (0.8, -0.5)
        readings = Readings(c.amount, c.amount, c.inside(y), c.inside(c.said))
        beside = Naive(c.amount, c.inside(c.student.astype(float)), c.student >= 0)
        found = regression(["one", "label", "x"], readings, c.sample, "linear", 100, beside)
        held += [e.low <= t <= e.high for e, t in zip(found[1:], truth, strict=True)]
        naive += [e.naive_low <= t <= e.naive_high for e, t in zip(found[1:], truth, strict=True)]
        alone = solve(readings, c.sample, "linear", 0.0)
        narrower.append(found[1].standard_error < alone.covariance[1, 1] ** 0.5)
    assert np.mean(held) > 0.8
    assert np.mean(naive) < 0.5
    assert all(narrower)


def test_useless_predictions_are_left_out(corpus):
    y, noise = np.nan_to_num(corpus.seen), np.random.default_rng(3).random(TEXTS)
    found = solve(Readings(y, noise, corpus.outside, corpus.outside), corpus.sample, "linear")
    alone = solve(Readings(y, noise, corpus.outside, corpus.outside), corpus.sample, "linear", 0.0)
    assert found.tuning < 0.25
    assert (np.diag(found.covariance) <= 1.02 * np.diag(alone.covariance)).all()


def test_clusters_that_hang_together_widen_the_interval():
    label = np.repeat([0.0, 1.0] * 50, 20)
    everyone = (np.ones(2000, dtype=bool), np.ones(2000), np.zeros(2000, dtype=np.int64))
    ones = np.ones((2000, 1))
    readings = Readings(label, label, ones, ones)
    apart = solve(readings, ExpertSample(*everyone), "linear", 0.0)
    together = solve(readings, ExpertSample(*everyone, np.arange(2000) // 20), "linear", 0.0)
    assert together.covariance[0, 0] / apart.covariance[0, 0] == pytest.approx(20, rel=0.05)


def test_prevalence_and_group_differences_with_the_naive_ones_beside(corpus):
    y = np.nan_to_num(corpus.seen)
    found = prevalence(y, corpus.said, corpus.sample, corpus.student)
    assert found.low <= corpus.label.mean() <= found.high
    assert found.naive == pytest.approx(corpus.student.mean())
    groups = (corpus.x > 0).astype(np.int64)
    low, difference = group_differences(
        y, corpus.said, corpus.sample, groups, ["low", "high"], corpus.student
    )
    true = corpus.label[groups == 1].mean() - corpus.label[groups == 0].mean()
    assert difference.name == "high − low"
    assert difference.low <= true <= difference.high
    assert low.low <= corpus.label[groups == 0].mean() <= low.high


def test_few_events_get_the_interval_for_rare_counts_or_a_refusal(corpus):
    rare = np.zeros(TEXTS)
    rare[np.flatnonzero(corpus.sample.sampled)[:3]] = 1
    alone = ExpertSample(corpus.sample.sampled, corpus.sample.inclusion, corpus.stratum)
    found = prevalence(rare, np.full(TEXTS, 0.01), alone)
    assert "rare counts" in found.method
    assert 0 <= found.low < found.value < found.high
    turned = prevalence(1 - rare, np.full(TEXTS, 0.99), alone)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))
    assert isinstance(prevalence(rare, np.full(TEXTS, 0.01), corpus.sample), Refusal)
    readings = Readings(rare, corpus.said, corpus.outside, corpus.outside)
    refused = regression(["one", "x"], readings, corpus.sample, "logistic", 3)
    assert "20 are needed" in refused.reason


def test_a_separated_label_is_refused_instead_of_running_away():
    x = np.linspace(-1, 1, 200)
    label = (x > 0).astype(float)
    everyone = ExpertSample(np.ones(200, dtype=bool), np.ones(200), np.zeros(200, dtype=np.int64))
    X = np.column_stack([np.ones(200), x])
    refused = regression(["one", "x"], Readings(label, label, X, X), everyone, "logistic", 100)
    assert isinstance(refused, Refusal)
    assert solve_naive(label, X, "linear").coefficients[1] > 0


def test_a_stratum_with_one_reading_borrows_its_variance():
    """By itself it seemed to have none, however much its one text weighed."""
    stratum = np.repeat([0, 1], [900, 100])
    sampled = np.zeros(1000, dtype=bool)
    sampled[[*range(50), 950]] = True
    inclusion = np.repeat([50 / 900, 1 / 100], [900, 100])
    label = (np.arange(1000) % 5 == 0).astype(float)
    ones = np.ones((1000, 1))
    sample = ExpertSample(sampled, inclusion, stratum)
    assert set(sample.draws[0].variance_strata) == {0}
    found = solve(Readings(label, label, ones, ones), sample, "linear", 0.0)
    assert found.coefficients[0] == pytest.approx((label[:50].mean() * 900 + label[950] * 100) / 1000)
    read, apart = np.flatnonzero(sampled), sample.weights[sampled]
    mean = (apart * label[read]).sum() / 1000
    level = mean - found.coefficients[0]
    by_hand = level + np.sqrt(51 / 50) * apart * (label[read] - mean)
    assert found.covariance[0, 0] * 1000**2 == pytest.approx((by_hand**2).sum() * 1000 / 999, rel=1e-6)
    whole = ExpertSample(sampled, inclusion, np.where(stratum == 1, 2, np.arange(1000) % 2))
    assert set(whole.draws[0].variance_strata) == {0, 1}


def test_one_cluster_that_holds_much_of_the_corpus_leaves_few_degrees_of_freedom():
    label = (np.random.default_rng(1).random(1000) < 0.3).astype(float)
    ones = np.ones((1000, 1))
    everyone = (np.ones(1000, dtype=bool), np.ones(1000), np.zeros(1000, dtype=np.int64))
    even = ExpertSample(*everyone, np.arange(1000) % 100)
    giant = ExpertSample(*everyone, np.where(np.arange(1000) < 400, 0, np.arange(1000) % 100))
    freedom = [solve(Readings(label, label, ones, ones), one, "linear", 0.0).freedom for one in (even, giant)]
    assert freedom == [99, 4]  # 1000² / (406² + 99 · 6²) clusters of equal size


def drawn(rng, texts, frame, count, strata=1):
    """A draw of so many texts of each stratum from part of the texts."""
    stratum = np.where(frame, np.arange(texts) % strata, -1)
    sampled = np.zeros(texts, dtype=bool)
    inclusion = np.zeros(texts)
    for h in range(strata):
        inside = np.flatnonzero(stratum == h)
        sampled[rng.choice(inside, count, replace=False)] = True
        inclusion[inside] = count / len(inside)
    return sampled, inclusion, stratum


def shared(first, second):
    """Shares by how much of its frame each drew."""
    rates = [np.where(one[2] >= 0, one[0].sum() / (one[2] >= 0).sum(), 0.0) for one in (first, second)]
    return tuple(
        Draw(*one, rate / (rates[0] + rates[1])) for one, rate in zip((first, second), rates, strict=True)
    )


def test_two_draws_estimate_each_text_s_moment_by_their_shares():
    rng = np.random.default_rng(5)
    texts = 900
    newer = np.arange(texts) >= 300  # a third has gone since the first draw, a third has come
    draws = shared(drawn(rng, texts, np.arange(texts) < 600, 60), drawn(rng, texts, newer, 90, strata=2))
    sample = pooled(draws)
    assert [round(float(draw.share[400]), 3) for draw in draws] == [0.25, 0.75]
    assert draws[0].share[[0, 899]].tolist() == [1, 0]
    label = (rng.random(texts) < 0.4).astype(float)
    asked = newer.astype(float)[:, None]
    found = solve(Readings(label * newer, label * newer, asked, asked), sample, "linear", 0.0)
    parts = [(draw.share * label * newer)[draw.sampled] / draw.inclusion[draw.sampled] for draw in draws]
    whole = [(draw.share * newer)[draw.sampled] / draw.inclusion[draw.sampled] for draw in draws]
    assert found.coefficients[0] == pytest.approx(sum(map(np.sum, parts)) / sum(map(np.sum, whole)))


def test_pooled_draws_are_narrower_than_either_and_hold_the_truth():
    """Also where the second draw's strata were made with what the first had found, and the frame has changed."""
    rng = np.random.default_rng(6)
    texts, held, narrower, rare = 900, [], [], []
    everyone, newer = np.ones(texts, dtype=bool), np.arange(texts) >= 150
    for _ in range(150):
        label = (rng.random(texts) < 0.3).astype(float)
        first = drawn(rng, texts, everyone, 120)
        seen = first[0] & (label == 1)
        stratum = np.where(newer, np.where(seen, 1, np.where(first[0], 2, 0)), -1)
        taken = np.where(np.bincount(stratum[newer]) > 40, [100, 10, 10], 5)
        sampled, inclusion = np.zeros(texts, dtype=bool), np.zeros(texts)
        for h, count in enumerate(taken.tolist()):
            inside = np.flatnonzero(stratum == h)
            sampled[rng.choice(inside, count, replace=False)] = True
            inclusion[inside] = count / len(inside)
        draws = shared(first, (sampled, inclusion, stratum))
        said = np.full(texts, 0.3)
        both = prevalence(label, said, pooled(draws), inside=newer)
        alone = prevalence(label, said, ExpertSample(*first), inside=newer)
        held.append(both.low <= 0.3 <= both.high)
        narrower.append(both.standard_error < alone.standard_error)
        few = (rng.random(texts) < 0.03).astype(float)
        found = prevalence(few, np.full(texts, 0.03), pooled(draws), inside=newer)
        assert "rare counts" in found.method
        rare.append(found.low <= 0.03 <= found.high)
    assert np.mean(held) > 0.9
    assert np.mean(narrower) > 0.95
    assert np.mean(rare) > 0.92
