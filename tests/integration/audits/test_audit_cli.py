"""`remand audit` against the served app: plan, draw, read blind in the terminal, close, tell, release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from app.cli.audit_reading import ask
from app.cli.audit_words import result_words
from app.cli.main import build
from tests.audits import truth_of
from tests.integration.review_corpus import Built
from tests.served import served_app


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended; the served app writes its log into the same stream."""

    stdout: str
    output: str
    exit_code: int


Run = Callable[..., Said]


def invoke(*arguments: str, keys: str | None = None) -> Said:
    found = CliRunner().invoke(build(), ["audit", *arguments], input=keys)
    lines = [line for line in found.stdout.splitlines(keepends=True) if not line.startswith('{"method"')]
    return Said("".join(lines), found.output, found.exit_code)


@pytest.fixture
def remand(built: Built, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`remand("vera", …)`: `remand audit` with a person's key."""
    with served_app() as address:
        monkeypatch.setenv("REMAND_URL", address)

        def run(person: str, *arguments: str, keys: str | None = None) -> Said:
            monkeypatch.setenv("REMAND_API_KEY", built.keys[person])
            return invoke(*arguments, keys=keys)

        yield run


def typed(shown: str) -> str:
    """The keys that answer truthfully for the text that was shown, and no note."""
    number = int(shown.split("── letter-", 1)[1].split(maxsplit=1)[0])
    true = truth_of(number)
    choice = {"granted": "1", "denied": "2", "open": "3"}[str(true["outcome"])]
    said = [str(true["remorse"])[0], str(true["dependants"]), choice]  # a letter or the word
    return "\n".join([*said, "", ""])


def test_a_whole_audit_in_the_terminal(remand: Run) -> None:
    plan = remand("ada", "plan", "--corpus", "letters", "--n", "3", "--design", "random")
    assert "3 of 60 texts, random, 3 readings" in plan.stdout
    assert "not certifiable at this budget" in plan.stdout
    drawn = remand("ada", "draw", "--corpus", "letters", "--n", "3", "--design", "random", "--name", "small", "--seed", "1", "--json")  # fmt: skip
    sample = json.loads(drawn.stdout)
    early = remand("ada", "result", "small")
    assert early.exit_code == 1
    assert "still being read" in early.output
    for _ in range(3):  # each call reads one text more and leaves
        shown = remand("vera", "read", "small", keys="?\nq\n")
        assert "The writer regrets the act." in shown.stdout
        assert "What you have read is recorded, but for the text that is shown." in shown.stdout
        done = remand("vera", "read", "small", keys=typed(shown.stdout) + "q\n")
        assert done.exit_code == 0, done.output
    assert "Nothing is left for you to read here." in done.stdout
    assert "vera (reader): 3 read" in remand("ada", "status", sample["id"]).stdout
    closed = remand("ada", "close", "small")
    assert "9 labels were found wrong" in closed.stdout
    assert "all options" in closed.stdout
    assert "Annotators against what was settled:" in closed.stdout
    assert "of 9 labels differ, 3 texts; too few" in closed.stdout
    told = json.loads(remand("rita", "result", "small", "--json").stdout)
    assert told["seal"] == sample["seal"]
    released = remand("ada", "release", "small")
    assert "9 settled values are reviews now" in released.stdout
    assert "released" in remand("ada", "status").stdout


def test_what_stopping_costs_with_and_without_a_server(remand: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    there = remand("ada", "stop-cost", "--at-most", "6", "--corpus", "letters", "--json")
    here = remand("ada", "stop-cost", "--at-most", "6", "--remainder", "60", "--json")
    assert json.loads(there.stdout) == json.loads(here.stdout)
    monkeypatch.setenv("REMAND_URL", "http://127.0.0.1:9")
    plain = invoke("stop-cost", "--at-most", "100", "--remainder", "29000")
    assert "0 wrong found: 847 texts to read" in plain.stdout
    assert invoke("stop-cost", "--at-most", "3").exit_code == 2
    empty = invoke("stop-cost", "--at-most", "60", "--remainder", "60")
    assert empty.exit_code == 2
    assert "claim fewer than 60" in empty.output


def test_a_plan_is_named_as_its_samples_are(remand: Run) -> None:
    told = remand(
        "ada", "draw", "--corpus", "letters", "--at-most", "20", "--looks", "2", "--name", "first look"
    )
    assert "look 1 of 2" in told.stdout
    again = remand("ada", "draw", "--corpus", "letters", "--plan", "first look")
    assert "(first look) is still being read: close it first" in again.output
    assert (
        "There is no audit sample 'second'"
        in remand("ada", "plan", "--corpus", "letters", "--plan", "second").output
    )


def test_options_that_would_be_ignored_are_refused(remand: Run) -> None:
    plan = ("plan", "--corpus", "letters", "--n", "20")
    for more, said in (
        (("--looks", "2"), "say --at-most, too"),
        (("--plan", "aud_x", "--at-most", "3"), "leave them out"),
        (("--plan", "aud_x", "--alpha", ".01"), "leave them out"),
    ):
        refused = remand("ada", *plan, *more)
        assert refused.exit_code == 2
        assert said in refused.output
    assert (
        "`bands` belong to a stratified design"
        in remand("ada", *plan, "--design", "random", "--bands", "3").output
    )
    told = json.loads(
        remand("ada", *plan, "--bands", "3", "--certify", ".4", "--readers", "2", "--json").stdout
    )
    assert len(told["strata"]) <= 3
    assert not any(found["not_certifiable"] for found in told["certifiable"] if found["read"] > 5)
    drawn = ("draw", "--corpus", "letters", "--n", "3", "--readers", "2", "--no-adjudicator", "--json")
    assert json.loads(remand("ada", *drawn).stdout)["adjudicator"] is False


def test_long_names_of_options_stay_apart() -> None:
    estimate = {
        "labels": 40, "read": 20, "found": 1, "total": 2.0, "low": 1.0, "high": 4.0,
        "plain": {"total": 2.0}, "naive": {"total": None},
    }  # fmt: skip
    values = [{"value": value, "estimate": estimate, "not_certifiable": None} for value in ("yes", "no")]
    option = {"key": "addiction_treatment_ordered", "estimate": estimate, "values": values}
    rows = result_words({"words": [], "labels": estimate, "options": [option]})
    assert any("addiction_treatment_ordered = yes " in row for row in rows)
    assert any("addiction_treatment_ordered = no " in row for row in rows)
    assert len({row.index(" 40") for row in rows[2:]}) == 1


def test_an_option_called_skip_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [{"key": key, "name": key, "definition": ""} for key in ("keep", "skip")]
    cell = {"key": "advice", "name": "Advice", "definition": "", "choices": choices}
    text = {"external_id": "1", "place": 1, "content": "Well.", "shown_before": False, "cells": [cell]}
    for keys, body in (("2", {"values": {"advice": "skip"}, "note": ""}), ("skip", {"skip": True})):
        typed_keys = iter([keys, ""])
        monkeypatch.setattr("typer.prompt", lambda *_words, answers=typed_keys, **_options: next(answers))
        assert ask(text, {"texts": 1}) == body
