"""The page of estimates: every analysis with its intervals drawn, the naive estimates beside, refusals with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.db.session import AnySession
from app.db.tables import Estimates
from app.estimates.figures import told
from app.http.security import Principal
from app.pages import charts, queries
from app.pages.render import page


def estimates_page(request: Request, caller: Principal, db: AnySession, found: Estimates) -> HTMLResponse:
    """What an estimates job found."""
    return page(
        request,
        "estimates.html",
        caller,
        found=found,
        report=found.document,
        corpus=queries.corpus_row(db, found.corpus_id),
        charts=charts,
        drawn=drawn,
        told=told,
        disagrees=disagrees,
    )


def drawn(analysis: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the chart: every estimate with its interval, the naive one as the mark. An intercept is not drawn beside its slopes."""
    rows = [
        {
            "key": one["name"],
            "value": one["value"],
            "interval": [one["low"], one["high"]],
            "mark": one["naive"],
        }
        for one in analysis["estimates"]
    ]
    return rows[1:] if analysis["kind"] in {"linear", "logistic"} else rows


def disagrees(one: Mapping[str, Any]) -> bool:
    """Whether the naive estimate lies outside the interval."""
    return one["naive"] is not None and not one["low"] <= one["naive"] <= one["high"]
