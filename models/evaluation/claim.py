"""The sources' claim about their models, label by label: more than 90 % accuracy on every label, more than 80 % F1 on most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ACCURACY, F1 = 0.9, 0.8


def sources_claim(options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which options reach what the sources claim, with what always answering no reaches beside it.

    Args:
        options: with key, support, positives, accuracy, f1 and always_no; options without positives are left out.

    Returns:
        {options: [{key, accuracy, always_no, f1, accuracy_above, always_no_above, f1_above}], counts, sentence}.
    """
    rows = [
        {
            "key": option["key"],
            "accuracy": option["accuracy"],
            "always_no": option["always_no"],
            "f1": option["f1"],
            "accuracy_above": option["accuracy"] > ACCURACY,
            "always_no_above": option["always_no"] > ACCURACY,
            "f1_above": option["f1"] > F1,
        }
        for option in options
        if option.get("support") and option.get("positives")
    ]
    counts = {
        name: sum(bool(row[name]) for row in rows)
        for name in ("accuracy_above", "always_no_above", "f1_above")
    }
    return {
        "options": rows,
        "counts": {"options": len(rows), **counts},
        "reached": bool(rows)
        and counts["accuracy_above"] == len(rows)
        and counts["f1_above"] * 2 > len(rows),
        "sentence": _sentence(len(rows), counts),
    }


def _sentence(total: int, counts: Mapping[str, int]) -> str:
    if not total:
        return "No option has a positive label, so nothing can be said about the sources' claim."
    return (
        f"More than 90 % accuracy on {counts['accuracy_above']} of {total} options, where always answering no has it on "
        f"{counts['always_no_above']}; F1 above .8 on {counts['f1_above']}."
    )
