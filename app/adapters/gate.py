"""The promotion gate: what an adapter must show before it is promoted by itself, check by check with its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MARGIN = 0.05
"""F1 that an option may be worse, when no setting says otherwise."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """What the operator asks of the gate (REMAND_GATE_…)."""

    margin: float = MARGIN
    """F1 that an option may be worse than the promoted adapter's or TF-IDF's; worse beyond it must also be beyond chance."""
    options: bool = True
    """Whether single options are checked at all."""
    automatic: bool = True
    """Whether a train job promotes what passes."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `passed` None: there were no numbers to check by, which holds nobody back but is said."""

    name: str
    passed: bool | None
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Present:
    """The adapter that is promoted now, and how the new one compares with it."""

    report: Mapping[str, Any]
    lacking: Sequence[str] = ()
    """Options that it answers and the new one does not."""
    comparison: Mapping[str, Any] | None = None
    """`models.evaluation.paired.compare_sides`, new minus promoted, on cells that both hold out; None where there are none."""


def run_checks(
    report: Mapping[str, Any], present: Present | None, rules: GateRules | None = None
) -> tuple[Check, ...]:
    """Every check of the gate.

    Args:
        report: of the adapter that asks to be promoted.
        present: None where its corpus has no promoted adapter.
        rules: of the operator.
    """
    rules = rules or GateRules()
    checks = [_baselines(report)]
    if rules.options:
        checks.append(_against_tfidf(report, rules.margin))
    if not held_out_honestly(report):
        checks.append(_too_good(present))
    if present is not None:
        checks += [_no_option_lacking(present), _macro(report, present)]
        if rules.options:
            checks.append(_against_promoted(present, rules.margin))
    return tuple(checks)


def held_out_honestly(report: Mapping[str, Any]) -> bool:
    """Whether held-out scores owe nothing to rows that settings were chosen by: True unless a search with `nested: false` chose them."""
    search = report.get("search")
    return not (isinstance(search, Mapping) and search.get("nested") is False)


def passed(checks: Sequence[Check]) -> bool:
    """Whether no check failed."""
    return all(check.passed is not False for check in checks)


def failures(checks: Sequence[Check]) -> list[Check]:
    """The checks that failed."""
    return [check for check in checks if check.passed is False]


def _baselines(report: Mapping[str, Any]) -> Check:
    verdict = report.get("verdict", {})
    sentence = str(verdict.get("sentence", "")).strip()
    numbers = {"comparisons": list(verdict.get("comparisons", []))}
    if verdict.get("beats_baselines") is True:
        return Check(
            "beats-baselines",
            True,
            f"Its macro-F1 is above that of every baseline. {sentence}".strip(),
            numbers,
        )
    why = f": {sentence}" if sentence else ", or its report does not say so."
    return Check("beats-baselines", False, f"It does not beat both baselines{why}", numbers)


def _against_tfidf(report: Mapping[str, Any], margin: float) -> Check:
    options = report.get("paired", {}).get("tfidf", {}).get("options")
    return _options("options-against-tfidf", "the TF-IDF baseline", options, margin)


def _against_promoted(present: Present, margin: float) -> Check:
    options = None if present.comparison is None else present.comparison.get("options")
    return _options("options-against-promoted", "the promoted adapter", options, margin)


def _options(name: str, other: str, options: Sequence[Mapping[str, Any]] | None, margin: float) -> Check:
    """Fails where an option's F1 is lower by more than the margin and the 95 % interval by group lies below zero."""
    if not options:
        return Check(
            name, None, f"Not checked: no option was read by it and {other} on the same held-out cells."
        )
    rows = [
        {
            "key": option["key"],
            "difference": option["f1"]["difference"],
            "interval": option["f1"]["interval"],
            "worse": _worse(option["f1"], margin),
        }
        for option in options
    ]
    worse = [str(row["key"]) for row in rows if row["worse"]]
    numbers = {"margin": margin, "options": rows}
    if worse:
        words = f"Beyond chance more than {margin:g} F1 worse than {other} on {', '.join(worse)}."
        return Check(name, False, words, numbers)
    words = f"No option is beyond chance more than {margin:g} F1 worse than {other} ({len(rows)} compared)."
    return Check(name, True, words, numbers)


def _worse(f1: Mapping[str, Any], margin: float) -> bool:
    difference, within = f1.get("difference"), f1.get("interval")
    return difference is not None and difference < -margin and within is not None and within[1] < 0


def _too_good(present: Present | None) -> Check:
    """Of an adapter whose settings were chosen by rows that it is scored on: it does not take the place of one that was scored honestly."""
    why = (
        "Its settings come of a search that was not nested and chose by rows that folds hold out, so its held-out scores are a little "
        "too good"
    )
    if present is None:
        return Check(
            "honest-score", None, f"{why}; there is no promoted adapter that this would be unfair to."
        )
    if not held_out_honestly(present.report):
        return Check("honest-score", True, f"{why}; so are the promoted adapter's, for the same reason.")
    words = (
        f"{why}, those of the promoted adapter are not. It takes that place by itself only with a nested search; or evaluate both on "
        "texts that neither was trained on, and promote it by hand with an override."
    )
    return Check("honest-score", False, words)


def _no_option_lacking(present: Present) -> Check:
    if not present.lacking:
        return Check("no-option-lacking", True, "It answers every option that the promoted adapter answers.")
    count = len(present.lacking)
    words = f"The promoted adapter also answers {count} options that this one does not, such as {present.lacking[0]!r}."
    return Check("no-option-lacking", False, words, {"lacking": list(present.lacking)[:50]})


def _macro(report: Mapping[str, Any], present: Present) -> Check:
    """On the same cells where there are some, else by what both reports say of their own rows."""
    found = (present.comparison or {}).get("macro", {}).get("f1")
    if found and found.get("difference") is not None:
        new, old = found["first"], found["second"]
        words = (
            f"Held-out macro-F1 is {new:.3f}, that of the promoted adapter is {old:.3f}, on the same cells."
        )
        return Check(
            "macro-against-promoted", found["difference"] >= 0, words + _unfair(report, present), dict(found)
        )
    new, old = (_macro_f1(part) for part in (report, present.report))
    if new is None or old is None:
        words = "Not checked: there is no macro-F1 of both on any rows."
        return Check("macro-against-promoted", None, words)
    words = (
        f"Held-out macro-F1 is {new:.3f}, that of the promoted adapter is {old:.3f}, each on its own rows."
    )
    numbers = {"first": new, "second": old}
    return Check("macro-against-promoted", new >= old, words + _unfair(report, present), numbers)


def _unfair(report: Mapping[str, Any], present: Present) -> str:
    """What is said where the promoted adapter's score, and not the new one's, is too good."""
    if held_out_honestly(present.report) or not held_out_honestly(report):
        return ""
    return " The latter is a little too good, because its search was not nested."


def _macro_f1(report: Mapping[str, Any]) -> float | None:
    found = report.get("macro", {}).get("model", {}).get("f1")
    return float(found) if isinstance(found, int | float) else None
