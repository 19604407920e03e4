"""When an adapter is promoted by itself, and what an imported one must be. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.adapters.gate import Check, GateRules, Present, failures, run_checks
from app.http.problems import Invalid

TASKS = ("classify", "summarize", "causal")


MADE_TO = {"classify": "classify", "summarize": "summarize", "causal": "write on from a prompt"}
"""What an adapter of a task was made to do."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whether an adapter is promoted, and why (not), in words."""

    promoted: bool
    reason: str
    checks: tuple[Check, ...] = ()


def macro_f1(report: Mapping[str, Any]) -> float | None:
    """Held-out macro-F1 in a train job's report; None where it has none."""
    found = report.get("macro", {}).get("model", {}).get("f1")
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def beats_baselines(report: Mapping[str, Any]) -> bool:
    """What the report says about the baselines; False where it says nothing."""
    return report.get("verdict", {}).get("beats_baselines") is True


def compared_with_baselines(report: Mapping[str, Any]) -> bool | None:
    """What the report says about the baselines; None where none was compared: of what writes text there is none."""
    found = report.get("verdict", {}).get("beats_baselines")
    return found if isinstance(found, bool) else None


def generative_change(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """{measure, before, after} of training on held-out documents: ROUGE-L where it was measured, else perplexity, of pairs the loss; None without."""
    places = {
        "rouge_l": ("rouge", "{}", "rouge_l"),
        "perplexity": ("perplexity", "{}", "perplexity"),
        "loss": ("loss_{}",),
    }
    if report.get("task") != "causal":
        del places["perplexity"]  # said of pairs, too, and of no use there
    for measure, place in places.items():
        before, after = (
            _number(report.get("result"), [part.format(when) for part in place])
            for when in ("before", "after")
        )
        if before is not None and after is not None:
            return {"measure": measure, "before": before, "after": after}
    return None


def _number(found: Any, place: Sequence[str]) -> float | None:
    """A finite number in a report, which may come from elsewhere; None where there is none."""
    for part in place:
        found = found.get(part) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def promotion(
    report: Mapping[str, Any], present: Present | None = None, rules: GateRules | None = None
) -> Promotion:
    """Promote what passes every check of the gate (`app.adapters.gate`).

    Args:
        report: of the new adapter.
        present: the promoted adapter; None: there is none.
        rules: of the operator.
    """
    checks = run_checks(report, present, rules)
    failed = failures(checks)
    if failed:
        return Promotion(False, f"Not promoted. {' '.join(check.words for check in failed)}", checks)
    if rules is not None and not rules.automatic:
        reason = "Not promoted by itself, because the operator wants people to promote (REMAND_GATE_AUTOMATIC); it passes every check."
        return Promotion(False, reason, checks)
    before = " The corpus had no promoted adapter." if present is None else ""
    return Promotion(True, f"Promoted: {' '.join(check.words for check in checks)}{before}", checks)


def check_options(option_keys: Sequence[str], known: Sequence[str]) -> None:
    """Raise Invalid when an adapter answers options that the corpus does not have."""
    foreign = [key for key in option_keys if key not in known]
    if foreign:
        raise Invalid(
            f"The adapter answers {len(foreign)} options that the corpus does not have, such as {foreign[0]!r}: import it without a "
            "corpus, or add these options to the scheme.",
            field="corpus",
            slug="foreign-options",
            options=foreign[:50],
        )


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise Invalid when a verified manifest lacks what serving needs; names the member."""
    if manifest.get("task") not in TASKS:
        raise _lacking("task", f"one of {', '.join(TASKS)}")
    base = manifest.get("base")
    if not isinstance(base, Mapping) or not isinstance(base.get("name"), str):
        raise _lacking("base.name", "the name of the base model")
    keys = manifest.get("option_keys")
    if manifest["task"] != "classify" and keys == []:  # generative adapters answer no options
        return
    if not (isinstance(keys, list) and keys and all(isinstance(key, str) for key in keys)):
        raise _lacking("option_keys", "the list of options")
    if not isinstance(manifest.get("scheme"), Mapping):
        raise _lacking("scheme", "the scheme of its options")


def _lacking(member: str, meaning: str) -> Invalid:
    return Invalid(f"manifest.json lacks {member!r}, {meaning}.", field="file", slug="adapter-invalid")
