"""Consensus where most texts have one vote: what nobody else has read may not drift away from what was given."""

import numpy as np
import pytest

from models.audit.annotators.consensus import dawid_skene
from models.audit.annotators.votes import Votes
from models.scheme import MISSING, NO, YES
from models.training.logistic import sigmoid

TEXTS, ANNOTATORS = 3_000, 6
PREVALENCE = np.array([0.25, 0.03, 0.01])


def panel(overlap, seed=0):
    """Votes that are right in .8 of the yes and .97 of the no, a share of the texts read by three; and a model that is rather good."""
    rng = np.random.default_rng(seed)
    truth = rng.random((TEXTS, 3)) < PREVALENCE
    first = rng.integers(ANNOTATORS, size=TEXTS)
    again = np.flatnonzero(rng.random(TEXTS) < overlap)
    texts = np.concatenate([np.arange(TEXTS), again, again])
    who = np.concatenate([first, (first[again] + 1) % ANNOTATORS, (first[again] + 2) % ANNOTATORS])
    right = np.where(truth[texts], 0.8, 0.97)
    values = np.where((rng.random(truth[texts].shape) < right) == truth[texts], YES, NO).astype(np.int8)
    odds = np.log(PREVALENCE / (1 - PREVALENCE)) + np.where(truth, 3.0, -0.5)
    model = np.asarray(sigmoid(odds + rng.normal(0, 1, truth.shape))).astype(np.float32)
    return Votes(texts, who, values, TEXTS, ANNOTATORS), model, truth


@pytest.mark.parametrize("overlap", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("with_model", [False, True])
def test_consensus_is_no_worse_than_one_vote_and_rare_options_stay_rare(overlap, with_model):
    votes, model, truth = panel(overlap)
    found = dawid_skene(votes, model if with_model else None)
    alone = (votes.values[:TEXTS] == YES) == truth
    said = found.labels()
    right = np.where(said == MISSING, alone, (said == YES) == truth)
    assert right.mean() >= alone.mean() - 0.005
    assert (found.probability.mean(axis=0) < PREVALENCE + 0.08).all()
    assert (found.sensitivity > 0.2).all()
