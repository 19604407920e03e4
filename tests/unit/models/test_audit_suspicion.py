from dataclasses import replace

import numpy as np
import pytest

from models.audit import stack as stack_module
from models.audit import stack_fits
from models.audit.injection import inject_noise
from models.audit.plain import pairwise
from models.audit.ranking import ranking_precision
from models.audit.stack import Stacked
from models.audit.suspicion import LEFT_ALONE, Evidence, _limited, flagged, score, self_confidence
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme
from models.training.logistic import sigmoid

SET = Question("set", QuestionKind.YES_NO_SET, tuple(Option(key, i) for i, key in enumerate("abc")))
ONE = Question("one", QuestionKind.CHOOSE_ONE, tuple(Option(key, 3 + i) for i, key in enumerate("xyz")))
SCHEME = Scheme((SET, ONE))


def corpus(rows=600, seed=0, noise=0.06):
    """Texts whose options depend on each other and on the text before; probabilities see them dimly."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((rows, 6), dtype=np.int8)
    for row in range(rows):
        last = truth[row - 1, 0] if row % 20 else 0
        truth[row, 0] = rng.random() < (0.85 if last else 0.15)
        truth[row, 1] = truth[row, 0] and rng.random() < 0.9
        truth[row, 2] = rng.random() < 0.3
    truth[:, 3:] = np.eye(3, dtype=np.int8)[rng.integers(0, 3, rows)]
    given = inject_noise(truth, SCHEME, noise, seed)
    logits = (truth * 2.0 - 1) * 1.2 + rng.normal(0, 1.2, truth.shape)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    probabilities[:, 3:] /= probabilities[:, 3:].sum(axis=1, keepdims=True)
    groups = [f"case-{row // 20}" for row in range(rows)]
    return Evidence(probabilities, given.labels, SCHEME, groups, order=list(range(rows))), given.flipped


def test_the_stack_finds_more_errors_than_self_confidence():
    for seed in range(2):
        evidence, wrong = corpus(seed=seed)
        plain = self_confidence(evidence.probabilities, evidence.labels, SCHEME)
        assert ranking_precision(wrong, score(evidence).scores) > ranking_precision(wrong, plain) + 0.03


def test_scores_have_the_shape_of_cells_and_lie_between_zero_and_one():
    evidence, _ = corpus()
    found = score(evidence)
    assert found.method == "stacked"
    assert found.scores.shape == (600, len(SCHEME.cells))
    assert found.scores.dtype == np.float32
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert flagged(found.scores).any()


def test_a_cells_own_given_value_never_speaks_for_itself():
    """Turning a cell turns its suspicion around; of several answers each is suspected by the same probabilities."""
    evidence, _ = corpus(rows=300)
    row = 7
    turned = evidence.labels.copy()
    turned[row, 0] = 1 - turned[row, 0]
    found = score(evidence)
    after = score(replace(evidence, labels=turned))
    assert found.every["unlimited"][row, 0] + after.every["unlimited"][row, 0] == pytest.approx(1, abs=1e-4)
    for turns in (1, 2):
        turned = evidence.labels.copy()
        turned[row, 3:] = np.roll(turned[row, 3:], turns)
        after = score(replace(evidence, labels=turned))
        np.testing.assert_allclose(after.stacked[row, 3:], found.stacked[row, 3:], atol=1e-4)


def test_a_misreading_that_a_whole_group_shares_does_not_explain_itself(monkeypatch):
    """One group in five sees option c beside b always: the values around a cell say that it belongs there, the text that it does not.

    What few groups bear out is trusted less than what every text bears out for itself.
    """
    evidence, wrong = corpus(rows=1200, noise=0.0)
    rng = np.random.default_rng(0)
    labels, probabilities = evidence.labels.copy(), evidence.probabilities.copy()
    labels[:, 2] = rng.random(1200) < 0.05
    probabilities[:, 2] = 1 / (1 + np.exp(-(labels[:, 2] * 4.0 - 2 + rng.normal(0, 1.2, 1200))))
    misread = (np.arange(1200) // 20 % 5 == 0) & (labels[:, 1] == 1) & (labels[:, 2] == 0)
    labels[misread, 2] = 1
    wrong = np.zeros_like(wrong)
    wrong[misread, 2] = True
    given = replace(evidence, labels=labels, probabilities=probabilities)
    found = score(given)
    effects = found.parameters["design_effects"]
    assert effects["c"] > 1.5 > effects["x"]
    monkeypatch.setattr(stack_fits, "_design_effects", lambda columns, *_: np.ones(len(columns)))
    every_text_alike = score(given)
    assert every_text_alike.parameters["design_effects"]["c"] == 1.0
    for name in ("stacked", "unlimited"):
        trusted, before = (ranking_precision(wrong, each.every[name]) for each in (found, every_text_alike))
        assert trusted > before + 0.02, name


def test_values_around_a_cell_say_only_what_they_say_beyond_the_habit_of_the_group(monkeypatch):
    """One group in four hardly gives option a: in the others its neighbours' values are worth what they are worth there.

    Design effects, which do some of the same, are left out.
    """
    monkeypatch.setattr(stack_fits, "_design_effects", lambda columns, *_: np.ones(len(columns)))
    evidence, wrong = corpus(rows=1200, noise=0.0)
    labels = evidence.labels.copy()
    missed = (np.arange(1200) // 20 % 4 == 0) & (labels[:, 0] == 1) & (np.arange(1200) % 7 > 0)
    labels[missed, 0] = 0
    wrong = np.zeros_like(wrong)
    wrong[missed, 0] = True
    given = replace(evidence, labels=labels)
    with_habit = score(given).every["unlimited"]
    monkeypatch.setattr(stack_module, "_habit", lambda evidence, mean: np.zeros_like(mean))
    without = score(given).every["unlimited"]
    assert ranking_precision(wrong, with_habit) > ranking_precision(wrong, without) + 0.02


def test_a_text_of_its_own_group_has_no_design_effect():
    """Where nothing groups the texts each speaks for itself."""
    evidence, _ = corpus(rows=300)
    single = replace(evidence, groups=[str(row) for row in range(300)], order=None)
    assert set(score(single).parameters["design_effects"].values()) == {1.0}


@pytest.mark.parametrize(
    ("effect", "alone", "expected"),
    [
        (1.0, 0.1, 0.1),  # nothing to limit: the stack's word
        (1.0, 0.5, float(sigmoid(-LEFT_ALONE))),  # other options took off more than they may
        (2.0, 0.1, (0.1 + 0.6) / 2),  # half of it is the mean's
        (4.0, 0.1, (0.1 + 3 * 0.6) / 4),
    ],
)
def test_suspicion_is_trusted_as_far_as_groups_bear_it_out(effect, alone, expected):
    """A no that the stack suspects by .1 and the text models by .6."""
    scheme = Scheme((Question("set", QuestionKind.YES_NO_SET, (Option("a", 0),)),))
    labels = np.zeros((1, 1), dtype=np.int8)

    def told(value):
        return np.full((1, 1), value, dtype=np.float32)

    found = Stacked(told(0.1), told(0.6), told(alone), told(effect), [], [], None)
    assert _limited(told(0.1), found, labels, scheme)[0, 0] == pytest.approx(expected, abs=1e-5)


def test_what_is_not_held_out_or_not_given_is_not_audited():
    evidence, _ = corpus(rows=300)
    evidence.probabilities[5] = np.nan
    evidence.labels[6, 1] = MISSING
    evidence.labels[8, 3:] = MISSING
    found = score(evidence).scores
    assert np.isnan(found[5]).all()
    assert np.isnan(found[6, 1])
    assert np.isnan(found[8, 3])
    assert np.isnan(found).sum() == 4 + 2
    assert not flagged(found)[np.isnan(found)].any()


def test_an_option_with_few_positives_keeps_what_the_adapter_said():
    evidence, _ = corpus(rows=300)
    evidence.labels[:, 2] = 0
    evidence.labels[:3, 2] = 1
    found = score(evidence)
    assert found.parameters["kept_as_predicted"] == ["c"]
    plain = self_confidence(evidence.probabilities, evidence.labels, SCHEME)
    assert np.array_equal(found.scores[:, 2], plain[:, 2])


def test_one_group_cannot_be_crossed_and_the_answer_says_so():
    evidence, _ = corpus(rows=60)
    found = score(replace(evidence, groups=["one"] * 60))
    assert found.method == "self_confidence"
    expected = self_confidence(evidence.probabilities, evidence.labels, SCHEME)
    assert np.array_equal(found.scores, expected)


def test_all_kinds_of_evidence_are_taken_and_named():
    evidence, wrong = corpus(rows=400)
    rng = np.random.default_rng(0)
    full = replace(
        evidence,
        embeddings=rng.normal(size=(400, 16)).astype(np.float16),
        wide_logits=rng.normal(size=(400, 6)).astype(np.float32),
        signatures=rng.integers(0, 2**32, (400, 64), dtype=np.uint32),
    )
    found = score(full)
    assert {"similar", "wide", "before_given", "after_logits"} <= set(found.parameters["features"])
    assert ranking_precision(wrong, found.scores) > 0.3


def test_the_same_seed_gives_the_same_ranking():
    evidence, _ = corpus(rows=200)
    assert np.array_equal(score(evidence, seed=4).scores, score(evidence, seed=4).scores)


def test_self_confidence_is_one_minus_the_probability_of_the_given_value():
    probabilities = np.array([[0.9, 0.2, 0.5, 0.2, 0.6, 0.2]], dtype=np.float32)
    labels = np.array([[1, 1, MISSING, 0, 1, 0]], dtype=np.int8)
    found = self_confidence(probabilities, labels, SCHEME)[0]
    assert found == pytest.approx([0.1, 0.8, np.nan, 0.4], nan_ok=True)


def test_of_several_answers_the_given_one_is_held_against_its_likeliest_rival():
    probabilities = np.array([[0.9, 0.2, 0.5, 0.3, 0.4, 0.3]] * 3, dtype=np.float32)
    labels = np.array([[1, 1, 0, *given] for given in np.eye(3, dtype=np.int8)])
    assert pairwise(probabilities, labels, SCHEME)[:, 3] == pytest.approx([4 / 7, 3 / 7, 4 / 7])
    np.testing.assert_allclose(
        pairwise(probabilities, labels, SCHEME)[:, :3],
        self_confidence(probabilities, labels, SCHEME)[:, :3],
        rtol=1e-6,
    )
    unread = np.full((1, 6), np.nan, dtype=np.float32)
    assert np.isnan(pairwise(unread, labels[:1], SCHEME)).all()
    nothing = np.zeros((1, 6), dtype=np.float32)
    assert pairwise(nothing, labels[:1], SCHEME)[0, 3] == 0.5
