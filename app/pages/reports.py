"""The pages of evidence: an adapter's report, an evaluation, and two adapters side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.adapters.comparing import Shared, disagreeing_ids
from app.adapters.queries import decisions_on
from app.db.session import AnySession
from app.db.tables import Adapter, Evaluation
from app.evaluations.queries import evaluations_of
from app.evaluations.words import ran_words, scope_words
from app.http.security import Principal
from app.pages import charts, queries
from app.pages.box_plots import box_plot, panels
from app.pages.errors import wants_page
from app.pages.render import FOLDER, page

__all__ = ["adapter_page", "comparison_page", "evaluation_page", "wants_page"]

TITLES = {
    "model": "this model",
    "tfidf": "TF-IDF + logistic regression",
    "probe": "probe on frozen embeddings",
    "untrained": "untrained base model",
    "without_context": "this model on texts alone, without their neighbours",
    "wide": "its wide branch by itself",
    "compared": "the other adapter",
}
SHORT = {
    "model": "model",
    "tfidf": "TF-IDF",
    "probe": "probe",
    "untrained": "untrained",
    "without_context": "no neighbours",
    "wide": "wide alone",
    "compared": "other",
}


def adapter_page(
    request: Request, caller: Principal, db: AnySession, adapter_id: str, *, standalone: bool = False
) -> HTMLResponse:
    """An adapter's report; NotFound when this key reaches none.

    standalone: with the style inside, to be kept as a file.
    """
    row = queries.adapter(db, adapter_id, caller)
    return page(
        request,
        "report.html",
        caller,
        adapter=row,
        report=row.report,
        decisions=decisions_on(db, adapter_id),
        evaluations=evaluations_of(db, adapter_id, caller),
        **_tools(standalone=standalone),
    )


def evaluation_page(request: Request, caller: Principal, db: AnySession, found: Evaluation) -> HTMLResponse:
    """What an evaluation found."""
    corpus, document = queries.corpus_row(db, found.corpus_id), found.document
    if found.task != "classify":
        return page(
            request, "generated_evaluation.html", caller, evaluation=found, report=document, corpus=corpus, panels=panels, box_plot=box_plot,
            titles={arm["name"]: arm["title"] for arm in document["arms"]}, ran_words=ran_words, scope_words=scope_words,
        )  # fmt: skip
    other = document.get("compare_with")
    titles = TITLES | ({"compared": other["name"]} if other else {})
    if document.get("adapter") is None:
        titles |= {"model": f"untrained {document['base']}"}
    return page(
        request,
        "evaluation.html",
        caller,
        evaluation=found,
        report=document,
        corpus=corpus,
        **(_tools() | {"titles": titles}),
    )


def comparison_page(
    request: Request,
    caller: Principal,
    first: Adapter,
    second: Adapter,
    found: Mapping[str, Any],
    shared: Shared,
) -> HTMLResponse:
    """Two adapters on the cells that both hold out; ids of cells they decide differently for those who review."""
    ids = disagreeing_ids(shared) if caller.role != "reader" else []
    rows = [
        {"key": option["key"], "value": option["f1"]["difference"], "interval": option["f1"]["interval"]}
        for option in found["options"]
    ]
    return page(
        request,
        "comparison.html",
        caller,
        first=first,
        second=second,
        found=found,
        rows=rows,
        ids=ids,
        **_tools(),
    )


def option_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """F1 of each option with its interval, and TF-IDF's as the mark."""
    within = report.get("evidence", {}).get("intervals", {}).get("options", {})
    return [
        {
            "key": option["key"],
            "value": option.get("f1"),
            "interval": within.get(option["key"], {}).get("f1"),
            "mark": option.get("beside", {}).get("tfidf", {}).get("f1"),
        }
        for option in report.get("options", [])
    ]


def in_order(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Readings in the order of TITLES: Postgres keeps the keys of JSON in an order of its own."""
    known = list(TITLES)
    return sorted(found.items(), key=lambda item: known.index(item[0]) if item[0] in known else len(known))


def _tools(*, standalone: bool = False) -> dict[str, Any]:
    """What the templates of evidence use."""
    style = (FOLDER / "static" / "remand.css").read_text(encoding="utf-8") if standalone else None
    return {
        "charts": charts,
        "titles": TITLES,
        "short": SHORT,
        "option_rows": option_rows,
        "in_order": in_order,
        "inline_style": style,
    }
