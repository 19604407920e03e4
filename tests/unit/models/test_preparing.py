"""Analyses made ready: columns in words and numbers, who was read, and refusals before anything is solved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.estimates.answers import answer
from models.estimates.panel import Analysis, Drawn, Label, Panel, Term
from models.estimates.preparing import prepare

TEXTS = 600
REMORSE = Term("remorse")
YEAR = Term(column="year")
COURT = Term(column="court", reference="North")


@pytest.fixture
def panel() -> Panel:
    """Half of the texts are drawn; students say no to every fifth yes; `amount` is 2020 + 2 for remorse."""
    rng = np.random.default_rng(1)
    truth = (rng.random(TEXTS) < 0.5).astype(np.int8)
    stratum = np.arange(TEXTS) % 2
    drawn = np.zeros(TEXTS, dtype=np.bool_)
    for h, count in ((0, 100), (1, 200)):
        drawn[rng.choice(np.flatnonzero(stratum == h), count, replace=False)] = True
    student = np.where(np.arange(TEXTS) % 5 == 0, 0, truth).astype(np.int8)
    label = Label(
        student,
        np.clip(truth + rng.normal(0, 0.3, TEXTS), 0.01, 0.99),
        np.where(drawn, truth, -1).astype(np.int8),
    )
    court = [("North", "South", "East")[k] for k in rng.integers(3, size=TEXTS)]
    columns: dict[str, Any] = {
        "year": rng.integers(2015, 2022, TEXTS).tolist(), "court": court,
        "amount": (2020 + 2.0 * truth + rng.normal(0, 0.1, TEXTS)).tolist(), "won": truth.tolist(),
    }  # fmt: skip
    return Panel({"remorse": label}, columns, (Drawn(stratum, drawn),), None, np.ones(TEXTS, dtype=np.bool_))


def of(kind: Any, *covariates: Term, outcome: Term = REMORSE, drop: bool = False) -> Analysis:
    return Analysis(kind, outcome, covariates, drop)


def test_a_design_in_words_and_numbers(panel: Panel) -> None:
    found = prepare(panel, of("linear", YEAR, COURT))
    assert found.refusal is None
    assert found.names == ["(intercept)", "year", "court: East", "court: South"]
    assert found.references == {"court": "North"}
    assert found.design[2].values is not None
    assert found.design[2].values.sum() == panel.columns["court"].count("East")
    assert found.read == 300
    assert sum(found.events["remorse"]) == 300
    assert found.inclusion[:2] == pytest.approx([100 / 300, 200 / 300])


def test_the_reference_is_the_most_frequent_level_unless_named(panel: Panel) -> None:
    courts = panel.columns["court"]
    most = max(set(courts), key=list(courts).count)
    assert prepare(panel, of("difference", Term(column="court", categorical=True))).base_level == most
    assert "never 'West'" in str(prepare(panel, of("difference", replace(COURT, reference="West"))).refusal)


def test_numbers_may_be_levels_and_words_are_no_numbers(panel: Panel) -> None:
    assert len(prepare(panel, of("linear", replace(YEAR, categorical=True))).design) == 7
    assert 'make it "categorical"' in str(
        prepare(panel, of("linear", replace(COURT, categorical=False, reference=None))).refusal
    )
    assert "an outcome must be one" in str(
        prepare(
            panel, of("linear", REMORSE, outcome=replace(COURT, categorical=None, reference=None))
        ).refusal
    )
    assert "is not 0 or 1" in str(prepare(panel, of("logistic", REMORSE, outcome=YEAR)).refusal)


def test_texts_without_a_value_refuse_or_are_left_out(panel: Panel) -> None:
    panel.columns["court"][0] = None  # type: ignore[index]
    assert "1 texts have no value of court" in str(prepare(panel, of("linear", COURT)).refusal)
    found = prepare(panel, of("linear", COURT, drop=True))
    assert (found.refusal, found.left_out, int(found.inside.sum())) == (None, 1, TEXTS - 1)


def test_too_few_events_clusters_and_readings_are_refused(panel: Panel) -> None:
    label = panel.labels["remorse"]
    few = label.expert.copy()
    few[np.flatnonzero(few == 1)[15:]] = 0
    rare = replace(panel, labels={"remorse": replace(label, expert=few)})
    assert "15 expert labels of the rarer value for 2 coefficients; 20" in str(
        prepare(rare, of("linear", YEAR)).refusal
    )
    assert prepare(rare, of("prevalence")).refusal is None
    cases = replace(panel, clusters=np.arange(TEXTS) % 19)
    assert "19 clusters" in str(prepare(cases, of("linear", YEAR)).refusal)
    courts = list(panel.columns["court"])
    alone = replace(
        panel,
        columns={**panel.columns, "court": ["West" if k < 12 else court for k, court in enumerate(courts)]},
    )
    assert "texts with court West: 10 are needed" in str(prepare(alone, of("difference", COURT)).refusal)


def test_skipped_texts_lower_the_probability_of_their_stratum_until_they_are_too_many(panel: Panel) -> None:
    label = panel.labels["remorse"]
    expert = label.expert.copy()
    first = np.flatnonzero(panel.drawn & (panel.samples[0].stratum == 0))
    expert[first[:20]] = -1
    found = prepare(replace(panel, labels={"remorse": replace(label, expert=expert)}), of("prevalence"))
    assert (found.refusal, found.skipped) == (None, 20)
    assert found.inclusion[:2] == pytest.approx([80 / 300, 200 / 300])
    expert[first[:25]] = -1
    thin = prepare(replace(panel, labels={"remorse": replace(label, expert=expert)}), of("prevalence"))
    assert "25 of 300" in str(thin.refusal)
    assert "stand for 12 % of all texts" in str(thin.refusal)
    expert[first[:40]] = -1
    found = prepare(replace(panel, labels={"remorse": replace(label, expert=expert)}), of("prevalence"))
    assert "40 of 300 drawn texts have no settled value" in str(found.refusal)


def test_texts_not_asked_about_change_nothing(panel: Panel) -> None:
    """Their labels may be anything: the answer about the others is the same to the last digit that matters."""
    here = np.array(panel.columns["court"]) == "North"
    part = replace(panel, where=here)
    label = panel.labels["remorse"]
    expert = np.where(here | (label.expert < 0), label.expert, 1 - label.expert).astype(np.int8)
    turned = replace(part, labels={"remorse": replace(label, expert=expert)})
    for analysis in (
        of("prevalence"),
        of("linear", YEAR),
        of("linear", REMORSE, outcome=Term(column="amount")),
    ):
        one, other = (answer(p, prepare(p, analysis)) for p in (part, turned))
        assert one.refusal is None
        assert [e.value for e in one.estimates] == pytest.approx([e.value for e in other.estimates])
        assert [e.standard_error for e in one.estimates] == pytest.approx(
            [e.standard_error for e in other.estimates]
        )


def test_answers_hold_what_is_true(panel: Panel) -> None:
    """Where the students' labels would not: they miss one yes in five."""
    slope = answer(panel, prepare(panel, of("linear", REMORSE, outcome=Term(column="amount")))).estimates[1]
    assert slope.low < 2 < slope.high
    assert slope.naive is not None
    assert slope.naive < slope.low
    separated = answer(panel, prepare(panel, of("logistic", REMORSE, outcome=Term(column="won"))))
    assert separated.estimates == ()
    assert "no solution" in str(separated.refusal)


def test_the_unit_of_a_covariate_changes_its_slope_and_nothing_else(panel: Panel) -> None:
    days = [365.25 * year for year in panel.columns["year"]]
    scaled = replace(panel, columns={**panel.columns, "year": days})
    for kind in ("linear", "logistic"):
        years, in_days = (answer(p, prepare(p, of(kind, YEAR))).estimates[1] for p in (panel, scaled))
        assert in_days.value * 365.25 == pytest.approx(years.value)
        assert in_days.standard_error * 365.25 == pytest.approx(years.standard_error)
