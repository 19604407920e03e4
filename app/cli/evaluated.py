"""What an evaluation found, on the terminal: options, summaries or perplexity."""

from __future__ import annotations

from typing import Any

import typer

from app.cli.tables import print_table
from app.evaluations.words import ran_words, scope_words

_COUNTS = (("words", "words, mean", ".1f"), ("empty", "empty", ","), ("failed", "failed", ","))


def show(found: dict[str, Any]) -> None:
    """The tables of whichever task it was; its sentence is told at the end of the job."""
    {"summarize": _summaries, "causal": _perplexities}.get(found.get("task", "classify"), _options)(found)


def _summaries(found: dict[str, Any]) -> None:
    """A column per model and method, in percent with intervals; below it what the first has more than each other."""
    arms, titles = found["arms"], {arm["name"]: arm["title"] for arm in found["arms"]}
    rows = [
        [measure["title"], *(_percent(arm["measures"][measure["key"]]) for arm in arms)]
        for measure in found["measures"]
    ]
    rows += [[words, *(format(arm[key], form) for arm in arms)] for key, words, form in _COUNTS]
    print_table(["percent", *(arm["title"] for arm in arms)], rows)
    _differences(found, titles)
    typer.echo(f"\n{scope_words(found)}")
    for arm in arms:
        if arm.get("writing"):
            typer.echo(f"{arm['title']}: {ran_words(arm['writing'])}")


def _differences(found: dict[str, Any], titles: dict[str, str]) -> None:
    """What the evaluated model has more than each other; without one, what each method has more than Lead."""
    first = found["arms"][0]
    side, other = ("first", "second") if first["kind"] == "model" else ("second", "first")
    pairs = [pair for pair in found["differences"] if pair[side] == first["name"]]
    if not pairs:
        return
    words = ("", " minus each other") if side == "first" else ("Each other minus ", "")
    typer.echo(f"\n{words[0]}{first['title']}{words[1]}, percentage points with 95 % intervals:")
    rows = [
        [measure["title"], *(_percent(pair["measures"][measure["key"]], "+") for pair in pairs)]
        for measure in found["measures"]
    ]
    print_table(["", *(titles[pair[other]] for pair in pairs)], rows)


def _perplexities(found: dict[str, Any]) -> None:
    """A line per model."""
    rows = []
    for arm in found["arms"]:
        told = arm["perplexity"]
        ends = told["interval"]
        within = "–" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
        counts = (f"{told['documents']:,}", f"{told['tokens']:,}")
        rows.append([arm["title"], f"{told['perplexity']:.2f}", within, *counts])
    print_table(["model", "perplexity", "95 % interval", "documents", "tokens"], rows)
    typer.echo(f"\n{scope_words(found)}")


def _percent(found: dict[str, Any], sign: str = "") -> str:
    """A mean, or with "+" a difference."""
    value = found["difference" if sign else "mean"]
    if value is None:
        return "–"
    ends = found["interval"]
    within = "" if ends is None else f" ({100 * ends[0]:{sign}z.1f} to {100 * ends[1]:{sign}z.1f})"
    return f"{100 * value:{sign}z.1f}{within}"


def _options(found: dict[str, Any]) -> None:
    """Option by option, always-no beside accuracy, and the difference from what stands beside it."""
    intervals = found.get("evidence", {}).get("intervals", {}).get("options", {})
    rows = []
    for option in found["options"]:
        within = intervals.get(option["key"], {}).get("f1")
        rows.append(
            [
                option["key"],
                f"{option['positives']:,}",
                _number(option["f1"]),
                "–" if within is None else f"{within[0]:.3f} to {within[1]:.3f}",
                *(_number(option[part]) for part in ("pr_auc", "accuracy", "always_no")),
            ]
        )
    print_table(["option", "yes", "F1", "95 % interval", "PR-AUC", "accuracy", "always no"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
