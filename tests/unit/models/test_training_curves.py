"""What the held-out logits of every epoch say, by hand."""

import numpy as np
import pytest

from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.curves import learning_curve

SCHEME = Scheme((
    Question("set", QuestionKind.YES_NO_SET, (Option("a", 0),)),
    Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 1), Option("y", 2))),
))  # fmt: skip
LABELS = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 1], [MISSING, MISSING, MISSING]], dtype=np.int8)
HISTORY = [{"epoch": 0, "inner_loss": 1.0}, {"epoch": 1, "train_loss": 0.5}]


def test_a_curve_begins_with_the_untrained_encoder_and_has_always_no_beside():
    wrong = [[-1.0, -2.0, -1.0], [1.0, -1.0, -2.0], [0.5, -1.0, -2.0], [9.0, 9.0, 9.0]]
    right = [[1.0, -1.0, -2.0], [-1.0, -2.0, -1.0], [-1.0, -3.0, -2.0], [9.0, 9.0, 9.0]]
    first, second = learning_curve(HISTORY, np.array([wrong, right], dtype=np.float16), LABELS, SCHEME)
    assert (first["epoch"], first["train_loss"]) == (0, None)
    assert (second["epoch"], second["train_loss"]) == (1, 0.5)
    # All logits of the question are negative: its most probable answer is still taken.
    assert second["held_out_macro_f1"] == second["held_out_accuracy"] == 1.0
    assert second["held_out_macro_average_precision"] == pytest.approx(1.0)
    assert first["held_out_macro_f1"] == first["held_out_accuracy"] == 0.0
    assert first["held_out_macro_average_precision"] < 0.6
    # One yes in three for a and x, two in three for y.
    assert first["always_no"] == second["always_no"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_every_epoch_needs_its_logits():
    with pytest.raises(ValueError, match="zip"):
        learning_curve(HISTORY, np.zeros((1, 4, 3), np.float16), LABELS, SCHEME)
