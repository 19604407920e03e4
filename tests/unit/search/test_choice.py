"""Who is chosen: each fold by its own inner split, the final fit by the mean, never what was given up while something was not."""

from __future__ import annotations

from typing import Any

import pytest

from app.training.search_schemas import SearchRequest
from workers.search.choice import best_mean, best_of, choose, choosers, hopeless, refit_settings


def search(strategy: str = "random", **fields: Any) -> SearchRequest:
    """A search over one parameter."""
    space = {"lora_rank": {"type": "choice", "values": [1, 2, 4]}}
    return SearchRequest.model_validate({"strategy": strategy, "space": space} | fields)


def outcome(
    chooser: str, score: float, rank: int, loss: float = 1.0, pruned_at: int | None = None
) -> dict[str, Any]:
    """What a run came to."""
    return {
        "chooser": chooser, "parameters": {"lora_rank": rank}, "score": score, "loss": loss, "best_epoch": rank,
        "pruned_at": pruned_at,
    }  # fmt: skip


def test_every_fold_has_a_study_of_its_own_unless_the_caller_gives_that_up() -> None:
    assert choosers(search(), 3) == {f"fold{fold}": (f"fold{fold}",) for fold in range(3)}
    assert choosers(search("grid"), 2).keys() == {"fold0", "fold1"}
    assert choosers(search("bayesian"), 2) == {"fold0": ("fold0",), "fold1": ("fold1",), "final": ("final",)}
    assert choosers(search("bayesian", nested=False), 2) == {"all": ("fold0", "fold1")}
    assert choosers(search(nested=False, folds=1), 5) == {"all": ("fold0",)}
    assert choosers(search(nested=False, folds=9), 2) == {"all": ("fold0", "fold1")}


def test_folds_choose_for_themselves_and_the_final_fit_by_the_mean() -> None:
    trials = {
        0: [outcome("fold0", 0.9, 1), outcome("fold1", 0.1, 1)],
        1: [outcome("fold0", 0.2, 2), outcome("fold1", 0.8, 2)],
        2: [outcome("fold0", 0.6, 4), outcome("fold1", 0.7, 4)],
    }
    chosen = choose(search(), 2, trials)
    assert chosen is not None
    assert {name: choice.trial for name, choice in chosen.items()} == {"fold0": 0, "fold1": 1, "final": 2}
    assert chosen["final"].score == pytest.approx(0.65)
    assert refit_settings(chosen, 2, nested=True) == {
        "fold_overrides": [{"lora_rank": 1}, {"lora_rank": 2}],
        "final_epochs": 4,
    }


def test_what_other_folds_say_changes_nothing_for_a_fold() -> None:
    trials = {
        0: [outcome("fold0", 0.5, 1), outcome("fold1", 0.9, 1)],
        1: [outcome("fold0", 0.6, 2), outcome("fold1", 0.0, 2)],
    }
    before = choose(search(), 2, trials)
    for runs in trials.values():
        runs[1]["score"] = 1 - runs[1]["score"]
    after = choose(search(), 2, trials)
    assert before is not None
    assert after is not None
    assert before["fold0"] == after["fold0"]
    assert before["fold1"] != after["fold1"]


def test_a_search_that_follows_scores_has_a_study_for_the_final_fit() -> None:
    trials = {
        0: [outcome("fold0", 0.9, 1), outcome("fold1", 0.9, 1), outcome("final", 0.1, 1)],
        1: [outcome("fold0", 0.2, 2), outcome("fold1", 0.2, 2), outcome("final", 0.3, 2)],
    }
    chosen = choose(search("bayesian"), 2, trials)
    assert chosen is not None
    assert (chosen["fold0"].trial, chosen["final"].trial) == (0, 1)


def test_one_choice_for_all_where_it_is_not_nested() -> None:
    trials = {0: [outcome("all", 0.4, 1)], 1: [outcome("all", 0.5, 2)]}
    chosen = choose(search(nested=False), 2, trials)
    assert chosen is not None
    assert {choice.trial for choice in chosen.values()} == {1}
    assert refit_settings(chosen, 2, nested=False) == {"fold_overrides": None, "final_epochs": 2}


def test_equal_scores_go_to_the_lower_loss_then_to_the_earlier_trial() -> None:
    trials = {number: [outcome("fold0", 0.5, 1, loss)] for number, loss in enumerate((0.3, 0.2, 0.2))}
    best = best_of(trials, "fold0")
    assert best is not None
    assert best.trial == 1


def test_what_was_given_up_is_chosen_only_by_the_mean_and_only_if_all_were() -> None:
    trials = {
        0: [outcome("fold0", 0.9, 1, pruned_at=1), outcome("fold1", 0.9, 1)],
        1: [outcome("fold0", 0.3, 2), outcome("fold1", 0.3, 2)],
    }
    assert getattr(best_of(trials, "fold0"), "trial", None) == 1
    assert getattr(best_mean(trials, ["fold0", "fold1"]), "trial", None) == 1
    trials[1][1]["pruned_at"] = 2
    assert getattr(best_mean(trials, ["fold0", "fold1"]), "trial", None) == 0


def test_without_a_whole_trial_for_every_member_nothing_is_chosen() -> None:
    assert choose(search(), 2, {}) is None
    assert choose(search(), 2, {0: [outcome("fold0", 0.5, 1), outcome("fold1", 0.5, 1, pruned_at=1)]}) is None
    assert best_mean({0: [outcome("fold0", 0.5, 1)]}, ["fold0", "fold1"]) is None


ABSENT = {"code": "device-unavailable", "field": "device"}
TOO_LARGE = {"code": "training-refused", "field": "lora_rank"}


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ABSENT] * 3, True),
        ([ABSENT] * 2, False),
        ([TOO_LARGE] * 9, False),  # a lower rank may do
        ([ABSENT, ABSENT, TOO_LARGE], False),
        ([TOO_LARGE, ABSENT, ABSENT, ABSENT], True),
        ([{"code": "attempts-exhausted"}] * 5, False),  # nobody knows whose fault it was
        ([{"code": "too-few-groups", "field": "/folds"}] * 3, True),
    ],
)
def test_no_more_trials_are_made_where_none_could_do_better(
    errors: list[dict[str, Any]], expected: bool
) -> None:
    assert hopeless(errors, {"lora_rank"}) is expected
