"""Models fitted without a team: whoever follows another codebook is told apart, whoever is alone or too small is not judged."""

from __future__ import annotations

import numpy as np
import pytest

from models.audit.annotators.without import LONE, Corpus, Heard, compare, judge, refusal
from models.data.folds import assign_folds
from models.data.near_duplicates import content_digests, signatures
from models.scheme import MISSING, NO, YES
from tests.small_corpus import FILLER

WORDS = (("sorry", "regret"), ("daughter", "mother"))


def letters(texts=400, seed=0, moved=0):
    """Letters whose words say the truth of two options, two to a group; the last two texts are one and the same.

    moved: folds that the last text is moved on by.
    """
    rng = np.random.default_rng(seed)
    truth = (rng.random((texts, 2)) < 0.4).astype(np.int8)
    truth[-1] = truth[-2]
    contents = []
    for row in truth:
        words = list(rng.choice(FILLER, 12)) + [str(rng.choice(WORDS[at])) for at in range(2) if row[at]]
        contents.append(" ".join(rng.permutation(words)))
    contents[-1] = contents[-2]
    groups = [f"case-{number // 2}" for number in range(texts - 1)] + ["another"]
    folds = assign_folds(groups, 4, 0)
    folds[-1] = (folds[-2] + moved) % 4
    return truth, Corpus.of(contents, groups, folds, content_digests(contents), signatures(contents))


def heard(truth, wrong, seed=1):
    """Every text read by two of the teams; `wrong`: by team, the share of wrong values of each option."""
    rng = np.random.default_rng(seed)
    teams = np.argsort(rng.random((len(truth), len(wrong))), axis=1)[:, :2].ravel()
    texts = np.repeat(np.arange(len(truth)), 2)
    off = rng.random((len(texts), 2)) < np.asarray(wrong)[teams]
    return Heard.of(teams, texts, (truth[texts] ^ off).astype(np.int8), (len(wrong), len(truth)))


def judged(corpus, votes, teams):
    return {team: judge(corpus, votes, team, 0, lambda: None) for team in range(teams)}


def test_a_team_with_another_codebook_is_told_apart_on_the_option_where_it_is():
    truth, corpus = letters()
    found = judged(corpus, heard(truth, [(0.03, 0.03), (0.03, 0.03), (0.03, 0.03), (0.03, 0.85)]), 4)
    apart, options = compare(found, 3, 0)
    assert apart.high < 0
    assert options[1].high < -0.2
    assert options[0].low < 0 < options[0].high
    for team in range(3):
        together, _ = compare(found, team, 0)
        assert together.difference > apart.difference + 0.1
        assert together.own > together.others


def test_teams_alike_are_not_told_apart_and_the_same_seed_says_the_same():
    truth, corpus = letters()
    found = judged(corpus, heard(truth, [(0.05, 0.05)] * 3), 3)
    for team in range(3):
        together, _ = compare(found, team, 0)
        assert together.low < 0 < together.high
        assert 0.8 < together.own <= 1
        assert compare(found, team, 0)[0] == together


def test_no_label_of_the_team_is_learnt_from():
    """Turn every label of the team: the model says the same, so what it agreed with it now does not."""
    truth, corpus = letters()
    votes = heard(truth, [(0.05, 0.05)] * 3)
    turned = Heard(votes.yes.copy(), votes.no.copy())
    turned.yes[0], turned.no[0] = votes.no[0], votes.yes[0]
    before, after = (judge(corpus, each, 0, 0, lambda: None) for each in (votes, turned))
    np.testing.assert_array_equal(before.cells, after.cells)
    np.testing.assert_array_equal(before.hits + after.hits, before.cells)


def test_a_duplicate_in_another_fold_is_left_out():
    _, corpus = letters(moved=1)
    first, second = len(corpus.folds) - 2, len(corpus.folds) - 1
    assert not corpus.train[corpus.folds[first]][second]
    assert not corpus.train[corpus.folds[second]][first]


def test_who_is_alone_or_too_small_is_told_so():
    truth, _ = letters(texts=120)
    texts = np.arange(120)
    lone = Heard.of(np.zeros(120, np.int64), texts, truth, (1, 120))
    assert refusal(lone, 0) == LONE.format(others=0, fewest=50)
    mixed = Heard.of((texts < 30).astype(np.int64), texts, truth, (2, 120))
    assert "too small: it settled a label on 30 texts" in refusal(mixed, 1)
    assert "alone: the others settled a label on 30 texts" in refusal(mixed, 0)


def test_an_option_that_others_hardly_gave_and_few_groups_have_no_number():
    truth, corpus = letters()
    truth[:, 1] = NO
    truth[:2, 1] = YES
    found = judged(corpus, heard(truth, [(0.05, 0.0)] * 3), 3)
    _, options = compare(found, 0, 0)
    assert options[1].cells == 0
    assert np.isnan(options[1].own)
    few = {team: type(one)(one.hits[:9], one.cells[:9]) for team, one in found.items()}
    together, _ = compare(few, 0, 0)
    assert np.isfinite(together.own)
    assert np.isnan(together.low)


def test_ties_of_a_team_settle_nothing_and_stopping_is_heard():
    votes = Heard.of(
        np.zeros(2, np.int64), np.zeros(2, np.int64), np.array([[YES, NO], [NO, NO]], np.int8), (1, 1)
    )
    np.testing.assert_array_equal(votes.own(0), [[MISSING, NO]])
    truth, corpus = letters(texts=60)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        judge(corpus, heard(truth, [(0, 0)] * 3), 0, 0, stop)
