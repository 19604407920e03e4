"""What is evaluated on: a frozen label snapshot, the rows that were asked for, and their contents and signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.corpora.queries import find_corpus
from app.corpora.scheme_queries import scheme_version
from app.corpora.snapshots import Snapshot, read_snapshot
from app.corpora.text_queries import get_sample
from app.db.session import reading
from app.db.tables import LabelSnapshot
from app.http.problems import Problem
from app.relabelling.rules import common_scheme
from app.training.rules import select
from models.data.near_duplicates import Signatures, signatures
from models.scheme import Labels, Scheme
from workers.job_context import JobContext, JobFailed
from workers.relabel.contents import batches


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of an evaluation; lists and arrays are in row order."""

    corpus_id: str
    synthetic: bool
    snapshot_id: str
    scheme: Scheme
    """The options that are evaluated, at positions 0, 1, 2 …"""
    labels: Labels
    """int8 (rows, options)."""
    keys: list[str]
    """External ids."""
    groups: list[str]
    sha256: list[str]
    version_ids: NDArray[np.int64]
    signed: Signatures
    """uint32 (rows, permutations)."""
    corpus_keys: list[str]
    """External ids of the whole corpus, evaluated or not …"""
    corpus_groups: list[str]
    """… and their groups of now: a text that was trained on makes its group familiar, however it was grouped then."""
    corpus_versions: NDArray[np.int64]
    """Their text versions."""


def scope_of(context: JobContext, snapshot_id: str, option_keys: list[str] | None) -> Scope:
    """The rows that the job asks for, with a label for at least one of the options.

    Args:
        context: of the job.
        snapshot_id: of the labels.
        option_keys: of the adapter; None: every option of the corpus.

    Raises:
        JobFailed: nothing of it is labelled.
    """
    asked = context.params
    with reading() as session:
        row = session.get_one(LabelSnapshot, snapshot_id)
        corpus = find_corpus(session, row.corpus_id)
        version = scheme_version(session, row.corpus_id, row.scheme_version)
        assert version is not None
        scheme = Scheme.from_document(version.document)
        frozen = read_snapshot(context.blobs.path(row.blob_digest))
        among = _among(frozen, asked.get("split"))
        if asked.get("sample"):
            sample = get_sample(session, row.corpus_id, asked["sample"])
            among &= np.isin(frozen.text_ids, sample.text_ids if sample else [])
    keys = list(scheme.option_keys if option_keys is None else common_scheme(scheme, option_keys).option_keys)
    try:
        chosen = select(
            scheme, frozen.values, frozen.external_ids, options=keys, among=among, limit=asked.get("limit"), seed=asked["seed"]
        )  # fmt: skip
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    rows = chosen.rows.tolist()
    versions = frozen.text_version_ids[chosen.rows]
    return Scope(
        corpus_id=row.corpus_id,
        synthetic=corpus.synthetic,
        snapshot_id=snapshot_id,
        scheme=chosen.scheme,
        labels=chosen.labels,
        keys=[frozen.external_ids[place] for place in rows],
        groups=[frozen.groups[place] for place in rows],
        sha256=[frozen.sha256[place] for place in rows],
        version_ids=versions,
        signed=_signed(context, versions),
        corpus_keys=frozen.external_ids,
        corpus_groups=frozen.groups,
        corpus_versions=frozen.text_version_ids,
    )


def asked_for(context: JobContext, scope: Scope) -> dict[str, Any]:
    """The scope as the answer names it."""
    return {
        **{name: context.params.get(name) for name in ("split", "sample", "limit", "seed")},
        "rows": len(scope.keys),
        "groups": len(set(scope.groups)),
    }


def _among(frozen: Snapshot, split: str | None) -> NDArray[np.bool_]:
    if split is None:
        return np.ones(len(frozen.values), dtype=np.bool_)
    return np.array([found == split for found in frozen.splits], dtype=np.bool_)


def _signed(context: JobContext, versions: NDArray[np.int64]) -> Signatures:
    parts: list[Signatures] = []
    for contents in batches(versions):
        parts.append(signatures(contents))
        context.progress(stage="near-duplicate signatures", done=sum(map(len, parts)), total=len(versions))
    return np.concatenate(parts)
