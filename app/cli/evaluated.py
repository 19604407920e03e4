"""What an evaluation found, on the terminal: options, summaries or perplexity."""

from __future__ import annotations

from typing import Any

_SHOWN = ("rouge1", "rouge2", "rougeL", "rougeLsum", "bertscore", "numbers", "names", "supported")


def show(found: dict[str, Any]) -> None:
    """The table of whichever task it was."""
    {"summarize": _summaries, "causal": _perplexities}.get(found.get("task", "classify"), _options)(found)


def _summaries(found: dict[str, Any]) -> None:
    """A line per model and method, in percent with intervals."""
    from rich.console import Console
    from rich.table import Table

    titles = {
        measure["key"]: measure["title"].split(" found")[0].split(" supp")[0] for measure in found["measures"]
    }
    table = Table("summary", *(titles[key] for key in _SHOWN), "words", box=None)
    for arm in found["arms"]:
        cells = [_percent(arm["measures"][key]) for key in _SHOWN]
        table.add_row(arm["title"], *cells, f"{arm['words']:.1f}")
    Console().print(table)


def _perplexities(found: dict[str, Any]) -> None:
    """A line per model."""
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "perplexity", "95 % interval", "documents", "tokens", box=None)
    for arm in found["arms"]:
        told = arm["perplexity"]
        ends = told["interval"]
        within = "–" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
        table.add_row(
            arm["title"], f"{told['perplexity']:.2f}", within, f"{told['documents']:,}", f"{told['tokens']:,}"
        )
    Console().print(table)


def _percent(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return "–"
    ends = found["interval"]
    within = "" if ends is None else f" ({100 * ends[0]:.0f}–{100 * ends[1]:.0f})"
    return f"{100 * found['mean']:.1f}{within}"


def _options(found: dict[str, Any]) -> None:
    """Option by option, always-no beside accuracy, and the difference from what stands beside it."""
    from rich.console import Console
    from rich.table import Table

    intervals = found.get("evidence", {}).get("intervals", {}).get("options", {})
    table = Table("option", "yes", "F1", "95 % interval", "PR-AUC", "accuracy", "always no", box=None)
    for option in found["options"]:
        within = intervals.get(option["key"], {}).get("f1")
        table.add_row(
            option["key"],
            f"{option['positives']:,}",
            _number(option["f1"]),
            "–" if within is None else f"{within[0]:.3f} to {within[1]:.3f}",
            *(_number(option[part]) for part in ("pr_auc", "accuracy", "always_no")),
        )
    Console().print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
