"""Corpora whose labels are taken as right, to make wrong on purpose: ECHR, terms of service, veterans' appeals; whole documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.quality_data import ARGUMENTS, Collection, echr, tos, vetclaims
from models.data.folds import seeded_rank
from models.scheme import Dependency, Labels, Scheme

SAMPLE_SEED = 2026


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts with labels that count as true."""

    name: str
    scheme: Scheme
    texts: list[str]
    documents: list[str]
    order: list[int]
    labels: Labels
    """int8 (texts, options)."""


def corpora(folder: Path, names: Sequence[str], texts: int | None) -> list[Corpus]:
    """Corpora by name (`echr`, `tos`, `vetclaims`), each of as many whole documents as hold about `texts` texts, or all."""
    return [_READ[name](folder, texts) for name in names]


def _echr(folder: Path, texts: int | None) -> Corpus:
    found = _sampled("ECHR", echr(folder / "echr_arguments" / "paragraphs.csv"), texts)
    keys = found.scheme.option_keys
    speakers = keys[ARGUMENTS:]
    needs = tuple(Dependency(key, speakers) for key in keys[:ARGUMENTS])
    return replace(found, scheme=Scheme(found.scheme.questions, needs))


def _tos(folder: Path, texts: int | None) -> Corpus:
    return _sampled("ToS", tos(folder / "tos_unfair_clauses" / "sentences.jsonl"), texts)


def _vetclaims(folder: Path, texts: int | None) -> Corpus:
    return _sampled("VetClaims", vetclaims(folder / "vetclaims_roles" / "sentences.jsonl"), texts)


_READ = {"echr": _echr, "tos": _tos, "vetclaims": _vetclaims}
CORPORA = tuple(_READ)


def _sampled(name: str, collection: Collection, texts: int | None) -> Corpus:
    """Documents in a seeded order until there are enough texts; the same ones on every machine."""
    sizes = dict(zip(*np.unique(np.asarray(collection.groups), return_counts=True), strict=True))
    kept, counted = set[str](), 0
    for document in sorted(sizes, key=lambda document: seeded_rank(str(document), SAMPLE_SEED)):
        if texts is not None and counted >= texts:
            break
        kept.add(str(document))
        counted += int(sizes[document])
    rows = [row for row, document in enumerate(collection.groups) if document in kept]
    return Corpus(
        name,
        collection.scheme,
        [collection.texts[row] for row in rows],
        [collection.groups[row] for row in rows],
        rows,
        collection.labels[rows],
    )
