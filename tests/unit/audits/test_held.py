"""Annotators held against what a sample settled: numbers worked out by hand, refusals, and intervals that cover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import gamma

from app.audits.cells import read_cells
from app.audits.held import Given, held, share_of
from app.audits.result_schemas import AnnotatorsHeld
from models.audit.sample.design import AuditSample
from models.scheme import MISSING, NO, NOT_APPLICABLE, YES, Option, Question, QuestionKind, Scheme

SCHEME = Scheme(
    (
        Question("topics", QuestionKind.YES_NO_SET, (Option("bail", 0),)),
        Question("outcome", QuestionKind.CHOOSE_ONE, (Option("won", 1), Option("lost", 2))),
    )
)
CELLS = read_cells(SCHEME, ("bail", "won", "lost"))
WON, LOST = [YES, YES, NO], [YES, NO, YES]
"""Both with bail = yes."""


def simple(drawn: int, texts: int) -> AuditSample:
    """A simple random sample: the first `drawn` of so many texts."""
    return AuditSample(np.arange(drawn), np.zeros(texts, dtype=np.int32), np.array([texts]), np.array([drawn]))  # fmt: skip


def said(who: str, texts: int, wrong: int, team: str | None = None, start: int = 0) -> Given:
    """`who` said `won` of so many texts, and `lost` of the first `wrong`."""
    values = np.array([LOST if number < wrong else WON for number in range(texts)], dtype=np.int8)
    return Given(np.arange(start, start + texts), [who] * texts, [team] * texts, values)


def together(*parts: Given) -> Given:
    return Given(
        np.concatenate([part.rows for part in parts]),
        [name for part in parts for name in part.annotators],
        [team for part in parts for team in part.teams],
        np.concatenate([part.values for part in parts]),
    )


def truth(drawn: int) -> np.ndarray:
    return np.tile(np.array(WON, dtype=np.int8), (drawn, 1))


def asked(given: Given, drawn: int = 40, **changes: Any) -> AnnotatorsHeld:
    blind = changes.pop("blind", np.ones(drawn, dtype=np.bool_))
    settled = changes.pop("truth", truth(drawn))
    readers = changes.pop("readers", ())
    found = held(given, settled, blind, simple(drawn, 400), CELLS, readers, "totals")
    assert found is not None
    return found


def test_a_share_is_the_ratio_of_two_weighted_totals() -> None:
    """Two strata, π 1/2 and 1/10: Σ w d = 2·1 + 10·2 = 22, Σ w c = 2·4 + 10·6 = 68."""
    stratum = np.array([0] * 4 + [1] * 20, dtype=np.int32)
    sample = AuditSample(np.array([0, 1, 4, 5]), stratum, np.array([4, 20]), np.array([2, 2]))
    differ, read = np.array([1, 0, 2, 0]), np.array([2, 2, 3, 3])
    share, low, high = share_of(sample, differ, read)
    assert share == pytest.approx(22 / 68)
    # residuals d − R c: 1 − 2R and −2R in one stratum, 2 − 3R and −3R in the other; s² = (difference)² / 2 = 1/2 and 2
    variance = 4**2 * (1 - 2 / 4) / 2 * 0.5 + 20**2 * (1 - 2 / 20) / 2 * 2
    assert variance == pytest.approx(362.0)
    assert low == pytest.approx(gamma.ppf(0.025, 22**2 / variance, scale=variance / 22) / 68)
    # one text more: the largest weight 10 times the clump, Σ w d² = 42 over Σ w d = 22, each with one text of weight 6 and (2.5 + 1) / 2 labels
    more = 10 * (42 + 6 * 1.75**2) / (22 + 6 * 1.75)
    mean, spread = 22 + more, variance + more**2
    assert high == pytest.approx(min(1.0, gamma.ppf(0.975, mean**2 / spread, scale=spread / mean) / 68))


def test_whoever_was_read_whole_has_no_interval_but_the_share() -> None:
    sample = simple(30, 30)
    read = np.full(30, 2)
    differ = (np.arange(30) < 6).astype(np.int64)
    assert share_of(sample, differ, read) == pytest.approx((0.1, 0.1, 0.1))


def test_answers_count_once_and_teams_are_pooled() -> None:
    """`won` for `lost` is one label that differs, not two."""
    given = together(said("ann", 30, 3, "North"), said("ben", 40, 8, "North"), said("cem", 25, 0, "South", start=15))  # fmt: skip
    found = asked(given)
    counts = [(one.name, one.team, one.texts, one.labels, one.read, one.differ) for one in found.annotators]
    assert counts == [
        ("ann", "North", 30, 60, 60, 3),
        ("ben", "North", 40, 80, 80, 8),
        ("cem", "South", 25, 50, 50, 0),
    ]
    north, south = found.teams
    assert (north.name, north.texts, north.read, north.differ) == ("North", 40, 140, 11)
    assert (south.name, south.differ, south.share, south.low) == ("South", 0, 0.0, 0.0)
    assert north.share == pytest.approx(11 / 140)
    assert south.high is not None
    assert 0 < south.high < 0.5


def test_too_few_labels_or_texts_get_the_reason() -> None:
    few = asked(said("ann", 24, 1)).annotators[0]
    assert (few.share, few.read) == (None, 48)
    assert (
        few.reason == "too few: 48 labels of 24 texts were settled blind, a share needs 50 labels of 20 texts"
    )
    assert asked(said("ann", 25, 1)).annotators[0].share == pytest.approx(1 / 50)


def test_unsettled_and_seen_labels_are_left_out_up_to_a_tenth() -> None:
    unsettled = truth(40)
    unsettled[:2, 0] = MISSING  # two labels
    seen = np.ones(40, dtype=np.bool_)
    seen[2:5] = False  # six labels
    found = asked(said("ann", 40, 4), truth=unsettled, blind=seen).annotators[0]
    assert (found.labels, found.read, found.differ, found.reason) == (80, 72, 2, None)
    seen[5] = False
    refused = asked(said("ann", 40, 4), truth=unsettled, blind=seen).annotators[0]
    assert (refused.read, refused.differ, refused.share) == (70, 2, None)
    assert str(refused.reason).startswith("10 of 80 labels have no settled blind value")


def test_what_is_no_vote_is_not_held_against_anybody() -> None:
    given = said("ann", 40, 0)
    given.values[:, 0] = NOT_APPLICABLE
    found = asked(given).annotators[0]
    assert (found.labels, found.differ) == (40, 0)
    given.values[:] = MISSING
    assert held(given, truth(40), np.ones(40, bool), simple(40, 400), CELLS, (), "totals") is None


def test_people_in_two_teams_and_people_who_read_the_sample() -> None:
    given = together(said("ann", 20, 1, "2019"), said("ann", 20, 2, "2020", start=20))
    found = asked(given, readers=("ann", "vera"))
    assert (found.annotators[0].team, [team.name for team in found.teams]) == (None, ["2019", "2020"])
    assert found.notes[-1].startswith("ann read this sample, too")
    assert len(asked(given).notes) == len(found.notes) - 1


def test_several_codebook_versions_are_named() -> None:
    given = replace(said("ann", 30, 1), versions=["", "2020"])
    assert "several codebook versions ((unnamed), 2020)" in asked(given).notes[-1]
    assert not any("codebook versions" in note for note in asked(said("ann", 30, 1)).notes)


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_intervals_cover(rate: float) -> None:
    """Somebody who labelled half of 2,000 texts, five labels each, errs in clumps; 200 texts are drawn in three bands."""
    rng = np.random.default_rng(5)
    sizes, taken = np.array([1000, 700, 300]), np.array([60, 70, 70])
    stratum = np.repeat(np.arange(3), sizes).astype(np.int32)
    held_true = 0
    for _ in range(300):
        chance = rng.beta(0.3, 0.3 * (1 / rate - 1), 2000)
        chance = chance[np.argsort(chance + rng.normal(0, 0.2, 2000))]
        read = np.where(rng.random(2000) < 0.5, 5, 0)
        differ = rng.binomial(read, chance)
        rows = np.concatenate([rng.choice(np.flatnonzero(stratum == band), taken[band], replace=False) for band in range(3)])  # fmt: skip
        _, low, high = share_of(AuditSample(rows, stratum, sizes, taken), differ[rows], read[rows])
        held_true += low <= differ.sum() / read.sum() <= high
    assert held_true >= 0.93 * 300


def test_all_that_were_judged_differ_and_some_of_the_others_may_not() -> None:
    sample, six = simple(60, 1200), np.full(60, 6)
    share, low, high = share_of(sample, six, six)
    assert (share, high) == (1, 1)
    none = share_of(sample, 0 * six, six)
    assert (1 - low, 1 - high) == pytest.approx((none[2], none[1]))
    assert 0.9 < low < 0.98


def test_a_few_texts_with_many_labels_may_be_the_ones_not_drawn() -> None:
    """Every tenth text has twelve labels, the others one; room for one more began at the average text's and held .74."""
    rng = np.random.default_rng(3)
    labels = np.where(rng.random(6000) < 0.5, np.where(rng.random(6000) < 0.1, 12, 1), 0)
    differ = np.where(rng.random(6000) < 0.03, rng.binomial(labels, 0.8), 0)
    held_ = []
    for _ in range(300):
        rows = rng.choice(6000, 300, replace=False)
        sample = AuditSample(rows, np.zeros(6000, dtype=np.int32), np.array([6000]), np.array([300]))
        _, low, high = share_of(sample, differ[rows], labels[rows])
        held_.append(low <= differ.sum() / labels.sum() <= high)
    assert np.mean(held_) > 0.93
