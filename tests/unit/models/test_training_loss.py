"""Every loss against numbers worked out by hand, and what does not count: missing cells and constant options."""

from math import exp, log

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.loss import decided_cells, loss_for, masked_loss, summed_loss
from models.training.loss_request import (
    Asymmetric,
    CrossEntropy,
    DistributionBalanced,
    Focal,
    LossRequest,
)

CPU = torch.device("cpu")
SET = Scheme((Question("set", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 1))),))
CHOICE = Scheme((Question("one", QuestionKind.CHOOSE_ONE, tuple(Option(key, place) for place, key in enumerate("xyz"))),))  # fmt: skip
# a: two positives, two negatives; b: one positive, two negatives, one missing.
LABELS = np.array([[1, 0], [1, 1], [0, 0], [0, MISSING]], dtype=np.int8)
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-3.0, 1.0], [1.0, 50.0]])


def sigmoid(x):
    return 1 / (1 + exp(-x))


def value(asked, scheme=SET, labels=LABELS, logits=LOGITS):
    loss = loss_for(labels, scheme, CPU, asked)
    return float(masked_loss(loss, logits, torch.from_numpy(labels)))


def by_hand(positive, negative):
    """Mean over the seven decided cells of LABELS at LOGITS."""
    cells = [positive(2.0, 0), negative(-1.0, 1), positive(0.5, 0), positive(0.0, 1), negative(-3.0, 0), negative(1.0, 1), negative(1.0, 0)]  # fmt: skip
    return sum(cells) / 7


def test_cross_entropy_weighs_positives_by_the_root_of_their_rarity():
    weights = (1.0, 2**0.5)
    expected = by_hand(lambda z, o: weights[o] * log(1 + exp(-z)), lambda z, _: log(1 + exp(z)))
    assert value(CrossEntropy()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("asked", "weight"), [("none", 1.0), (3.5, 3.5)])
def test_the_weight_of_positives_may_be_none_or_a_number(asked, weight):
    expected = by_hand(lambda z, _: weight * log(1 + exp(-z)), lambda z, _: log(1 + exp(z)))
    assert value(CrossEntropy(positive_weight=asked)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.25, None])
def test_focal_loss_fades_cells_that_are_right_already(alpha):
    yes, no = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    expected = by_hand(
        lambda z, _: yes * (1 - sigmoid(z)) ** 2 * -log(sigmoid(z)),
        lambda z, _: no * sigmoid(z) ** 2 * -log(1 - sigmoid(z)),
    )
    assert value(Focal(alpha=alpha)) == pytest.approx(expected, rel=1e-5)


def test_focal_without_focus_and_alpha_is_cross_entropy():
    assert value(Focal(gamma=0, alpha=None)) == pytest.approx(value(CrossEntropy(positive_weight="none")))


def test_asymmetric_loss_shifts_and_focuses_negatives():
    def negative(z, _):
        shifted = max(sigmoid(z) - 0.05, 0)
        return -(shifted**4) * log(1 - shifted)

    expected = by_hand(lambda z, _: -(1 - sigmoid(z)) * log(sigmoid(z)), negative)
    assert value(Asymmetric(gamma_positive=1)) == pytest.approx(expected, rel=1e-5)
    # The probability of -3 is below the margin: it costs nothing and pulls at nothing.
    logits = LOGITS.clone().requires_grad_()
    masked_loss(loss_for(LABELS, SET, CPU, Asymmetric()), logits, torch.from_numpy(LABELS)).backward()
    assert logits.grad[2, 0] == 0
    assert logits.grad[2, 1] > 0


def test_asymmetric_without_focus_and_margin_is_cross_entropy():
    plain = Asymmetric(gamma_negative=0, margin=0)
    assert value(plain) == pytest.approx(value(CrossEntropy(positive_weight="none")), rel=1e-5)


def test_distribution_balanced_loss_rebalances_texts_and_tolerates_negatives():
    """Positives n = (2, 1): rates 1/2 and 1. Row 0 is drawn at 1/2, row 1 at 3/2, rows 2 and 3 by no option."""
    shares = [[1.0, 2.0], [1 / 3, 2 / 3], [float("inf")] * 2, [float("inf")] * 2]
    prior = [2.5 / 5, 1.5 / 4]
    total = 0.0
    for row in range(4):
        for option in range(2):
            if LABELS[row, option] == MISSING:
                continue
            share = shares[row][option]
            weight = 0.1 + (1.0 if share == float("inf") else sigmoid(10 * (share - 0.3)))
            moved = float(LOGITS[row, option]) + 0.05 * log(prior[option] / (1 - prior[option]))
            yes = LABELS[row, option] == 1
            total += weight * (log(1 + exp(-moved)) if yes else log(1 + exp(5 * moved)) / 5)
    assert value(DistributionBalanced()) == pytest.approx(total / 7, rel=1e-5)


def test_distribution_balanced_loss_with_focus():
    """One option, one text of each kind: n = 1, so r is 1 for the positive and infinite for the negative."""
    scheme = Scheme((Question("set", QuestionKind.YES_NO_SET, (Option("a", 0),)),))
    labels, logits = np.array([[1], [0]], dtype=np.int8), torch.tensor([[0.3], [-0.2]])
    positive = (0.1 + sigmoid(7)) * log(1 + exp(-0.3)) * (1 - sigmoid(0.3)) ** 2
    negative = 1.1 * log(1 + exp(-1.0)) / 5 * (1 - sigmoid(1.0)) ** 2
    found = value(DistributionBalanced(gamma=2), scheme, labels, logits)
    assert found == pytest.approx((positive + negative) / 2, rel=1e-5)


ALL = [CrossEntropy(), Focal(gamma=0.5), Asymmetric(gamma_positive=0.5, gamma_negative=0.5, margin=0), DistributionBalanced(gamma=0.5)]  # fmt: skip


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.kind)
def test_missing_cells_and_constant_options_count_for_nothing(asked):
    labels = np.concatenate([LABELS, np.zeros((4, 1), np.int8)], axis=1)
    scheme = Scheme((Question("set", QuestionKind.YES_NO_SET, tuple(Option(key, place) for place, key in enumerate("abc"))),))  # fmt: skip
    loss = loss_for(labels, scheme, CPU, asked)
    logits = torch.cat([LOGITS, torch.full((4, 1), torch.inf)], dim=1).requires_grad_()
    found = masked_loss(loss, logits, torch.from_numpy(labels))
    found.backward()
    assert found.item() == pytest.approx(value(asked), rel=1e-5)
    assert logits.grad[3, 1] == 0
    assert (logits.grad[:, 2] == 0).all()


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.kind)
def test_slopes_are_finite_at_extreme_logits(asked):
    logits = torch.tensor([[100.0, -100.0], [-100.0, 100.0], [100.0, 100.0], [-100.0, 0.0]]).requires_grad_()
    masked_loss(loss_for(LABELS, SET, CPU, asked), logits, torch.from_numpy(LABELS)).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.kind)
def test_parts_add_up_to_the_whole(asked):
    loss, labels = loss_for(LABELS, SET, CPU, asked), torch.from_numpy(LABELS)
    parts = sum(float(summed_loss(loss, LOGITS[rows], labels[rows])) for rows in (slice(0, 1), slice(1, 4)))
    assert parts == pytest.approx(float(summed_loss(loss, LOGITS, labels)), rel=1e-5)
    assert float(decided_cells(loss, labels)) == 7


CHOSEN = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [MISSING] * 3], dtype=np.int8)
SCORES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 3.0], [9.0, 9.0, -9.0]])


def answer_costs():
    probabilities = [exp(1) / (exp(1) + 2), 1 / (2 + exp(2)), 1 / 3, exp(1) / (1 + exp(1) + exp(3))]
    return probabilities, [-log(p) for p in probabilities]


@pytest.mark.parametrize("asked", [CrossEntropy(), Asymmetric(), DistributionBalanced()], ids=lambda asked: asked.kind)  # fmt: skip
def test_a_choose_one_question_keeps_cross_entropy(asked):
    _, costs = answer_costs()
    assert value(asked, CHOICE, CHOSEN, SCORES) == pytest.approx(sum(costs) / 4, rel=1e-5)


def test_a_choose_one_question_may_weigh_rare_answers():
    """Counts 3, 1, 0: weights ∝ √(4/9) and √(4/3), scaled so that the four texts weigh 1 on average."""
    rare = [(4 / 9) ** 0.5] * 3 + [(4 / 3) ** 0.5]
    _, costs = answer_costs()
    expected = sum(w * c for w, c in zip(rare, costs, strict=True)) / sum(rare)
    assert value(CrossEntropy(class_weight="auto"), CHOICE, CHOSEN, SCORES) == pytest.approx(
        expected, rel=1e-5
    )


def test_focal_loss_of_a_choose_one_question():
    probabilities, costs = answer_costs()
    expected = sum((1 - p) ** 2 * c for p, c in zip(probabilities, costs, strict=True)) / 4
    assert value(Focal(), CHOICE, CHOSEN, SCORES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"kind": "focal", "margin": 0.1}, "margin"),
        ({"kind": "asymmetric", "margin": 1.0}, "margin"),
        ({"kind": "bce", "positive_weight": 0}, "positive_weight"),
        ({"kind": "hinge"}, "kind"),
    ],
)
def test_a_number_that_does_not_belong_to_the_loss_is_refused(document, field):
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(LossRequest).validate_python(document)
