"""From settled readings to totals and sentences: what was skipped, what the ranking said, and that nothing more is claimed."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from app.audits.agreement import compared
from app.audits.cells import read_cells
from app.audits.frame import NOT_DRAWN, Frame
from app.audits.planning import bands_of, certifiable, intervals, look_warning, planned_cost, texts_to_draw
from app.audits.results import budget_words, decision, of_labels, of_options, of_texts, outcome
from app.audits.rules import check_request, chosen_options, coded, spoken
from app.audits.schemas import AuditSampleRequest, ReadingRequest
from app.audits.settlement import Readings, settle
from app.audits.words import share
from app.http.problems import Invalid
from app.pages.audit_chart import share_ticks
from models.audit.sample.stopping import StoppingPlan
from models.scheme import MISSING, NO, YES, Option, Question, QuestionKind, Scheme

SCHEME = Scheme(
    (
        Question("topics", QuestionKind.YES_NO_SET, (Option("bail", 0), Option("costs", 1, retired=True))),
        Question("outcome", QuestionKind.CHOOSE_ONE, (Option("won", 2), Option("lost", 3))),
    )
)
KEYS = ("bail", "won", "lost")
CELLS = read_cells(SCHEME, KEYS)


def frame(texts: int, drawn: int, suspicion: float = np.nan) -> Frame:
    """Texts given bail = no and outcome = won, of which the first `drawn` were drawn at random."""
    place = np.full(texts, NOT_DRAWN, dtype=np.int32)
    place[:drawn] = np.arange(drawn)
    return Frame(
        text_ids=np.arange(texts),
        text_version_ids=np.arange(texts),
        external_ids=[str(number) for number in range(texts)],
        stratum=np.zeros(texts, dtype=np.int32),
        place=place,
        given=np.tile(np.array([NO, YES, NO], dtype=np.int8), (texts, 1)),
        audited=np.ones((texts, 2), dtype=np.bool_),
        suspicion=np.full((texts, 2), suspicion, dtype=np.float32),
    )


def truth(drawn: int, *, bail: int = 0, lost: int = 0, skipped: int = 0) -> np.ndarray:
    """Right everywhere but in the first `bail` and `lost` texts; the last `skipped` have no value of bail."""
    values = np.tile(np.array([NO, YES, NO], dtype=np.int8), (drawn, 1))
    values[:bail, 0] = YES
    values[:lost, 1:] = [NO, YES]
    if skipped:
        values[-skipped:, 0] = MISSING
    return values


def test_a_wrong_answer_of_a_question_is_one_wrong_label() -> None:
    found = outcome(frame(100, 50), CELLS, truth(50, bail=2, lost=3))
    labels, texts = of_labels(found), of_texts(found)
    assert (labels.found, labels.read, labels.labels, labels.total) == (5, 100, 200, 10.0)
    assert (texts.found, texts.read, texts.labels, texts.total) == (3, 50, 100, 6.0)
    assert labels.low <= 10 <= labels.high
    assert labels.naive.total == pytest.approx(10.0)
    assert labels.naive.suspicion is None


def test_values_of_an_option_add_up_to_it() -> None:
    found = of_options(outcome(frame(100, 50), CELLS, truth(50, bail=2, lost=3)), KEYS, 0.05)
    assert [(option.key, option.estimate is None) for option in found] == [
        ("bail", False), ("outcome", False), ("won", True), ("lost", True),
    ]  # fmt: skip
    bail = {value.value: value.estimate for value in found[0].values}
    assert (bail["yes"].labels, bail["no"].labels, bail["no"].found) == (0, 100, 2)
    assert found[2].values[0].estimate.total == pytest.approx(6.0)
    assert found[3].values[0].estimate.labels == 0


def test_skipped_labels_widen_the_interval_at_both_ends() -> None:
    whole = of_labels(outcome(frame(100, 50), CELLS, truth(50, bail=2)))
    holes = of_labels(outcome(frame(100, 50), CELLS, truth(50, bail=2, skipped=4)))
    assert holes.skipped == 4
    assert holes.total_without_skips == whole.total
    assert holes.total == whole.total + 8
    assert holes.high > whole.high
    assert holes.low == whole.low


def test_a_suspicion_that_says_nothing_changes_nothing() -> None:
    """The same for every text: the sum is far off, the estimate is the sample's own."""
    found = of_labels(outcome(frame(100, 50, suspicion=0.4), CELLS, truth(50, bail=2)))
    assert found.naive.suspicion == pytest.approx(80.0)
    assert found.total == pytest.approx(found.plain.total)


def test_a_text_is_wrong_or_skipped_in_a_look_but_not_both() -> None:
    looked = decision(
        outcome(frame(100, 60), CELLS, truth(60, bail=1, lost=1, skipped=2)), StoppingPlan(5, 2), 1
    )
    assert (looked.wrong, looked.skipped, looked.remainder, looked.read) == (1, 2, 100, 60)
    assert looked.alpha_per_look == 0.025


def test_two_readers_who_find_the_same_and_what_each_finds_alone() -> None:
    first, second = truth(50, bail=12), truth(50, bail=10)
    second[15, 0] = YES  # an error that is none
    readings = Readings((first, second), truth(50, bail=12), np.ones((50, 2), bool), np.ones(50, bool))
    settled, given = settle(readings, CELLS), frame(100, 50)
    pooled = of_labels(outcome(given, CELLS, settled))
    pair = compared(readings, settled, given, CELLS, pooled)
    assert (pair.cells, pair.disputes, pair.adjudicated) == (100, 3, 3)
    assert pair.agreement == pytest.approx(0.97)
    assert pair.sensitivity is not None
    assert [rate.count for rate in pair.sensitivity] == [10, 12]
    assert pair.corrected is not None
    assert pair.corrected.total >= pooled.total


def test_disputes_that_nobody_settles_say_nothing_of_sensitivity() -> None:
    readings = Readings(
        (truth(50, bail=12), truth(50, bail=10)), None, np.ones((50, 2), bool), np.zeros(50, bool)
    )
    settled, given = settle(readings, CELLS), frame(100, 50)
    found = outcome(given, CELLS, settled)
    pair = compared(readings, settled, given, CELLS, of_labels(found))
    assert int(found.skipped.sum()) == 2
    assert (pair.sensitivity, pair.missed, pair.corrected) == (None, None, None)


def test_a_rare_option_is_not_certifiable() -> None:
    assert "not certifiable" in str(budget_words(40, 12, 0.05))
    assert budget_words(40, 40, 0.05) is None
    assert budget_words(0, 0, 0.05) is None


def test_the_plan_of_a_score_that_is_right_is_narrower_than_its_total_suggests() -> None:
    """Suspicion of 0 or 1 leaves no chance within bands of equal scores."""
    scores = np.repeat([[0.0], [1.0]], [80, 20], axis=0)
    stratum = np.repeat([0, 1], [80, 20]).astype(np.int32)
    told = intervals(np.ones(100, np.int64), stratum, np.array([80, 20]), np.array([20, 10]), scores)
    last = told[-1]
    assert (last.basis, last.wrong) == ("suspicion", 20.0)
    assert last.high - last.low < told[-2].high - told[-2].low


def request(**body: object) -> AuditSampleRequest:
    return AuditSampleRequest.model_validate({"corpus": "letters", **body})


def test_sizes_come_from_texts_readings_or_the_stopping_plan() -> None:
    assert texts_to_draw(request(size=10), 100, None) == 10
    assert texts_to_draw(request(budget=21, readers=2), 100, None) == 10
    plan = StoppingPlan(100)
    assert texts_to_draw(request(purpose="stopping"), 29_000, plan) == 847
    assert look_warning(plan, 29_000, 847) is None
    assert "needs 847" in str(look_warning(plan, 29_000, 846))
    assert dict(planned_cost(29_000, 100, 5, 0.05).reads_needed)[0] == 1291
    for wrong in (request(size=101), request(budget=1, readers=2)):
        with pytest.raises(Invalid):
            texts_to_draw(wrong, 100, None)
    assert [bands_of(request(size=size), size) for size in (4, 12, 600)] == [1, 3, 8]
    assert bands_of(request(size=4, design="stratified"), 4) == 2


def test_options_in_use_are_read_and_questions_as_a_whole() -> None:
    assert chosen_options(SCHEME, None) == KEYS
    assert chosen_options(SCHEME, ["outcome"]) == ("won", "lost")
    assert chosen_options(SCHEME, ["lost"]) == ("won", "lost")
    for unknown in ("costs", "nope"):
        with pytest.raises(Invalid):
            chosen_options(SCHEME, [unknown])


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ({"bail": "yes", "outcome": "lost"}, [1, 0, 1]),
        ({"bail": "not_applicable", "outcome": "uncertain"}, [3, 2, 2]),
        ({"bail": None, "outcome": None}, [None, None, None]),
    ],
)
def test_what_was_said_is_kept_as_it_was_said(said: dict[str, str | None], codes: list[int | None]) -> None:
    assert coded(said, CELLS, KEYS) == codes
    assert {cell.key: spoken(codes, cell, KEYS) for cell in CELLS} == said


def test_fields_that_do_not_go_together() -> None:
    check_request(request(size=1))
    check_request(request(purpose="stopping", plan="aud_x"))
    both = {"purpose": "stopping", "plan": "aud_x", "stopping": {"at_most": 1}}
    with pytest.raises(Invalid) as refused:
        check_request(request(**both))
    assert refused.value.field == "/stopping"
    for bands in ({"design": "random"}, {"purpose": "stopping", "stopping": {"at_most": 1}}):
        with pytest.raises(Invalid) as refused:
            check_request(request(bands=4, size=20, **bands))
        assert refused.value.field == "/bands"


@pytest.mark.parametrize("name", [" before", "before ", "two\nlines", "tab\tbed"])
def test_a_name_is_one_line(name: str) -> None:
    assert request(name="before the paper, 2").name == "before the paper, 2"
    with pytest.raises(ValidationError, match="one line without blanks at its ends"):
        request(name=name)


def test_a_skipped_text_has_no_values() -> None:
    assert ReadingRequest.model_validate({"skip": True}).values == {}
    with pytest.raises(ValidationError, match="leave one of them out"):
        ReadingRequest.model_validate({"skip": True, "values": {"bail": "yes"}})


def test_shares_have_as_many_digits_as_they_need() -> None:
    assert [share(value) for value in (1.0 - 1e-12, 0.9996, 0.25, 0.034, 0.0046, 0.0)] == ["100 %", "over 99 %", "25 %", "3.4 %", "0.46 %", "0 %"]  # fmt: skip


@pytest.mark.parametrize(("most", "last"), [(0.0, 0.001), (0.004, 0.004), (0.021, 0.025), (0.3, 0.3), (1.0, 1.0)])  # fmt: skip
def test_the_chart_ends_just_above_the_widest_interval(most: float, last: float) -> None:
    ticks = share_ticks(most)
    assert ticks[0] == 0
    assert ticks[-1] == pytest.approx(last)
    assert len(ticks) <= 6


def test_an_uneven_sample_certifies_no_more_than_its_least_read_band_does() -> None:
    """A thousand labels, of which half are read at one in fifty: all wrong ones may lie there."""
    whole = frame(1000, 0)
    even = certifiable(whole.given, whole.audited, np.full(1000, 0.26), CELLS[:1], KEYS, 0.05)[1]
    uneven = np.where(np.arange(1000) < 500, 0.02, 0.5)
    banded = certifiable(whole.given, whole.audited, uneven, CELLS[:1], KEYS, 0.05)[1]
    assert (even.read, banded.read) == (260, 260)
    assert even.not_certifiable is None
    assert even.possible < 15
    assert banded.not_certifiable is not None
    assert "260 are read, but as thinly as in the band read least" in banded.not_certifiable
    # no wrong label found among ten of five hundred leaves so many, and more are claimed possible
    assert banded.possible > 500 * (1 - 0.05 ** (1 / 10))
