"""What a request asks for as analyses, in numbers and in words, and whether its names exist. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.estimates.schemas import DifferenceBody, EstimatesBody, PrevalenceBody, RegressionBody, TermBody
from app.http.problems import Invalid
from models.estimates.panel import Analysis, Prepared, Term
from models.estimates.preparing import level_of

Columns = Mapping[str, Sequence[Any]]


def check_names(body: EstimatesBody, read: Sequence[str], options: Sequence[str], columns: set[str]) -> None:
    """Raise Invalid, naming the field, for a label that was not read, or a column that no text has.

    Args:
        body: what is asked for.
        read: options that the audit sample's readers read.
        options: every option of the corpus.
        columns: metadata and grouping keys of its texts.
    """
    for number, analysis in enumerate(body.analyses):
        at = f"/analyses/{number}"
        for where, label in _labels(analysis):
            _check_label(label, read, options, at + where)
        for where, column in _columns(analysis):
            _check_column(column, columns, at + where)
    for key in body.where:
        _check_column(key, columns, f"/where/{key}")


def _labels(analysis: PrevalenceBody | DifferenceBody | RegressionBody) -> list[tuple[str, str]]:
    if isinstance(analysis, PrevalenceBody):
        return [(f"/labels/{place}", label) for place, label in enumerate(analysis.labels or ())]
    if isinstance(analysis, DifferenceBody):
        return [("/label", analysis.label)]
    return [(f"{where}/label", term.label) for where, term in _terms(analysis) if term.label is not None]


def _columns(analysis: PrevalenceBody | DifferenceBody | RegressionBody) -> list[tuple[str, str]]:
    if isinstance(analysis, PrevalenceBody):
        return []
    if isinstance(analysis, DifferenceBody):
        return [("/between", analysis.between)]
    return [(f"{where}/column", term.column) for where, term in _terms(analysis) if term.column is not None]


def _terms(analysis: RegressionBody) -> list[tuple[str, TermBody]]:
    covariates = [(f"/covariates/{place}", term) for place, term in enumerate(analysis.covariates)]
    return [("/outcome", analysis.outcome), *covariates]


def _check_label(label: str, read: Sequence[str], options: Sequence[str], field: str) -> None:
    if label in read:
        return
    if label in options:
        raise Invalid(
            f"The option {label!r} was not read in this audit sample, or not in each of several: {', '.join(read) or 'none'} was.",
            field=field,
            slug="option-not-read",
        )
    raise Invalid(
        f"The corpus has no option {label!r}: {', '.join(options)}.", field=field, slug="unknown-option"
    )


def _check_column(column: str, columns: set[str], field: str) -> None:
    if column not in columns:
        known = ", ".join(sorted(columns)[:20]) or "its texts have none"
        raise Invalid(
            f"No text has the metadata or grouping key {column!r}: {known}.",
            field=field,
            slug="unknown-column",
        )


def analyses_of(asked: Sequence[Mapping[str, Any]], read: Sequence[str]) -> list[Analysis]:
    """The analyses of a job's parameters; a prevalence of several labels is as many analyses."""
    found: list[Analysis] = []
    for one in asked:
        kind, drop = one["kind"], one.get("missing") == "drop"
        if kind == "prevalence":
            found += [Analysis(kind, Term(label)) for label in one.get("labels") or read]
        elif kind == "difference":
            between = Term(column=one["between"], categorical=True, reference=one.get("reference"))
            found.append(Analysis(kind, Term(one["label"]), (between,), drop))
        else:
            covariates = tuple(Term(**term) for term in one["covariates"])
            found.append(Analysis(kind, Term(**one["outcome"]), covariates, drop))
    return found


def columns_at_stake(analyses: Sequence[Analysis]) -> list[str]:
    """Columns that any of them names, once each."""
    return list(dict.fromkeys(column for analysis in analyses for column in analysis.columns))


def labels_at_stake(analyses: Sequence[Analysis]) -> list[str]:
    """Labels that any of them names, once each."""
    return list(dict.fromkeys(label for analysis in analyses for label in analysis.labels))


def asked_about(columns: Columns, where: Mapping[str, Sequence[Any]], texts: int) -> NDArray[np.bool_]:
    """The texts that a filter lets through: bool (texts,)."""
    found = np.ones(texts, dtype=np.bool_)
    for key, wanted in where.items():
        names = {level_of(value) for value in wanted}
        found &= np.array(
            [value is not None and level_of(value) in names for value in columns[key]], dtype=np.bool_
        )
    return found


def plain(value: Any) -> Any:
    """A metadata value as a column holds it: true and false as 1 and 0, lists and objects as text."""
    if isinstance(value, bool):
        return int(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def words_of(analysis: Analysis) -> str:
    """An analysis in words."""
    name = analysis.outcome.label or analysis.outcome.column
    if analysis.kind == "prevalence":
        return f"share of texts with {name}"
    others = [str(term.label or term.column) for term in analysis.covariates]
    if analysis.kind == "difference":
        return f"{name} between groups of {others[0]}"
    return f"{analysis.kind} regression of {name} on {', '.join(others)}"


def preview(number: int, found: Prepared) -> dict[str, Any]:
    """What is known of an analysis before it is solved: the fields of `AnalysisPreview`, which reports repeat."""
    return {
        "number": number,
        "words": words_of(found.analysis),
        "answerable": found.refusal is None,
        "reason": found.refusal,
        "texts": int(found.inside.sum()),
        "read": found.read,
        "skipped": found.skipped,
        "left_out": found.left_out,
        "clusters": found.clusters,
        "coefficients": found.names,
        "events": {key: list(counts) for key, counts in found.events.items()},
    }
