"""The model card of an adapter: Markdown with YAML front matter, as the Hugging Face hub reads it. Standard library only; never a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.catalog import CATALOG
from models.evaluation.generative_card import generative_parts

LICENCES = {
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "Llama 2 Community License": "llama2",
}
"""The hub's names of the catalog's licences."""
_TITLES = {
    "model": "this adapter",
    "tfidf": "TF-IDF + logistic regression",
    "probe": "probe on frozen embeddings",
    "untrained": "untrained base model",
    "without_context": "this adapter on texts alone, without their neighbours",
    "wide": "its TF-IDF branch by itself",
}
_SYNTHETIC = "**The texts are synthetic**: made up by software. Its scores say nothing about real letters or judgments."


def model_card(
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> str:
    """The card, ready for README.md.

    Args:
        manifest: of the adapter.
        report: of its train job; without one the card says that nothing was measured.
        about: what is known of the corpus: corpus, synthetic, sensitive, texts, annotators, snapshot_id, labels_from.
        name: the adapter's name.
    """
    about = about or {}
    base = CATALOG.get(str(manifest["base"]["name"]))
    title = name or f"{manifest['base']['name']} adapter {str(manifest.get('digest', ''))[:8]}".strip()
    parts = [
        _front_matter(manifest, report, about, title),
        f"# {title}\n",
        *([_SYNTHETIC + "\n"] if about.get("synthetic") else []),
        *_middle(manifest, report, about),
        _made(manifest, report, about),
        _licence(base.licence if base else None, manifest),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _middle(manifest: Mapping[str, Any], report: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    """What it is for, where its labels come from, its numbers, its limits."""
    if manifest.get("task", "classify") != "classify":
        return generative_parts(manifest, report)
    return [
        _summary(manifest, report),
        _use(),
        _labels(manifest, report, about),
        _evaluation(report),
        _limits(manifest, report),
    ]


def _front_matter(
    manifest: Mapping[str, Any], report: Mapping[str, Any], about: Mapping[str, Any], title: str
) -> str:
    base = CATALOG.get(str(manifest["base"]["name"]))
    fields: dict[str, Any] = {
        "base_model": base.hub_id if base else manifest["base"]["name"],
        "library_name": "peft",
        "license": LICENCES.get(base.licence, "other") if base else "other",
    }
    if fields["license"] == "other":
        fields["license_name"] = "that-of-the-base-model"
    if base and base.languages == "English":
        fields["language"] = ["en"]
    elif base:
        fields["language"] = ["multilingual"]
    fields["pipeline_tag"] = (
        "text-classification" if manifest.get("task") == "classify" else "text-generation"
    )
    fields["tags"] = ["remand", "legal", "lora", *(["synthetic-data"] if about.get("synthetic") else [])]
    measured = _measured(report)
    if measured:
        fields["metrics"] = ["f1", "average_precision", "accuracy"]
        fields["model-index"] = [{"name": title, "results": [_result(about, measured)]}]
    # JSON is YAML, and needs no rules for quoting what people name their corpora
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", ""])


def _result(about: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    label = "synthetic texts" if about.get("synthetic") else "hand-labelled texts"
    return {
        "task": {"type": "text-classification", "name": "held-out labels"},
        "dataset": {"type": "private", "name": f"{label}, held out by group"},
        "metrics": list(measured),
    }


def _measured(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Held-out numbers in the hub's form; accuracy never without that of always answering no."""
    macro, always = report.get("macro", {}).get("model", {}), report.get("always_no", {})
    found = [
        ("f1", "macro-F1", macro.get("f1")),
        ("average_precision", "macro average precision", macro.get("pr_auc")),
        ("accuracy", "mean accuracy over options", macro.get("accuracy")),
        ("accuracy", "mean accuracy of always answering no", always.get("macro_accuracy")),
    ]
    return [
        {"type": kind, "name": words, "value": value} for kind, words, value in found if value is not None
    ]


def _summary(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    keys = manifest.get("option_keys", [])
    sentence = report.get("verdict", {}).get("sentence") or "Nothing was measured for this adapter."
    return f"Answers {len(keys)} options about a text ({_listed(keys)}) on the base model `{manifest['base']['name']}`.\n\n{sentence}\n"


def _use() -> str:
    return """## Intended use

A second reader of labels that people gave: it points to labels that are worth another look, and drafts labels for people to confirm.
It is not made to decide anything about a person, and no decision should rest on it alone.
"""


def _labels(manifest: Mapping[str, Any], report: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    facts = report.get("labels", {})
    lines = ["## How the labels arose", ""]
    lines.append(
        str(
            about.get("labels_from")
            or "People labelled the texts by a codebook; where several did, the labels are their consensus."
        )
        + " A blank is missing, never “no”; ties are missing. Labels that people settled in review stand above the consensus."
    )
    if about.get("annotators"):
        lines.append(f"Annotators: {about['annotators']}.")
    if facts:
        groups = report.get("group_count")
        lines.append(
            f"{facts.get('rows', 0):,} labelled texts{f' in {groups:,} groups' if groups else ''}, "
            f"{facts.get('missing_cells', 0):,} missing labels."
        )
    human = report.get("human_f1", {}).get("macro_f1")
    if human is not None:
        lines.append(
            f"Where two people read the same text, their macro-F1 against each other is {human:.3f}."
        )
    lines += ["", *_codebook(manifest)]
    return "\n".join(lines) + "\n"


def _codebook(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["| option | name | kind of question |", "|---|---|---|"]
    for question in manifest.get("scheme", {}).get("questions", []):
        for option in question["options"]:
            cells = (f"`{option['key']}`", option.get("name") or "–", str(question["kind"]).replace("_", " "))
            lines.append("| " + " | ".join(_cell(part) for part in cells) + " |")
    return lines


def _evaluation(report: Mapping[str, Any]) -> str:
    if not report.get("macro"):
        return "## Evaluation\n\nThe adapter came without a report.\n"
    lines = [
        "## Evaluation",
        "",
        "Held out: every text was read by a model that saw neither it, nor its group, nor a near duplicate. Means over options.",
        "",
        "| reading | F1 | average precision | accuracy |",
        "|---|---|---|---|",
    ]
    for name, macro in report["macro"].items():
        parts = (_TITLES.get(name, name), *(_number(macro.get(key)) for key in ("f1", "pr_auc", "accuracy")))
        lines.append("| " + " | ".join(parts) + " |")
    always = report.get("always_no", {})
    lines.append(
        f"| always no | {_number(0.0)} | {_number(always.get('macro_pr_auc'))} | {_number(always.get('macro_accuracy'))} |"
    )
    lines += ["", *_options(report)]
    claim = report.get("claim", {}).get("sentence")
    return "\n".join([*lines, *(["", f"The sources' claim: {claim}"] if claim else [])]) + "\n"


def _options(report: Mapping[str, Any]) -> list[str]:
    within = report.get("evidence", {}).get("intervals", {}).get("options", {})
    lines = [
        "| option | labels | yes | F1 | 95 % interval | average precision | accuracy | always no |",
        "|---" * 8 + "|",
    ]
    for option in report.get("options", []):
        found = within.get(option["key"], {}).get("f1")
        cells = (
            f"`{_cell(option['key'])}`",
            f"{option.get('support', 0):,}",
            f"{option.get('positives', 0):,}",
            _number(option.get("f1")),
            "–" if not found else f"{found[0]:.3f} to {found[1]:.3f}",
            *(_number(option.get(key)) for key in ("pr_auc", "accuracy", "always_no")),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _limits(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    lines = [
        "## Limits",
        "",
        "- Agreement with the people who labelled is not truth: a label that they get wrong together is learnt with the rest.",
        "- The numbers hold for texts like those it was trained on; other courts, years, languages or codebooks need an evaluation of their own.",
        "- Accuracy says little where always answering no is nearly as good; read F1 and average precision.",
        "- A model can give away what it was trained on: handle the adapter as confidentially as its texts.",
    ]
    if chosen := report.get("search", {}).get("sentence"):
        lines.append(f"- Its settings come of a search. {chosen}")
    encoder = manifest.get("encoder", {})
    if encoder.get("context"):
        what = (
            "has a reading of its own for texts alone"
            if encoder.get("alone")
            else "was never fitted without them"
        )
        lines.append(f"- It also reads a text's neighbours in its group, and {what}; the table has both.")
    missing = report.get("options_without_positives") or []
    if missing:
        lines.append(f"- Nothing was learnt about {_listed(missing)}: no text was labelled yes.")
    return "\n".join(lines) + "\n"


def _made(manifest: Mapping[str, Any], report: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{key} {value}" for key, value in manifest.get("versions", {}).items())
    energy = report.get("energy")
    facts = {
        "data (sha256 of the training input)": manifest.get("input_digest"),
        "label snapshot": about.get("snapshot_id"),
        "seed": manifest.get("seed"),
        "base weights (sha256)": manifest["base"].get("sha256"),
        "versions": versions or None,
        "seconds": report.get("seconds"),
        "energy": f"{energy['watt_hours']} Wh, {'an estimate: ' if energy['estimate'] else ''}{energy['method']}"
        if energy
        else None,
    }
    lines = [f"- {key}: {value}" for key, value in facts.items() if value is not None]
    return "\n".join(["## How it was made", "", *lines]) + "\n"


def _licence(licence: str | None, manifest: Mapping[str, Any]) -> str:
    base = licence or f"that of `{manifest['base']['name']}`, which Remand does not know"
    return f"## Licence\n\nThe base model's licence ({base}) binds the adapter too; so may the terms under which the texts were given.\n"


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(f"`{_cell(name)}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _cell(text: str) -> str:
    """Words of the codebook as they may stand in a table."""
    plain = " ".join(str(text).split())
    for sign in "\\|`<>[]":
        plain = plain.replace(sign, f"&#{ord(sign)};")
    return plain


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
