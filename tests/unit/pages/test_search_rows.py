"""A search's table: columns, order, what was given up, and values in words."""

from __future__ import annotations

from typing import Any

import pytest

from app.http.problems import Invalid
from app.pages.search_rows import (
    TrialRow,
    chosen_rows,
    in_order,
    setting,
    space_rows,
    splits_of,
    spoken,
    trial_row,
)
from app.training.search_schemas import MemberScore, TrialAnswer


def member(
    name: str, score: float | None, epochs: int = 5, pruned_at: int | None = None, **more: Any
) -> MemberScore:
    facts: dict[str, Any] = (
        {} if score is None else {"best_epoch": 2, "epochs": epochs, "loss": 0.1, "seconds": 1.0}
    )
    return MemberScore(
        member=name, parameters={"lora_rank": 4}, score=score, pruned_at=pruned_at, **facts, **more
    )


def row(number: int, *members: MemberScore, state: str = "complete", **more: Any) -> TrialRow:
    scores = [found.score for found in members if found.score is not None]
    fields: dict[str, Any] = {
        "parameters": {"lora_rank": 4}, "seconds": 10.0 - number, "chosen_for": [], "error": None,
        "mean": sum(scores) / len(scores) if scores else None,
    }  # fmt: skip
    return trial_row(
        TrialAnswer(
            number=number, job_id=f"job_{number}", state=state, members=list(members), **fields | more
        )  # type: ignore[arg-type]
    )


ROWS = [
    row(0, member("fold0", 0.5), member("fold1", 0.7)),
    row(1, member("fold0", 0.9, 2, pruned_at=2), member("fold1", 0.4)),
    row(2, member("fold0", None), member("fold1", None), state="queued", seconds=None),
    row(3, member("fold0", 0.8), member("fold1", 0.8)),
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("-mean", [3, 1, 0, 2]),
        ("mean", [0, 1, 3, 2]),  # what has no score stays last
        ("number", [0, 1, 2, 3]),
        ("-number", [3, 2, 1, 0]),
        ("seconds", [3, 1, 0, 2]),
        ("-fold0", [1, 3, 0, 2]),
        ("epochs", [1, 0, 3, 2]),
        ("state", [0, 1, 3, 2]),
    ],
)
def test_trials_are_sorted_by_any_column(wanted: str, numbers: list[int]) -> None:
    assert [found.trial.number for found in in_order(ROWS, wanted, ["fold0", "fold1"])] == numbers


@pytest.mark.parametrize("wanted", ["", "-", "fold9", "mean; DROP TABLE jobs"])
def test_a_column_that_is_not_there_is_a_problem(wanted: str) -> None:
    with pytest.raises(Invalid) as problem:
        in_order(ROWS, wanted, ["fold0", "fold1"])
    assert problem.value.field == "sort"


def test_only_what_was_carried_to_the_end_everywhere_is_compared() -> None:
    assert [found.whole for found in ROWS] == [True, False, False, True]
    assert ROWS[1].given_up == ["fold 1 after 2"]
    assert (ROWS[0].best_epoch, ROWS[0].epochs, ROWS[2].best_epoch, ROWS[2].epochs) == (2, 10, None, None)


def test_a_mean_over_several_folds_is_shown_fold_by_fold() -> None:
    folds = [{"fold": f"fold{fold}", "score": 0.6, "best_epoch": 1, "epochs": 3 - fold} for fold in range(2)]
    found = row(0, member("all", 0.6, 5, pruned_at=2, folds=folds), state="pruned")
    assert splits_of([found], ["all"]) == ["fold0", "fold1"]
    assert found.given_up == ["fold 2 after 2"]
    assert not found.whole


def test_columns_are_in_the_order_of_folds_with_the_final_fit_last() -> None:
    names = ["final", *(f"fold{number}" for number in (10, 2, 0))]
    assert splits_of([], names) == ["fold0", "fold2", "fold10", "final"]
    assert [spoken(name) for name in ("fold0", "final")] == ["fold 1", "final fit"]


def test_each_fold_s_own_settings_are_kept_apart() -> None:
    own = row(0, member("fold0", 0.5), parameters=None)
    assert own.parameters == {"fold0": {"lora_rank": 4}}
    assert ROWS[0].parameters == {"": {"lora_rank": 4}}


def test_values_and_dimensions_in_words() -> None:
    assert [setting(value) for value in (0.000123456, 8, True, None, "auto", ["q", "v"])] == [
        "0.000123", "8", "true", "null", "auto", '["q", "v"]',
    ]  # fmt: skip
    assert setting({"kind": "focal", "gamma": 2.0}) == "focal, gamma 2"
    space = {
        "learning_rate": {"type": "float", "low": 1e-4, "high": 0.01, "log": True, "steps": 3},
        "epochs": {"type": "int", "low": 1, "high": 9, "log": False, "step": 2},
        "wide": {"type": "choice", "values": [True, "auto"]},
    }
    assert space_rows(space) == [
        ("learning_rate", "0.0001 to 0.01, 3 values, logarithmic"),
        ("epochs", "1 to 9, whole numbers, every 2"),
        ("wide", "true · auto"),
    ]


def test_what_was_chosen_stands_beside_how_far_it_carried() -> None:
    chosen = {name: {"trial": 1} for name in ("final", "fold1", "fold0")}
    carried = {"average_precision": {"folds": [{"fold": 1, "inner": 0.6, "held_out": 0.5, "gap": 0.1}]}}
    found = chosen_rows(chosen, carried)
    assert [entry["member"] for entry in found] == ["fold0", "fold1", "final"]
    assert [entry["carried"] and entry["carried"]["gap"] for entry in found] == [None, 0.1, None]
    assert all(entry["carried"] is None for entry in chosen_rows(chosen, None))
