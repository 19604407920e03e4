"""The pages of a search: all its trials and what was chosen, and the epochs of one trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.db.session import AnySession
from app.db.tables import Adapter, Job
from app.http.problems import Invalid
from app.http.security import Principal
from app.jobs.rules import is_final
from app.pages import charts, queries
from app.pages.render import page
from app.pages.search_rows import (
    OVER,
    TrialRow,
    chosen_rows,
    in_order,
    setting,
    space_rows,
    splits_of,
    spoken,
    trial_row,
)
from app.training.search_queries import part_jobs, trial_epochs
from app.training.search_view import trial_answer

LOOK_SECONDS, MANY, SLOW_SECONDS = 5, 200, 15
"""How often a page of a search under way is looked at again: less often where the table is long."""
BEST_FIRST = "-mean"
Numbers = Mapping[str, Any]


def search_page(request: Request, caller: Principal, db: AnySession, job: Job) -> HTMLResponse:
    """A search: how far it is, its space, every trial, and what was chosen for each fold."""
    chosen = (job.checkpoint or {}).get("chosen")
    rows = [
        trial_row(trial_answer(number, trial, chosen))
        for number, trial in part_jobs(db, job.id, "trial").items()
    ]
    splits = splits_of(rows, (member.member for row in rows for member in row.trial.members))
    wanted = request.query_params.get("sort", BEST_FIRST)
    still = _switch(request, "still")
    refit = part_jobs(db, job.id, "refit").get(0)
    adapter = _adapter(db, refit)
    return page(
        request,
        "search.html",
        caller,
        corpus=queries.corpus_row(db, job.corpus_id) if job.corpus_id else None,
        job=job,
        search=job.params["search"],
        space=space_rows(job.params["search"]["space"]),
        parameters=list(job.params["search"]["space"]),
        rows=in_order(rows, wanted, splits),
        splits=splits,
        counts=Counter(row.trial.state for row in rows),
        given_up=sum(bool(row.given_up) for row in rows),
        chart=_chart(rows),
        chosen=chosen_rows(chosen, adapter.report.get("search") if adapter else None) if chosen else [],
        carried=((adapter.report.get("search") or {}).get("average_precision") if adapter else None),
        adapter=adapter,
        refit=refit,
        again=None if is_final(job.state) or still else (SLOW_SECONDS if len(rows) > MANY else LOOK_SECONDS),
        still=still,
        sort=wanted,
        query=_query(wanted, still=still),
        spoken=spoken,
        setting=setting,
    )


def trial_job_page(request: Request, caller: Principal, db: AnySession, job: Job) -> HTMLResponse:
    """A trial: what it tries and every epoch of its fits."""
    search = db.get_one(Job, job.params["search_id"])
    chosen = (search.checkpoint or {}).get("chosen")
    row = trial_row(trial_answer(job.params["number"], job, chosen))
    epochs: dict[str, list[Numbers]] = {}
    for entry in trial_epochs(db, job.id):
        epochs.setdefault(entry["member"], []).append(entry)
    named = {name: epochs[name] for name in splits_of([row], epochs) if name in epochs}
    curves = {spoken(name).removeprefix("fold "): entries for name, entries in named.items()}
    still = _switch(request, "still")
    return page(
        request,
        "trial.html",
        caller,
        corpus=queries.corpus_row(db, job.corpus_id) if job.corpus_id else None,
        job=job,
        search=search,
        row=row,
        epochs=named,
        score_chart=charts.learning_chart(
            curves, "inner_average_precision", "Average precision on the inner split after every epoch"
        ),
        loss_chart=charts.learning_chart(curves, "inner_loss", "Loss on the inner split after every epoch"),
        again=None if is_final(job.state) or still else LOOK_SECONDS,
        still=still,
        query=_query(BEST_FIRST, still=still),
        spoken=spoken,
        setting=setting,
    )


def _adapter(db: AnySession, refit: Job | None) -> Adapter | None:
    made = (refit.result or {}).get("adapter_id") if refit is not None else None
    return db.get(Adapter, made) if made else None


def _chart(rows: list[TrialRow]) -> str:
    ended = [row for row in rows if row.trial.state in OVER and row.trial.mean is not None]
    points = [(row.trial.number, row.trial.mean or 0.0, row.whole) for row in ended]
    return charts.search_chart(points, "Score of every trial that is over, and the best so far")


def _switch(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "")
    if given not in {"", "0", "1"}:
        raise Invalid(f"{name} is 0 or 1.", field=name)
    return given == "1"


def _query(sort: str, *, still: bool) -> Any:
    """Makes the query of a link to the same page: `query()`, `query("seconds")`, `query(still=True)`."""

    def query(chosen: str = sort, *, still: bool = still) -> str:
        pairs = ({} if chosen == BEST_FIRST else {"sort": chosen}) | ({"still": "1"} if still else {})
        return "?" + urlencode(pairs)

    return query
