"""The middle of a generative adapter's model card: what it is for, what it learned from, held-out numbers, limits. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MADE_TO = {
    "causal": "continues text in the manner of the documents it was trained on",
    "summarize": "summarizes texts as the pairs it was trained on do",
}


def generative_parts(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    """The card's sections between its title and how it was made, for the tasks causal and summarize."""
    base = manifest["base"]["name"]
    words = str(report.get("sentence") or "Nothing was measured for this adapter.")
    return [
        f"Low-rank adapter ({manifest.get('method', 'lora')}) on `{base}`; it {_MADE_TO[manifest['task']]}.\n\n{words}\n",
        (
            "## Intended use\n\nDrafts for people who check them against the source. What it writes can be wrong, and sound right; it is no "
            "legal advice, and no decision about a person should rest on it.\n"
        ),
        _learned_from(report),
        _evaluation(report),
        (
            "## Limits\n\n- The numbers hold for documents like the held-out ones.\n- Perplexity depends on the tokenizer: compare it on one "
            "base model only. ROUGE-L counts common words, not truth.\n- It can repeat what it was trained on word for word: handle it as "
            "confidentially as its documents.\n"
        ),
    ]


def _learned_from(report: Mapping[str, Any]) -> str:
    counts = report.get("documents", {})
    names = {
        "used": "documents used", "train_documents": "trained on", "stopping_documents": "for early stopping",
        "held_out_documents": "held out", "exact_duplicates_dropped": "dropped, equal to a held-out one",
        "near_duplicates_dropped": "dropped, nearly equal to a held-out one", "repeated": "repeated", "empty": "empty",
    }  # fmt: skip
    lines = [f"- {words}: {counts[name]:,}" for name, words in names.items() if name in counts]
    return "## What it learned from\n\n" + "\n".join(lines or ["Nothing is known of its documents."]) + "\n"


def _evaluation(report: Mapping[str, Any]) -> str:
    result = report.get("result", {})
    rows = []
    for name, key, words in (
        ("perplexity", "perplexity", "perplexity per token"),
        ("rouge", "rouge_l", "ROUGE-L"),
    ):
        if name not in result:
            continue
        for when in ("before", "after"):
            low, high = result[name][when]["interval"]
            rows.append(f"| {words} | {when} training | {result[name][when][key]} | {low} to {high} |")
    if not rows:
        return "## Evaluation\n\nThe adapter came without a report.\n"
    head = "| held-out | | value | 95 % interval, by document |\n|---|---|---|---|"
    return "\n".join(["## Evaluation\n", head, *rows, ""])
