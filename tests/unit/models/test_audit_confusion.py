import numpy as np
import pytest

from models.audit.confusion import after_annotators, confusions, others_alone
from models.audit.evidence import Annotations
from models.scheme import NO, YES, Option, Question, QuestionKind, Scheme


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


def test_what_an_annotator_is_known_for_comes_from_the_other_annotations_alone():
    rng = np.random.default_rng(4)
    probabilities = rng.beta(1, 2, (60, 2)).astype(np.float32)
    options = (Option("a", 0), Option("b", 1))
    scheme = Scheme((Question("q", QuestionKind.YES_NO_SET, options),))
    values = (rng.random((60, 2)) < probabilities).astype(np.int8)
    turned = values.copy()
    turned[5, 0] = 1 - turned[5, 0]

    def known(given):
        annotations = Annotations(np.arange(60), np.arange(60) % 2, given)
        confusion = confusions(probabilities, annotations, scheme)[0]
        return others_alone(confusion, probabilities, annotations, scheme, 0)

    before, after = known(values), known(turned)
    assert after[5] == pytest.approx(before[5], abs=1e-12)
    same_annotator = np.arange(60) % 2 == 1
    same_annotator[5] = False
    assert np.abs(after - before)[same_annotator].max(axis=(1, 2)).min() > 1e-3
