"""Several annotators: consensus, quality, overlap and agreement, on people whose errors are known."""

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from models.audit.annotators.agreement import agreement, agreement_on, cohen
from models.audit.annotators.answers import answer_consensus
from models.audit.annotators.consensus import dawid_skene
from models.audit.annotators.overlap import overlap
from models.audit.annotators.quality import Right, hierarchy, right_votes
from models.audit.annotators.votes import Answers, Votes, chosen_answers, majority, yes_no_answers
from models.training.logistic import sigmoid

TEXTS, ANNOTATORS = 1200, 8
SENSITIVITY = np.array([0.95, 0.9, 0.9, 0.85, 0.6, 0.6, 0.55, 0.9])
SPECIFICITY = np.array([0.98, 0.97, 0.99, 0.95, 0.9, 0.85, 0.8, 0.97])
TEAMS = np.array([0, 0, 0, 0, 1, 1, 1, 0])


def labelled(seed=0, each=4, shares=(0.2, 0.35)):
    rng = np.random.default_rng(seed)
    truth = rng.random((TEXTS, len(shares))) < shares
    texts = np.repeat(np.arange(TEXTS), each)
    people = np.concatenate([rng.choice(ANNOTATORS, each, replace=False) for _ in range(TEXTS)])
    yes = np.where(truth[texts], SENSITIVITY[people][:, None], 1 - SPECIFICITY[people][:, None])
    values = (rng.random(yes.shape) < yes).astype(np.int8)
    values[rng.random(values.shape) < 0.1] = -1
    said = np.asarray(sigmoid(np.where(truth, 1.5, -1.5) + rng.standard_normal(truth.shape)))
    return truth, Votes(texts, people, values, TEXTS, ANNOTATORS), said


@pytest.fixture(scope="module")
def people():
    return labelled()


@pytest.fixture(scope="module")
def consensus(people):
    return dawid_skene(people[1])


def test_majority_leaves_ties_and_blanks_missing():
    values = np.array([[1], [0], [1], [1], [-1], [3]], dtype=np.int8)
    votes = Votes(np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 0, 1]), values, 5, 2)
    assert majority(votes)[:, 0].tolist() == [-1, 1, -1, -1, -1]
    with pytest.raises(ValueError, match="two rows"):
        Votes(np.array([0, 0]), np.array([1, 1]), values[:2], 1, 2)


def test_knowing_how_people_err_beats_counting_heads_and_a_model_beats_both(people, consensus):
    truth, votes, said = people
    right = [
        (labels == truth).mean()
        for labels in (majority(votes), consensus.labels(), dawid_skene(votes, said).labels())
    ]
    assert right[0] + 0.01 < right[1] < right[2]


def test_the_consensus_finds_how_each_errs_and_is_the_same_every_time(people, consensus):
    assert consensus.sensitivity.mean(axis=1) == pytest.approx(SENSITIVITY, abs=0.08)
    assert consensus.specificity.mean(axis=1) == pytest.approx(SPECIFICITY, abs=0.05)
    np.testing.assert_array_equal(dawid_skene(people[1]).probability, consensus.probability)


def test_a_useless_model_is_hardly_believed_and_a_cell_without_votes_is_nan(people, consensus):
    truth, votes, _ = people
    noise = np.random.default_rng(1).random(truth.shape)
    found = dawid_skene(votes, noise)
    assert found.model_slope.max() < 0.3
    assert (found.labels() == consensus.labels()).mean() > 0.98
    empty = Votes(votes.texts, votes.annotators, votes.values, TEXTS + 1, ANNOTATORS)
    assert np.isnan(dawid_skene(empty).probability[TEXTS]).all()


def test_quality_intervals_hold_the_true_shares():
    held = []
    for seed in range(4):
        truth, votes, _ = labelled(seed)
        found, teams = hierarchy(right_votes(votes, dawid_skene(votes)), TEAMS)
        share = truth.mean()
        true = SENSITIVITY * share + SPECIFICITY * (1 - share)
        held += [q.low <= t <= q.high for q, t in zip(found, true, strict=True)]
        assert teams[0].value > teams[1].value
    assert np.mean(held) > 0.75


def test_little_data_is_drawn_to_the_team_and_says_how_unsure_it_is():
    counts = Right(
        np.array([900.0, 880, 910, 4]), np.array([1000.0, 1000, 1000, 8]), np.array([1000.0, 1000, 1000, 8])
    )
    found, _ = hierarchy(counts, np.zeros(4, dtype=np.int64))
    assert 0.7 < found[3].value < 0.9
    assert found[3].high - found[3].low > 4 * (found[0].high - found[0].low)
    assert found[0].value == pytest.approx(0.9, abs=0.01)


def test_people_without_enough_shared_texts_are_not_compared():
    texts = np.concatenate(
        [np.arange(60), np.arange(60), np.arange(60, 120), np.arange(60, 120), np.arange(30)]
    )
    who = np.repeat([0, 1, 2, 3, 4], [60, 60, 60, 60, 30])
    votes = Votes(texts, who, np.ones((len(texts), 1), dtype=np.int8), 120, 5)
    found = overlap(votes)
    assert found.component.tolist() == [0, 0, 1, 1, 2]
    assert found.not_comparable(0, 1) is None
    assert "0 shared texts" in found.not_comparable(1, 2)
    assert found.isolated(4)
    assert "30 shared" in found.not_comparable(0, 4)


def test_coefficients_are_those_of_the_libraries(people):
    _, votes, _ = people
    found = agreement(votes, 0, draws=200)
    table = np.full((ANNOTATORS, TEXTS), np.nan)
    cast = votes.values[:, 0] >= 0
    table[votes.annotators[cast], votes.texts[cast]] = votes.values[cast, 0]
    assert found.alpha.value == pytest.approx(krippendorff.alpha(table, level_of_measurement="nominal"))
    assert found.alpha.low < found.alpha.value < found.alpha.high
    pair = found.pairs[0]
    both = np.isfinite(table[pair.first]) & np.isfinite(table[pair.second])
    assert pair.kappa.texts == both.sum()
    assert pair.kappa.value == pytest.approx(
        cohen_kappa_score(table[pair.first, both], table[pair.second, both])
    )


def test_bootstrapped_alpha_is_the_library_s_formula(people):
    from models.audit.annotators.agreement import _alpha

    kinds, number = np.array([[3, 0], [2, 1], [0, 2], [1, 1]]), np.array([5, 7, 11, 3])
    expected = krippendorff.alpha(
        value_counts=np.repeat(kinds, number, axis=0), level_of_measurement="nominal"
    )
    assert _alpha(kinds, number[None].astype(float))[0] == pytest.approx(expected)


def test_fleiss_on_a_table_by_hand():
    values = np.array([1, 1, 1, 0, 0, 0], dtype=np.int8)[:, None]
    votes = Votes(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1] * 3), values, 3, 2)
    found = agreement(votes, 0, draws=50)
    assert found.fleiss.value == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert found.percent == pytest.approx(2 / 3)
    assert np.isnan(found.pairs[0].kappa.value)


def both_read(yes, alone, no):
    """Two people on `yes` texts that both take for yes, `alone` on which only the first does, `no` that neither does."""
    first = np.repeat([0, 0, 1], [yes, alone, no])
    second = np.repeat([0, 1, 1], [yes, alone, no])
    texts = len(first)
    return Answers(
        np.tile(np.arange(texts), 2), np.repeat([0, 1], texts), np.append(first, second), texts, 2, 2
    )


def test_where_nobody_differed_the_interval_still_leaves_room():
    """A bootstrap of the texts alone says 1.00 to 1.00 of sixty texts, and of two yes among a thousand."""
    even, rare = agreement_on(both_read(20, 0, 40)), agreement_on(both_read(2, 0, 998))
    for found in (even.alpha, even.fleiss, even.pairs[0].kappa):
        assert (found.value, found.high) == (1.0, 1.0)
        assert 0.7 < found.low < 0.97
    assert rare.alpha.low < 0.7
    lone = agreement_on(both_read(0, 1, 199)).alpha
    assert lone.low < lone.value < 0.1 < lone.high


@pytest.mark.parametrize(
    ("texts", "prevalence", "sensitivity", "specificity"),
    [(200, 0.01, 0.9, 0.999), (60, 0.3, 0.99, 0.99), (500, 0.05, 0.9, 0.99)],
)
def test_the_interval_of_alpha_holds_what_is_true_of_all_texts(texts, prevalence, sensitivity, specificity):
    """Two people with the same rates; the bootstrap of the texts alone held .48 of the first and .68 of the second."""
    rng = np.random.default_rng(4)
    yes = prevalence * sensitivity**2 + (1 - prevalence) * (1 - specificity) ** 2
    alone = prevalence * sensitivity * (1 - sensitivity) + (1 - prevalence) * specificity * (1 - specificity)
    true = cohen(np.array([yes, alone, alone, 1 - yes - 2 * alone]))
    held = []
    for _ in range(120):
        truth = rng.random(texts) < prevalence
        said = [
            np.where(truth, *(rng.random((2, texts)) < [[sensitivity], [1 - specificity]])) for _ in range(2)
        ]
        answers = Answers(
            np.tile(np.arange(texts), 2), np.repeat([0, 1], texts), 1 - np.concatenate(said).astype(int), texts, 2, 2
        )  # fmt: skip
        found = agreement_on(answers, draws=200).alpha
        if not np.isnan(found.value):
            held.append(found.low <= true <= found.high)
    assert np.mean(held) > 0.88


def test_krippendorffs_own_example_with_gaps():
    """Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units, nominal .743."""
    gap = -1
    said = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
            [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
        ]
    )
    who, texts = np.nonzero(said != gap)
    found = agreement_on(Answers(texts, who, said[who, texts] - 1, 12, 4, 5), draws=50)
    assert found.alpha.value == pytest.approx(0.743, abs=0.0005)
    assert found.alpha.texts == 11  # the twelfth unit has one value


def test_what_never_varies_has_no_coefficient():
    votes = Votes(np.array([0, 0, 1, 1]), np.array([0, 1] * 2), np.zeros((4, 1), dtype=np.int8), 2, 2)
    found = agreement(votes, 0, draws=20)
    assert np.isnan([found.fleiss.value, found.alpha.value]).all()
    assert np.isnan(cohen(np.array([0.0, 0, 0, 9])))


ROLES = np.array([0.5, 0.3, 0.15, 0.05])
DIAGONAL = np.array([0.95, 0.85, 0.8, 0.6, 0.55])


def roles(seed=0, texts=1500, each=3):
    """Four answers, five annotators; the last two take answer 2 for answer 1 half of the time."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, texts, p=ROLES)
    confusion = np.array([np.eye(4) * d + (1 - np.eye(4)) * (1 - d) / 3 for d in DIAGONAL])
    confusion[3:, 2] = [0.05, 0.5, 0.4, 0.05]
    who = np.concatenate([rng.choice(5, each, replace=False) for _ in range(texts)])
    of = np.repeat(np.arange(texts), each)
    chosen = np.array([rng.choice(4, p=confusion[a, truth[t]]) for a, t in zip(who, of, strict=True)])
    model = np.exp(1.2 * (truth[:, None] == np.arange(4)) + rng.standard_normal((texts, 4)))
    return truth, confusion, Answers(of, who, chosen, texts, 5, 4), model / model.sum(axis=1, keepdims=True)


def plurality(answers):
    counts = answers.counts()
    best = counts.max(axis=1, keepdims=True)
    return np.where((counts == best).sum(axis=1) == 1, counts.argmax(axis=1), -1)


def test_answers_out_of_several_are_settled_by_how_people_confuse_them():
    truth, confusion, answers, model = roles()
    alone, beside = answer_consensus(answers), answer_consensus(answers, model)
    right = [(c == truth).mean() for c in (plurality(answers), alone.chosen(), beside.chosen())]
    assert right[0] + 0.03 < right[1] < right[2]
    assert alone.confusion[:, :2] == pytest.approx(confusion[:, :2], abs=0.1)  # 3 is rare
    assert alone.confusion[4, 2, 1] > 0.35
    assert 0.3 < beside.model_slope <= 1
    np.testing.assert_array_equal(answer_consensus(answers).probability, alone.probability)
    noise = np.random.default_rng(1).dirichlet(np.ones(4), len(truth))
    assert answer_consensus(answers, noise).model_slope < 0.2


def test_two_answers_are_the_case_of_yes_and_no(people, consensus):
    _, votes, said = people
    answers = yes_no_answers(votes, 1)
    found = answer_consensus(answers)
    assert found.probability[:, 0] == pytest.approx(consensus.probability[:, 1], abs=0.02, nan_ok=True)
    beside = answer_consensus(answers, np.column_stack([said[:, 1], 1 - said[:, 1]]))
    assert (beside.chosen() == np.where(dawid_skene(votes, said).labels()[:, 1] == 1, 0, 1)).mean() > 0.98


def test_without_votes_or_with_nothing_to_tell_them_apart_no_answer_is_chosen():
    answers = Answers(np.array([0, 0]), np.array([0, 1]), np.array([0, 1]), 2, 2, 2)
    found = answer_consensus(answers)
    assert found.chosen().tolist() == [-1, -1]
    assert np.isnan(found.probability[1]).all()


def test_agreement_on_a_question_with_several_answers_is_that_of_the_libraries():
    _, _, answers, _ = roles()
    found = agreement_on(answers, draws=100)
    table = np.full((5, answers.text_count), np.nan)
    table[answers.annotators, answers.texts] = answers.chosen
    assert found.alpha.value == pytest.approx(krippendorff.alpha(table, level_of_measurement="nominal"))
    pair = found.pairs[3]
    both = np.isfinite(table[pair.first]) & np.isfinite(table[pair.second])
    assert pair.kappa.texts == both.sum()
    assert pair.kappa.value == pytest.approx(
        cohen_kappa_score(table[pair.first, both], table[pair.second, both])
    )


def test_a_chosen_answer_is_one_yes_among_the_question_s_options():
    values = np.array([[0, 1, 0], [2, 2, 2], [1, 1, 0], [-1, -1, -1]], dtype=np.int8)
    found = chosen_answers(Votes(np.arange(4), np.zeros(4, dtype=np.int64), values, 4, 1), [0, 1, 2])
    assert (found.texts.tolist(), found.chosen.tolist()) == ([0], [1])
