import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.embargo import embargo
from models.data.near_duplicates import content_digests, seen_by, signatures

LONG = "the applicant complained under article six of the convention that the proceedings had lasted far too long"


def apply(texts, folds, fold):
    return embargo(np.array(folds, dtype=np.int32), fold, content_digests(texts), signatures(texts))


def test_exact_and_near_duplicates_of_held_out_texts_are_dropped_and_counted():
    near = LONG.replace("six", "eight")
    texts = [
        LONG,
        LONG.upper(),
        near,
        "another text with words that nothing else in this corpus has at all",
        "THE LAW",
    ]
    found = apply(texts, [0, 1, 1, 1, 1], fold=0)
    assert found.dropped.tolist() == [False, True, True, False, False]
    assert found.train.tolist() == [False, False, False, True, True]
    assert (found.exact, found.near) == (1, 1)
    assert found.to_document() == {
        "fold": 0,
        "held_out_rows": 1,
        "train_rows": 2,
        "exact_duplicates": 1,
        "near_duplicates": 1,
        "share": 0.5,
    }


def test_duplicates_within_the_training_part_stay():
    texts = [LONG, "THE LAW", "THE LAW"]
    assert apply(texts, [0, 1, 1], fold=0).train.tolist() == [False, True, True]


def test_a_fold_without_rows_holds_nothing_back():
    found = apply([LONG, LONG], [0, 0], fold=1)
    assert found.train.all()
    assert found.to_document()["share"] == 0.0


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([LONG, LONG + " indeed", "THE LAW", "THE FACTS", "x " * 20]), st.integers(0, 2)
        )
    )
)
def test_every_row_is_held_out_trained_on_or_dropped_and_no_trained_row_repeats_a_held_out_one(rows):
    texts, folds = [text for text, _ in rows], [fold for _, fold in rows]
    for fold in range(3):
        found = apply(texts, folds, fold)
        assert (found.held_out.astype(int) + found.train + found.dropped == 1).all()
        signed = signatures(texts)
        assert not seen_by(signed[found.train], signed[found.held_out]).any()
