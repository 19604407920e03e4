"""Intervals by group: the same scores as scikit-learn under the same draws, and intervals that cover."""

import numpy as np
import pytest
from sklearn import metrics as reference

from models.evaluation.curves import score_intervals
from models.evaluation.resampling import bootstrap, group_codes, group_draws, interval, macro
from models.scheme import MISSING
from models.training.metrics import option_metrics


def sample(rows=160, options=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, options)) < 0.3).astype(np.int8)
    # few distinct values, so that ties are common
    scores = np.clip(np.round(labels * 0.25 + rng.random(labels.shape) * 0.7, 1), 0, 1).astype(np.float32)
    labels[rng.random(labels.shape) < 0.1] = MISSING
    scores[rng.random(labels.shape) < 0.05] = np.nan
    decisions = np.where(scores >= 0.5, 1, 0).astype(np.int8)
    return labels, scores, decisions, [f"case-{row // 5}" for row in range(rows)]


def test_every_draw_has_the_scores_that_scikit_learn_gives_the_repeated_rows():
    labels, scores, decisions, groups = sample()
    codes = group_codes(groups)
    drawn = group_draws(32, 12, seed=3)
    found = bootstrap(labels, scores, decisions, codes, drawn)
    for draw in range(13):
        rows = np.repeat(np.arange(len(labels)), drawn[codes, draw])
        for column in range(3):
            known = (labels[rows, column] != MISSING) & np.isfinite(scores[rows, column])
            truth, said = labels[rows, column][known], decisions[rows, column][known]
            expected = {
                "precision": reference.precision_score(truth, said, zero_division=0),
                "recall": reference.recall_score(truth, said),
                "f1": reference.f1_score(truth, said),
                "average_precision": reference.average_precision_score(truth, scores[rows, column][known]),
                "mcc": reference.matthews_corrcoef(truth, said),
                "accuracy": reference.accuracy_score(truth, said),
                "always_no": 1 - truth.mean(),
                "prevalence": truth.mean(),
            }
            got = {name: found[name][draw, column] for name in expected}
            assert got == pytest.approx(expected, abs=1e-6), (draw, column)


def test_the_sample_itself_has_the_scores_of_the_report():
    labels, scores, decisions, groups = sample(seed=4)
    found = bootstrap(labels, scores, decisions, group_codes(groups), group_draws(32, 2, seed=0))
    for column in range(3):
        expected = option_metrics(labels[:, column], scores[:, column], decisions[:, column])
        assert found["calibration_error"][0, column] == pytest.approx(expected.ece, abs=0.02)
        assert found["average_precision"][0, column] == pytest.approx(expected.pr_auc)
    assert macro(found, "f1")[0] == pytest.approx(found["f1"][0].mean())


def test_groups_are_drawn_whole_and_as_many_as_there_are():
    drawn = group_draws(50, 200, seed=1)
    assert drawn.shape == (50, 201)
    assert (drawn.sum(axis=0) == 50).all()
    assert (drawn[:, 0] == 1).all()
    assert not np.array_equal(drawn[:, 1], drawn[:, 2])


def test_intervals_widen_where_the_texts_of_a_group_are_alike():
    rng = np.random.default_rng(0)
    truth = rng.random((400, 1)) < 0.4
    right = np.repeat(rng.random((40, 1)) < 0.7, 10, axis=0)  # a case is read well or badly as a whole
    said = np.where(right, truth, ~truth)
    parts = truth.astype(np.int8), said.astype(np.float32), said.astype(np.int8)
    alone = score_intervals(*parts, [str(row) for row in range(400)], ["a"], draws=400)
    grouped = score_intervals(*parts, [str(row // 10) for row in range(400)], ["a"], draws=400)
    width = [
        high - low for low, high in (alone["options"]["a"]["accuracy"], grouped["options"]["a"]["accuracy"])
    ]
    assert width[1] > 2 * width[0]
    assert (alone["groups"], grouped["groups"]) == (400, 40)


def test_the_interval_of_a_share_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        said = (rng.random((120, 1)) < 0.8).astype(np.int8)
        found = score_intervals(
            np.ones((120, 1), np.int8), said.astype(np.float32), said, [str(i) for i in range(120)], ["a"],
            seed=seed, draws=200,
        )  # fmt: skip
        low, high = found["options"]["a"]["recall"]
        covered += low <= 0.8 <= high
    assert 180 <= covered <= 198


def test_what_is_undefined_has_no_interval():
    labels = np.zeros((8, 2), np.int8)
    labels[:, 1] = MISSING
    found = score_intervals(
        labels, np.full((8, 2), 0.5, np.float32), labels * 0, list("abcdefgh"), ["never", "none"]
    )
    assert found["options"]["never"]["recall"] is None
    assert found["options"]["never"]["accuracy"] == [1.0, 1.0]
    assert set(found["options"]["none"].values()) == {None}
    assert interval(np.full(5, np.nan)) is None
