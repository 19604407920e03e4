"""An annotator report: for every team a model of the other teams' labels reads what the team read; the answer is the job's result."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.annotators.quality import places_of
from app.annotators.queries import annotator_names, texts_with_groups
from app.annotators.schemas import ReportDocument
from app.annotators.values import Values, values_of
from app.db.session import reading
from app.http.problems import Problem
from models.audit.annotators.without import LEVEL, Compared, Corpus, Heard, Hits, compare, judge, refusal
from models.data.folds import AUTO_FOLDS, TooFewGroupsError, assign_folds
from models.data.near_duplicates import content_digests, signatures
from models.scheme import MISSING
from workers.job_context import JobContext, JobFailed, JobStopped

MOST = 50
"""So many teams are judged at most, those with most texts; the others' labels are learnt from all the same."""
METHOD = (
    "TF-IDF and a logistic regression per option on the other teams' labels (their majority), each text read by a fit without its fold group, "
    "its near duplicates and every label of the team; yes for as large a share as the others said yes. Agreement with a model, not truth."
)
TWO = "Only two could be judged: where they differ, this cannot tell which of them is apart."
NOBODY = "nobody else could be judged: there is nothing to compare with"
UNJUDGED = f"not judged: only the {MOST} with most texts are"


@dataclass(frozen=True, slots=True)
class _Teams:
    """Who is judged."""

    by: str
    names: list[str]
    """In order; beyond the first `judged` they are only learnt from."""
    place: NDArray[np.int64]
    """int64 (rows,): the team of every row of values, MOST at most; one more for whoever is only learnt from."""

    @property
    def judged(self) -> int:
        """How many are."""
        return min(len(self.names), MOST)


def run(job: JobContext) -> None:
    """One attempt; a later one judges by the annotations of its own moment."""
    job.progress(stage="reading texts", done=0, total=0)
    values, teams, contents, groups = _material(job)
    corpus = _corpus(job, contents, groups)
    heard = Heard.of(teams.place, values.given.texts, values.given.values, (teams.judged + 1, len(contents)))
    reasons = {team: refusal(heard, team) for team in range(teams.judged)}
    asked = [team for team, reason in reasons.items() if reason is None]
    step = _Step(job, len(asked) * len(corpus.train))
    judged = {team: judge(corpus, heard, team, job.params["seed"], step) for team in asked}
    found = {
        "codebook_version": job.params["codebook_version"],
        "by": teams.by,
        "method": METHOD,
        "level": LEVEL,
        "texts": len(contents),
        "folds": len(corpus.train),
        "seed": job.params["seed"],
        "notes": [TWO] if len(judged) == 2 else [],
        "teams": _told(job, values, teams, heard, judged, reasons),
    }
    result = ReportDocument.model_validate(found).model_dump(mode="json")
    job.transaction(lambda session: job.succeed(session, result))


@dataclass(slots=True)
class _Step:
    """Tells how far fitting is, and stops where asked to."""

    job: JobContext
    total: int
    done: int = 0

    def __call__(self) -> None:
        """Before every fit."""
        if self.job.stop_reason() is not None:
            raise JobStopped
        self.job.progress(stage="fitting", done=self.done, total=self.total)
        self.done += 1


def _material(job: JobContext) -> tuple[Values, _Teams, list[str], list[str]]:
    """Values, who gave them, and the texts' contents and fold groups."""
    assert job.corpus_id is not None
    try:
        with reading() as session:
            values = values_of(session, job.corpus_id, job.params["codebook_version"])
            names = annotator_names(session, job.corpus_id)
            contents, groups = texts_with_groups(session, job.corpus_id, values.text_ids)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    places = places_of(values.frame, values.text_ids, values.given)
    if places.teams:
        return values, _teams("team", [*places.teams, ""], places.team), contents, groups
    ids, who = np.unique(values.given.annotators, return_inverse=True)
    people = [names[int(number)] for number in ids]
    return values, _teams("annotator", people, who.astype(np.int64)), contents, groups


def _teams(by: str, names: list[str], place: NDArray[np.int64]) -> _Teams:
    """Names by falling number of rows; the empty name, of whoever has no team, is never judged."""
    rows = Counter(place.tolist())
    order = sorted((number for number, name in enumerate(names) if name), key=lambda number: (-rows[number], names[number]))  # fmt: skip
    moved = np.full(len(names), min(len(order), MOST), dtype=np.int64)
    moved[order[:MOST]] = np.arange(min(len(order), MOST))
    return _Teams(by, [names[number] for number in order], moved[place])


def _corpus(job: JobContext, contents: list[str], groups: list[str]) -> Corpus:
    try:
        folds = assign_folds(groups, min(AUTO_FOLDS, max(2, len(set(groups)))), job.params["seed"])
    except TooFewGroupsError as few:
        raise JobFailed("too-few-groups", str(few)) from few
    return Corpus.of(contents, groups, folds, content_digests(contents), signatures(contents))


def _told(
    job: JobContext, values: Values, teams: _Teams, heard: Heard, judged: dict[int, Hits], reasons: dict[int, str | None]
) -> list[dict[str, Any]]:  # fmt: skip
    """Every team, by name."""
    keys, told = values.scheme.option_keys, []
    for team in range(teams.judged):
        texts = int((heard.own(team) != MISSING).any(axis=1).sum())
        one: dict[str, Any] = {"name": teams.names[team], "texts": texts, "agreement": None, "reason": reasons[team], "options": []}  # fmt: skip
        if team in judged:
            together, options = compare(judged, team, job.params["seed"])
            one |= {"agreement": _number(together), "reason": None if together.cells else NOBODY}
            one["options"] = [
                {"option": key, "agreement": _number(each)} for key, each in zip(keys, options, strict=True)
            ]
        told.append(one)
    told += [
        {"name": name, "texts": 0, "agreement": None, "reason": UNJUDGED, "options": []}
        for name in teams.names[teams.judged :]
    ]
    return sorted(told, key=lambda one: one["name"])


def _number(found: Compared) -> dict[str, Any] | None:
    if not found.cells:
        return None
    ends = {name: value if math.isfinite(value) else None for name, value in (("low", found.low), ("high", found.high))}  # fmt: skip
    return {
        "own": found.own,
        "others": found.others,
        "difference": found.difference,
        "cells": found.cells,
    } | ends
