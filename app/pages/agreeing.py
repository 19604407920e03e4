"""The page of agreement between annotators."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.annotators.schemas import AgreementAnswer
from app.db.tables import Corpus
from app.http.security import Principal
from app.pages import charts
from app.pages.render import page


def agreement_page(
    request: Request, caller: Principal, corpus: Corpus, found: AgreementAnswer
) -> HTMLResponse:
    """Coefficients of every group with their intervals, and the shared texts of every pair."""
    rows = [
        [
            {
                "key": cell.option or cell.question,
                "value": (told := cell.groups[number]).alpha.value,
                "interval": None if told.alpha.low is None else [told.alpha.low, told.alpha.high],
                "mark": told.fleiss.value,
            }
            for cell in found.cells
        ]
        for number in range(len(found.groups))
    ]
    return page(request, "agreement.html", caller, corpus=corpus, found=found, rows=rows, charts=charts)
