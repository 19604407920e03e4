"""The pages of annotators: how far they agree with each other, and with the consensus."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.annotators.queries import ValueChoices
from app.annotators.schemas import AgreementAnswer, AnnotatorsAnswer, JudgedTeamAnswer, ValuesQuery
from app.db.tables import Corpus
from app.http.security import Principal
from app.pages import charts
from app.pages.deciding import names_of
from app.pages.render import page
from models.scheme import Scheme


def agreement_page(
    request: Request,
    caller: Principal,
    corpus: Corpus,
    found: AgreementAnswer,
    scheme: Scheme,
    choices: ValueChoices,
    asked: ValuesQuery,
) -> HTMLResponse:
    """Coefficients of every group with their intervals, and the shared texts of every pair."""
    names = names_of(scheme)
    rows = [
        [
            {
                "key": names[cell.option or cell.question],
                "value": (told := cell.groups[number]).alpha.value,
                "interval": None if told.alpha.low is None else [told.alpha.low, told.alpha.high],
                "mark": told.fleiss.value,
            }
            for cell in found.cells
        ]
        for number in range(len(found.groups))
    ]
    return page(request, "agreement.html", caller, corpus=corpus, found=found, rows=rows, charts=charts, names=names, choices=choices, asked=asked)  # fmt: skip


def annotators_page(
    request: Request,
    caller: Principal,
    corpus: Corpus,
    found: AnnotatorsAnswer,
    scheme: Scheme,
    choices: ValueChoices,
    asked: ValuesQuery,
) -> HTMLResponse:
    """Shares of right votes by the consensus of every annotator and team, by option and over time."""
    names = names_of(scheme)
    shown = [
        [one for one in found.annotators if one.group == number and one.quality is not None]
        for number in range(len(found.groups))
    ]
    rows = [
        [
            {"key": one.name, "value": one.quality.share, "interval": [one.quality.low, one.quality.high]}
            for one in people if one.quality is not None
        ]
        for people in shown
    ]  # fmt: skip
    least = {one.name: _least(one, names) for one in found.report.teams} if found.report else {}
    return page(request, "annotators.html", caller, corpus=corpus, found=found, rows=rows, least=least, charts=charts, names=names, choices=choices, asked=asked)  # fmt: skip


def _least(team: JudgedTeamAnswer, names: dict[str, str]) -> str:
    """The option on which the model agrees with a team least, beside the others, where that is beyond chance."""
    apart = [
        (one.agreement.difference, one.option)
        for one in team.options
        if one.agreement is not None and one.agreement.high is not None and one.agreement.high < 0
    ]
    if not apart:
        return ""
    difference, option = min(apart)
    return f"{names.get(option, option)} ({100 * difference:+.1f})"  # fmt: skip
