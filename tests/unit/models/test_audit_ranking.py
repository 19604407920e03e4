import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.audit.ranking import flagged, precision_at, ranking_precision, text_scores

scores_of_any_kind = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 5)),
    elements=st.floats(0, 1, width=32) | st.just(np.nan),
)


@given(scores_of_any_kind)
def test_flags_are_all_likely_errors_and_the_top_share_and_nothing_unaudited(scores):
    marked = flagged(scores)
    audited = np.isfinite(scores)
    assert not (marked & ~audited).any()
    assert marked[audited & (np.nan_to_num(scores) >= 0.5)].all()
    assert marked.sum() == max((scores[audited] >= 0.5).sum(), int(np.ceil(0.02 * audited.sum())))
    if marked.any() and (audited & ~marked).any():
        assert scores[marked].min() >= scores[audited & ~marked].max()


def test_the_top_two_percent_are_flagged_where_nothing_is_likely_wrong():
    scores = np.linspace(0, 0.4, 1000, dtype=np.float32).reshape(100, 10)
    assert np.flatnonzero(flagged(scores)).tolist() == list(range(980, 1000))


def test_a_text_is_as_suspicious_as_any_of_its_cells_together_with_damped_odds():
    scores = np.array([[0.5, 0.5], [0.75, np.nan], [np.nan, np.nan], [0, 1]], dtype=np.float32)
    half, more = 1 / (1 + np.e), 3 / (3 + np.e)
    expected = [1 - (1 - half) ** 2, more, np.nan, 1.0]
    assert text_scores(scores) == pytest.approx(expected, nan_ok=True)


def test_many_cells_a_little_raised_do_not_outvote_a_single_high_one():
    scores = np.array([[0.2] * 5, [0.65] + [0.0] * 4], dtype=np.float32)
    little, high = text_scores(scores)
    assert little < high


def test_ranking_measures_leave_out_what_is_not_audited():
    wrong = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, np.nan, 0.1], dtype=np.float32)
    assert ranking_precision(wrong, scores) == 1.0
    assert precision_at(wrong, scores, 2) == 0.5
    assert precision_at(wrong, scores, 100) == pytest.approx(1 / 3)
