"""A search as its page shows it: the columns of its trials, their order, and what was chosen. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from app.http.problems import Invalid
from app.training.search_schemas import MemberScore, TrialAnswer
from app.training.search_view import member_order

FINAL = "final"
OVER = frozenset({"complete", "pruned", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Score:
    """What a trial came to on one inner split."""

    score: float
    best_epoch: int
    epochs: int
    given_up: bool


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial as a row of the table."""

    trial: TrialAnswer
    scores: Mapping[str, Score]
    """By split; those that it has not come to are missing."""
    parameters: Mapping[str, Mapping[str, Any]]
    """One set under the name "", or by split where each tries its own."""

    @property
    def best_epoch(self) -> float | None:
        """The median over its splits."""
        return median(found.best_epoch for found in self.scores.values()) if self.scores else None

    @property
    def epochs(self) -> int | None:
        """Epochs read in all."""
        return sum(found.epochs for found in self.scores.values()) if self.scores else None

    @property
    def given_up(self) -> list[str]:
        """Splits on which it was ended early, and after which epoch: `fold 2 after 3`."""
        return [
            f"{spoken(name)} after {found.epochs}" for name, found in self.scores.items() if found.given_up
        ]

    @property
    def whole(self) -> bool:
        """Whether its mean is over every split, each carried to the end: what may be compared with others."""
        return self.trial.state == "complete" and not any(found.given_up for found in self.scores.values())


def spoken(member: str) -> str:
    """`fold0` as people read it: fold 1; `final` as the final fit."""
    if member == FINAL:
        return "final fit"
    return f"fold {int(member.removeprefix('fold')) + 1}" if member.startswith("fold") else member


def setting(value: Any) -> str:
    """A parameter's value: numbers to three digits, `{"kind": "focal", "gamma": 2}` as focal, gamma 2."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping) and "kind" in value:
        rest = [f"{name} {setting(found)}" for name, found in value.items() if name != "kind"]
        return ", ".join([str(value["kind"]), *rest])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def space_rows(space: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every parameter that is searched, and its values in words."""
    return [(name, _dimension(found)) for name, found in space.items()]


def _dimension(found: Mapping[str, Any]) -> str:
    if found["type"] == "choice":
        return " · ".join(setting(value) for value in found["values"])
    words = f"{setting(found['low'])} to {setting(found['high'])}"
    kind = ", whole numbers" if found["type"] == "int" else ""
    steps = f", {found['steps']} values" if found.get("steps") else ""
    step = f", every {found['step']}" if found.get("step", 1) != 1 else ""
    return words + kind + steps + step + (", logarithmic" if found.get("log") else "")


def trial_row(trial: TrialAnswer) -> TrialRow:
    """A trial's row."""
    scores = {name: found for member in trial.members for name, found in _scores(member)}
    if trial.parameters is not None:
        parameters = {"": trial.parameters}
    else:
        parameters = {member.member: member.parameters for member in trial.members}
    return TrialRow(trial, scores, parameters)


def _scores(member: MemberScore) -> Iterable[tuple[str, Score]]:
    if member.score is None:
        return
    if not member.folds:
        yield (
            member.member,
            Score(member.score, member.best_epoch or 0, member.epochs or 0, member.pruned_at is not None),
        )
    for place, found in enumerate(
        member.folds
    ):  # of a mean over several, the last is the one that was given up
        last = member.pruned_at is not None and place == len(member.folds) - 1
        yield found["fold"], Score(found["score"], found["best_epoch"], found["epochs"], last)


def splits_of(rows: Sequence[TrialRow], wanted: Iterable[str]) -> list[str]:
    """The columns of scores: splits that trials are asked for or have come to, folds in order, the final fit's last."""
    return sorted({*wanted, *(name for row in rows for name in row.scores)} - {"all"}, key=member_order)


def in_order(rows: Sequence[TrialRow], wanted: str, splits: Sequence[str]) -> list[TrialRow]:
    """Rows sorted by a column, those without a value last. Invalid for a column that is not there.

    wanted: `number`, `state`, `mean`, `epochs`, `best_epoch`, `seconds` or a split, with `-` before it from the highest on.
    """
    name, reverse = wanted.removeprefix("-"), wanted.startswith("-")
    known = ("number", "state", "mean", "best_epoch", "epochs", "seconds", *splits)
    if name not in known:
        raise Invalid(f"Trials are sorted by {', '.join(known)}, not by {name[:40]!r}.", field="sort")
    valued = [(value, row) for row in rows if (value := _value(row, name)) is not None]
    missing = [row for row in rows if _value(row, name) is None]
    valued.sort(
        key=lambda pair: pair[0], reverse=reverse
    )  # stable: equal ones stay in the order they were made
    return [row for _, row in valued] + missing


def _value(row: TrialRow, name: str) -> Any:
    if name in {"number", "state", "mean", "seconds"}:
        return getattr(row.trial, name)
    if name in {"best_epoch", "epochs"}:
        return getattr(row, name)
    found = row.scores.get(name)
    return None if found is None else found.score


def chosen_rows(chosen: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What was chosen for each member, and how far its inner score carried.

    report: the `search` of the adapter's report; None as long as there is none.
    """
    carried = ((report or {}).get("average_precision") or {}).get("folds") or []
    found = {f"fold{entry['fold']}": entry for entry in carried}
    return [
        {"member": name, **chosen[name], "carried": found.get(name)}
        for name in sorted(chosen, key=member_order)
    ]
