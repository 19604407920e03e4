"""Several audit samples as one: what each text's cells were before anybody read, how much they weigh, and that only blind readings calibrate."""

from __future__ import annotations

import numpy as np

from app.audits.settled import Settled
from models.audit.sample.calibration import Calibration, NotCalibrated
from models.scheme import MISSING, NO, YES, Option, Question, QuestionKind, Scheme
from workers.relabel.calibrating import Audited, calibrated, joined
from workers.relabel.reviewed import Reviewed

SCHEME = Scheme((Question("q", QuestionKind.YES_NO_SET, (Option("bail", 0), Option("costs", 1))),))
NOBODY = Reviewed([], frozenset(), [])


def sample(
    texts: list[int],
    given: list[list[int]],
    truth: list[list[int]],
    inclusion: float,
    keys: tuple[str, ...] = ("bail", "costs"),
    shown: tuple[int, ...] = (),
) -> Settled:
    ids = np.array(texts, dtype=np.int64)
    return Settled(
        sample_id=f"aud_{inclusion}",
        purpose="totals",
        snapshot_id="snp",
        run_id=None,
        ranking_id=None,
        option_keys=keys,
        text_ids=ids,
        text_version_ids=ids,
        strata=np.zeros(len(ids), dtype=np.int64),
        stratum_sizes=np.array([100]),
        inclusion=np.full(len(ids), inclusion),
        given=np.array(given, dtype=np.int8),
        truth=np.array(truth, dtype=np.int8),
        blind=~np.isin(ids, shown),
    )


def test_a_text_drawn_twice_keeps_the_label_from_before_any_release_and_the_weight_of_both_draws() -> None:
    """The older sample found bail wrong and was released: the newer one was drawn from the corrected label."""
    older = sample([1, 2], [[NO, NO], [NO, NO]], [[YES, NO], [NO, MISSING]], 0.1)
    newer = sample([1, 3, 9], [[YES], [NO], [NO]], [[YES], [NO], [NO]], 0.5, keys=("bail",), shown=(3,))
    found = joined([newer, older], {1: 10, 2: 20, 3: 30}, SCHEME.option_keys)
    assert found.rows.tolist() == [10, 20, 30]  # text 9 is not in the run
    assert found.given.tolist() == [[NO, NO], [NO, MISSING], [NO, MISSING]]
    assert found.truth.tolist() == [[YES, NO], [NO, MISSING], [NO, MISSING]]
    weights = 1 / found.inclusion
    assert np.allclose(weights[:, 0], [12, 10, 2])
    assert np.allclose(weights[0, 1], 10)  # the newer sample did not read it
    assert np.isnan(weights[1:, 1]).all()
    assert found.blind.tolist() == [True, True, False]
    labels = np.full((31, 2), NO, dtype=np.int8)
    labels[10] = YES, NO  # as released
    assert found.as_given(labels)[10].tolist() == [NO, NO]


def test_what_was_read_after_having_been_shown_calibrates_nothing() -> None:
    texts = 300
    rng = np.random.default_rng(0)
    scores = rng.random((texts, 2), dtype=np.float32)
    wrong = rng.random((texts, 2)) < scores
    labels = np.zeros((texts, 2), dtype=np.int8)
    every = Audited(
        (),
        np.arange(texts),
        labels,
        wrong.astype(np.int8),
        np.full((texts, 2), 0.1),
        np.ones(texts, dtype=bool),
    )
    whole = calibrated(scores, labels, every, np.arange(texts), NOBODY, SCHEME)
    assert isinstance(whole, Calibration)
    assert whole.decisions == 2 * texts
    seen = Audited(
        every.samples, every.rows, every.given, every.truth, every.inclusion, np.arange(texts) < 60
    )
    few = calibrated(scores, labels, seen, np.arange(texts), NOBODY, SCHEME)
    assert isinstance(few, NotCalibrated)
    assert few.decisions == 2 * 60


def test_without_a_closed_sample_there_is_nothing_to_join() -> None:
    found = joined([], {1: 10}, SCHEME.option_keys)
    assert (found.rows.tolist(), found.truth.shape) == ([], (0, 2))
