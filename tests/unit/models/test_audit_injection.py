import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.audit.injection import inject_noise
from models.scheme import MISSING, Dependency, Option, Question, QuestionKind, Scheme

SCHEME = Scheme(
    (
        Question("set", QuestionKind.YES_NO_SET, tuple(Option(key, i) for i, key in enumerate("abst"))),
        Question("one", QuestionKind.CHOOSE_ONE, tuple(Option(key, 4 + i) for i, key in enumerate("xyz"))),
    ),
    (Dependency("a", ("s", "t")), Dependency("b", ("s", "t"))),
)


def labelled(rows, seed):
    rng = np.random.default_rng(seed)
    sets = rng.integers(0, 2, (rows, 4)).astype(np.int8)
    sets[:, :2] &= sets[:, 2:].any(axis=1, keepdims=True)
    sets[rng.random(sets.shape) < 0.1] = MISSING
    ones = np.eye(3, dtype=np.int8)[rng.integers(0, 3, rows)]
    ones[rng.random(rows) < 0.1] = MISSING
    return np.hstack([sets, ones])


def possible(labels):
    speakers_known_absent = (labels[:, 2:4] == 0).all(axis=1)
    return not (labels[speakers_known_absent, :2] == 1).any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0, 0.3))
def test_flips_are_seeded_counted_and_leave_dependencies_possible(seed, share):
    labels = labelled(60, seed)
    labels[:, :2][(labels[:, 2:4] == 0).all(axis=1)] = 0
    before = labels.copy()
    found = inject_noise(labels, SCHEME, share, seed)
    assert np.array_equal(labels, before)
    assert possible(found.labels)
    changed = np.column_stack(
        [
            (found.labels[:, list(c.positions)] != labels[:, list(c.positions)]).any(axis=1)
            for c in SCHEME.cells
        ]
    )
    assert np.array_equal(changed, found.flipped)
    assert np.array_equal(found.labels == MISSING, labels == MISSING)
    choice = found.labels[:, 4:]
    assert set(np.where(choice[:, 0] == MISSING, 1, choice.sum(axis=1))) <= {1}
    assert np.array_equal(inject_noise(labels, SCHEME, share, seed).labels, found.labels)


def test_the_share_is_of_labelled_cells():
    labels = labelled(2000, 0)
    cells = (labels[:, :4] != MISSING).sum() + (labels[:, 4] != MISSING).sum()
    assert inject_noise(labels, SCHEME, 0.05, 1).flipped.sum() == round(0.05 * cells)


def test_an_impossible_share_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        inject_noise(labelled(3, 0), SCHEME, 1.5, 0)
