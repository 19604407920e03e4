"""Audit samples: what is drawn, with which probability, and that the seal holds."""

import numpy as np
import pytest

from models.audit.sample.design import (
    AuditDesign,
    broken_seal,
    draw_audit,
    guarded_shares,
    score_bands,
    sealed,
)

TEXTS = 2000
KEYS = [f"letter-{i}" for i in range(TEXTS)]
SCORES = np.random.default_rng(0).beta(0.3, 5, TEXTS).astype(np.float32)


def test_the_same_seed_draws_the_same_texts_and_another_seed_others():
    drawn = draw_audit(AuditDesign(100, 1), KEYS, SCORES)
    assert drawn.rows.tolist() == draw_audit(AuditDesign(100, 1), KEYS, SCORES).rows.tolist()
    assert set(drawn.rows.tolist()) != set(draw_audit(AuditDesign(100, 2), KEYS, SCORES).rows.tolist())


def test_weights_add_up_to_the_frame_and_more_is_read_where_more_is_wrong():
    drawn = draw_audit(AuditDesign(200, 1), KEYS, SCORES)
    assert len(set(drawn.rows.tolist())) == 200
    assert (1 / drawn.inclusion).sum() == pytest.approx(TEXTS)
    assert (
        drawn.inclusion[drawn.strata == drawn.strata.max()].mean() > drawn.inclusion[drawn.strata == 0].mean()
    )


def test_guarded_shares_lose_no_more_than_allowed_and_use_what_is_allowed():
    sizes, spread = np.array([1500, 400, 100]), np.array([0.05, 0.2, 0.6])
    whole, shares = sizes / sizes.sum(), guarded_shares(sizes, spread, 0.03)
    assert (whole**2 / shares).sum() == pytest.approx(1.03, abs=1e-6)
    assert shares[2] > whole[2]
    assert guarded_shares(sizes, np.ones(3), 0.03) == pytest.approx(whole)


def test_texts_without_a_score_are_a_stratum_and_equal_scores_stay_together():
    scores = np.array([np.nan, 0.1, 0.1, 0.1, 0.9, 0.9, np.nan], dtype=np.float32)
    assert score_bands(scores, 2).tolist() == [0, 1, 1, 1, 2, 2, 0]
    assert len(set(score_bands(np.zeros(5, dtype=np.float32), 4).tolist())) == 1


def test_a_simple_random_sample_has_one_stratum():
    drawn = draw_audit(AuditDesign(50, 3, bands=1), KEYS, SCORES)
    assert drawn.sizes.tolist() == [TEXTS]
    assert set(drawn.inclusion.tolist()) == {50 / TEXTS}


def test_every_text_is_drawn_as_often_as_its_probability_says():
    keys, scores = KEYS[:60], SCORES[:60]
    times, draws = np.zeros(60), 400
    for seed in range(draws):
        drawn = draw_audit(AuditDesign(20, seed, bands=3), keys, scores)
        times[drawn.rows] += 1
    expected = (drawn.taken / drawn.sizes)[drawn.stratum] * draws
    deviation = (times - expected) / np.sqrt(np.maximum(expected * (1 - expected / draws), 1))
    assert np.abs(deviation).max() < 4.5


def test_any_change_breaks_the_seal():
    design = AuditDesign(30, 5)
    document = sealed(design, draw_audit(design, KEYS, SCORES), KEYS)
    assert not broken_seal(document)
    document["drawn"][0]["id"] = "letter-x"
    assert broken_seal(document)


@pytest.mark.parametrize(
    "design",
    [
        AuditDesign(0, 1),
        AuditDesign(TEXTS + 1, 1),
        AuditDesign(5, 1),
        AuditDesign(50, 1, allocation="given", shares=(1.0,)),
    ],
)
def test_what_cannot_be_drawn_is_refused(design):
    with pytest.raises(ValueError):
        draw_audit(design, KEYS, SCORES)
