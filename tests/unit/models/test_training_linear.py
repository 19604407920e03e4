"""The warm start, its penalty, and the loss."""

import numpy as np
import pytest
import torch

from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.linear import PENALTIES, choose_penalty, fit_linear, macro_precision, positive_weights
from models.training.loss import loss_for, masked_loss, trainable
from models.training.metrics import average_precision

SET = Question("set", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 1)))
CHOICE = Question("choice", QuestionKind.CHOOSE_ONE, (Option("c", 2), Option("d", 3), Option("e", 4)))
SCHEME = Scheme((SET, CHOICE))


@pytest.fixture
def problem():
    """Features of which two matter for two options, with noise: features, labels, groups."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(240, 40)).astype(np.float32) * 3 + 1
    noise = rng.normal(size=(240, 2))
    labels = (features[:, :2] + noise * 0.7 > 2).astype(np.int8)
    return features, labels, [f"g{row // 3}" for row in range(240)]


def test_a_linear_fit_finds_what_matters(problem):
    features, labels, _ = problem
    fitted = fit_linear(features[:160], labels[:160], PENALTIES[0])
    assert np.abs(fitted.weights).argmax(axis=0).tolist() == [0, 1]
    assert macro_precision(labels[160:], fitted.logits(features[160:])) > 0.85


def test_a_stronger_penalty_shrinks_the_weights(problem):
    features, labels, _ = problem
    sizes = [np.abs(fit_linear(features, labels, penalty).weights).sum() for penalty in PENALTIES]
    assert sizes == sorted(sizes, reverse=True)


def test_missing_cells_do_not_touch_a_fit(problem):
    features, labels, _ = problem
    part = labels.copy()
    part[100:, 0] = MISSING
    whole, without = fit_linear(features[:100], labels[:100], 10.0), fit_linear(features, part, 10.0)
    correlation = np.corrcoef(whole.weights[:, 0], without.weights[:, 0])[0, 1]
    assert correlation > 0.95
    np.testing.assert_allclose(
        fit_linear(features, labels, 10.0).weights[:, 1], without.weights[:, 1], atol=2e-2
    )


def test_wide_logits_that_tell_all_are_used(problem):
    features, labels, _ = problem
    wide = (labels * 2.0 - 1).astype(np.float32)
    fitted = fit_linear(features, labels, 200.0, wide)
    assert (fitted.wide_scale > 1).all()
    assert macro_precision(labels, fitted.logits(features, wide)) == 1.0


def test_noise_beside_telling_words_asks_for_a_stronger_penalty(problem):
    features, labels, groups = problem
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(240, 300)).astype(np.float32)
    wide = (labels * 2.0 - 1 + rng.normal(size=labels.shape) * 2).astype(np.float32)
    assert choose_penalty(features[:, :2], labels, groups, 0) == PENALTIES[0]
    assert choose_penalty(noise, labels, groups, 0, wide) > PENALTIES[0]


def test_a_penalty_is_chosen_even_of_one_group(problem):
    features, labels, _ = problem
    assert choose_penalty(features, labels, ["only"] * len(labels), 0) in PENALTIES


def test_positive_weights_follow_the_rule():
    labels = np.zeros((1000, 4), dtype=np.int8)
    labels[:500, 0] = 1
    labels[:100, 1] = 1
    labels[:1, 2] = 1
    labels[10:, 3] = MISSING
    np.testing.assert_allclose(positive_weights(labels), [1.0, 3.0, 10.0, np.sqrt(10)], rtol=1e-6)


def loss_and_gradient(labels, logits):
    loss = loss_for(labels, SCHEME, torch.device("cpu"))
    scores = torch.from_numpy(logits).requires_grad_()
    value = masked_loss(loss, scores, torch.from_numpy(labels))
    value.backward()
    return float(value.detach()), scores.grad.numpy()


def test_missing_cells_carry_no_gradient():
    labels = np.array(
        [[1, 0, 1, 0, 0], [0, MISSING, MISSING, MISSING, MISSING], [0, 1, 0, 0, 1]], dtype=np.int8
    )
    logits = np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5)
    value, gradient = loss_and_gradient(labels, logits)
    assert gradient[1, 1:].tolist() == [0, 0, 0, 0]
    assert (gradient[labels == 1] < 0).all()
    other = logits.copy()
    other[1, 1:] = 50
    assert loss_and_gradient(labels, other)[0] == pytest.approx(value)


def test_the_loss_of_a_choice_is_that_of_a_softmax():
    labels = np.array([[MISSING, MISSING, 0, 1, 0]], dtype=np.int8)
    logits = np.array([[9, 9, 1, 2, 3]], dtype=np.float32)
    expected = -np.log(np.exp(2) / np.exp([1, 2, 3]).sum())
    assert loss_and_gradient(labels, logits)[0] == pytest.approx(expected, rel=1e-5)


def test_an_option_without_positives_or_negatives_is_not_trained():
    labels = np.array([[1, 0, 1, 0, 0], [1, 0, 0, 1, 0]], dtype=np.int8)
    assert trainable(labels).tolist() == [False, False, True, True, False]
    _, gradient = loss_and_gradient(labels, np.ones((2, 5), dtype=np.float32))
    assert gradient[:, :2].tolist() == [[0, 0], [0, 0]]


def test_macro_precision_is_the_mean_over_decidable_options():
    labels = np.array([[1, 1, 0], [0, 1, 0], [1, 1, MISSING], [0, 1, MISSING]], dtype=np.int8)
    logits = np.array([[1, 0, 0], [2, 0, 0], [3, 0, 0], [0, 0, 0]], dtype=np.float32)
    assert macro_precision(labels, logits) == average_precision(labels[:, 0] == 1, logits[:, 0])
    assert macro_precision(labels[:, 1:], logits[:, 1:]) == 0.0
