"""The values of one codebook version under filters, read for whoever counts or judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.annotators.queries import annotations_under, codebook_versions, filter_keys, teams
from app.corpora.annotations import by_question
from app.corpora.codebook import load_codebook
from app.corpora.rules import Counting, counting
from app.db.session import AnySession
from app.http.problems import Invalid
from models.scheme import Scheme

_KINDS = {"metadata": "metadata key", "groups": "grouping key"}
EVERYTHING: Mapping[str, Mapping[str, str]] = {"metadata": {}, "groups": {}}


@dataclass(frozen=True, slots=True)
class Values:
    """The values asked for."""

    scheme: Scheme
    about: dict[str, Any]
    """Codebook version and all there are, for the answer."""
    frame: pl.DataFrame
    """Annotations, oldest first."""
    text_ids: NDArray[np.int64]
    given: Counting


def values_of(
    db: AnySession,
    corpus_id: str,
    version: str | None = None,
    team: str | None = None,
    period: tuple[datetime | None, datetime | None] = (None, None),
    filters: Mapping[str, Mapping[str, str]] = EVERYTHING,
) -> Values:
    """The values of a codebook version (None: the newest).

    Raises:
        Invalid: no annotation names the version or the team, no text has a key of the filters, or the period is none.
    """
    if team is not None:
        _check_known(teams(db, corpus_id), team, "team", "No annotation names the team")
    for kind, field in (("metadata", "metadata"), ("groups", "group")):
        known = filter_keys(db, corpus_id, grouping=kind == "groups") if filters[kind] else []
        for key in filters[kind]:
            _check_known(known, key, field, f"No text has the {_KINDS[kind]}")
    _check_period(*period)
    codebook = load_codebook(db, corpus_id)
    versions = codebook_versions(db, corpus_id)
    chosen = known_version([row["name"] for row in versions], version)
    frame = annotations_under(db, corpus_id, chosen or "", team, period, filters)
    text_ids = frame["text_id"].unique().sort().to_numpy()
    given = counting(codebook.scheme, by_question(frame, codebook, text_ids))
    about = {"codebook_version": chosen, "codebook_versions": versions}
    return Values(codebook.scheme, about, frame, text_ids, given)


def known_version(known: list[str], wanted: str | None, field: str = "codebook_version") -> str | None:
    """The version asked for or the newest; Invalid, naming those there are, for one that no annotation names."""
    if wanted is None:
        return known[0] if known else None
    if wanted not in known:
        there = ", ".join(repr(name) for name in known) or "none"
        raise Invalid(
            f"No annotation names the codebook version {wanted[:60]!r}; there are: {there}.",
            field=field,
            slug="unknown-codebook-version",
        )
    return wanted


def _check_known(known: list[str], wanted: str, field: str, missing: str) -> None:
    """Invalid, naming those there are, for what nothing has."""
    if wanted not in known:
        there = ", ".join(repr(name) for name in known) or "none"
        raise Invalid(f"{missing} {wanted[:60]!r}; there are: {there}.", field=field, slug=f"unknown-{field}")


def _check_period(since: datetime | None, until: datetime | None) -> None:
    """Invalid for a period without any time in it."""
    if since is not None and until is not None and since >= until:
        raise Invalid("`since` is not before `until`: no time lies between them.", field="until")
