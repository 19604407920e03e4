import numpy as np
import pytest

from models.audit.noise import by_source, class_conditional, confusable, systematic, text_dependent
from models.scheme import NO, YES, Dependency, Option, Question, QuestionKind, Scheme

ARGUMENTS = Question("argument", QuestionKind.YES_NO_SET, tuple(Option(k, i) for i, k in enumerate("abc")))
SPEAKERS = Question("speaker", QuestionKind.YES_NO_SET, tuple(Option(k, 3 + i) for i, k in enumerate("st")))
ROLES = Question("role", QuestionKind.CHOOSE_ONE, tuple(Option(k, 5 + i) for i, k in enumerate("xyz")))
NEEDED = Dependency("a", ("s", "t"))
SCHEME = Scheme((ARGUMENTS, SPEAKERS, ROLES), (NEEDED,))
TEXTS = 600


def right_labels(seed=0):
    rng = np.random.default_rng(seed)
    sets = (rng.random((TEXTS, 5)) < 0.3).astype(np.int8)
    sets[:, 0] &= sets[:, 3:].any(axis=1)
    return np.hstack([sets, np.eye(3, dtype=np.int8)[rng.integers(0, 3, TEXTS)]])


LABELS = right_labels()
SOURCES = [f"team-{row // 100}" for row in range(TEXTS)]
LOOKS = np.where(LABELS == YES, 0.95, 0.05)
LOOKS[:60] = np.where(LABELS[:60] == YES, 0.05, 0.95)
LIKENESS = np.zeros((8, 8))
LIKENESS[3, 4] = LIKENESS[4, 3] = LIKENESS[0, 1] = LIKENESS[1, 2] = LIKENESS[2, 0] = LIKENESS[
    5, 6
] = LIKENESS[6, 7] = LIKENESS[7, 5] = 1.0
KINDS = {
    "class_conditional": lambda share, seed: class_conditional(LABELS, SCHEME, share, seed),
    "confusable": lambda share, seed: confusable(LABELS, SCHEME, share, seed, LIKENESS),
    "text_dependent": lambda share, seed: text_dependent(LABELS, SCHEME, share, seed, LOOKS),
    "by_source": lambda share, seed: by_source(LABELS, SCHEME, share, seed, SOURCES),
    "systematic": lambda share, seed: systematic(LABELS, SCHEME, share, seed, SOURCES),
}


def rates(flipped, by):
    return np.array([flipped[[source == name for source in by]].mean() for name in sorted(set(by))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_every_kind_makes_the_share_wrong_and_only_what_is_possible(kind, share):
    before = LABELS.copy()
    found = KINDS[kind](share, 1)
    assert np.array_equal(before, LABELS)
    assert found.flipped.mean() == pytest.approx(share, abs=2 / found.flipped.size)
    changed = np.column_stack(
        [(found.labels[:, cell.positions] != LABELS[:, cell.positions]).any(axis=1) for cell in SCHEME.cells]
    )
    assert np.array_equal(changed, found.flipped)
    assert (found.labels[:, 5:].sum(axis=1) == 1).all()
    assert not ((found.labels[:, 0] == YES) & (found.labels[:, 3:5] == NO).all(axis=1)).any()
    assert np.array_equal(found.labels, KINDS[kind](share, 1).labels)
    assert not np.array_equal(found.labels, KINDS[kind](share, 2).labels)


@pytest.mark.parametrize("kind", KINDS)
def test_no_option_loses_more_than_half_of_its_yes(kind):
    found = KINDS[kind](0.9, 1)
    kept = ((found.labels == YES) & (LABELS == YES)).sum(axis=0)
    assert (kept >= (LABELS == YES).sum(axis=0) / 2 - 1e-9).all()


def test_a_yes_is_missed_more_easily_where_classes_differ():
    flipped = np.mean([class_conditional(LABELS, SCHEME, 0.05, seed).flipped[:, :5] for seed in range(30)], 0)
    assert flipped[LABELS[:, :5] == YES].mean() > 1.4 * flipped[LABELS[:, :5] == NO].mean()


def test_confusable_options_are_swapped_and_nothing_else():
    found = confusable(LABELS, SCHEME, 0.05, 3, LIKENESS)
    off, on = (LABELS == YES) & (found.labels == NO), (LABELS == NO) & (found.labels == YES)
    partner = LIKENESS.argmax(axis=1)
    for text in np.flatnonzero(found.flipped.any(axis=1)):
        assert sorted(partner[np.flatnonzero(off[text])]) == sorted(np.flatnonzero(on[text]))


def test_text_dependent_slips_happen_where_the_text_looks_like_them():
    flipped = text_dependent(LABELS, SCHEME, 0.05, 3, LOOKS).flipped
    assert flipped[:60].mean() > 5 * flipped[60:].mean()


def test_sources_differ_much_more_than_chance_lets_them():
    apart = rates(by_source(LABELS, SCHEME, 0.05, 3, SOURCES).flipped, SOURCES)
    chance = rates(class_conditional(LABELS, SCHEME, 0.05, 3).flipped, SOURCES)
    assert apart.std() > 2 * chance.std()


def test_a_systematic_misreading_leaves_no_exception():
    """All but the last rule (where the share is reached) took every text of its source that it could."""
    found = systematic(LABELS, SCHEME, 0.05, 3, SOURCES)
    missed = (LABELS == YES) & (found.labels == NO)
    invented = (LABELS == NO) & (found.labels == YES)
    assert missed.any() or invented.any()
    told = [
        (source, option)
        for source in set(SOURCES)
        for option in range(5)
        if (missed | invented)[np.array(SOURCES) == source, option].any()
    ]
    assert len(told) < 12


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match="share"):
        class_conditional(LABELS, SCHEME, 1.5, 0)
