"""Part (b) of `bench audit`: labels made wrong on purpose in five ways and four shares, only combinations the scheme allows.

cleanlab's scorer and pooling are the best ones for each very cell of the table, which flatters cleanlab.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_arms import CLEANLAB, arms
from bench.audit_corpora import Corpus, corpora
from bench.audit_levels import Level, Scored, fixed, level
from bench.audit_text_models import FOLDS, Reader, embeddings
from models.audit.evidence import Evidence
from models.audit.injection import Injected
from models.audit.noise import by_source, class_conditional, confusable, systematic, text_dependent
from models.audit.stack import annotated
from models.data.folds import assign_folds, seeded_rank
from models.data.near_duplicates import signatures
from models.scheme import YES, Labels
from models.training.calibration import cross_fit
from models.training.logistic import logit

KINDS = ("class_conditional", "confusable", "text_dependent", "team_year", "systematic")
SHARES = (0.02, 0.05, 0.1, 0.2)
ANNOTATORS, TEAMS, YEARS = 8, 4, 3
LEVELS: tuple[Level, ...] = ("cells", "texts")


class Prepared:
    """A corpus with what does not change with its errors: folds, text models' inputs, who gave what."""

    def __init__(self, corpus: Corpus, options: argparse.Namespace) -> None:
        self.corpus = corpus
        self.folds = assign_folds(corpus.documents, FOLDS, options.seed)
        self.features = embeddings(corpus.texts, options.cache)
        self.reader = Reader(corpus.texts, self.folds, self.features)
        self.signed = signatures(corpus.texts)
        self.annotators = [f"annotator-{_place(d, 'annotator', ANNOTATORS)}" for d in corpus.documents]
        self.teams = [f"{_place(a, 'team', TEAMS)}/{_place(d, 'year', YEARS)}" for a, d in zip(self.annotators, corpus.documents, strict=True)]  # fmt: skip
        self._right: NDArray[np.float32] | None = None

    def wrong(self, kind: str, share: float, seed: int) -> Injected:
        """Labels with errors of a kind."""
        labels, scheme = self.corpus.labels, self.corpus.scheme
        if kind == "class_conditional":
            return class_conditional(labels, scheme, share, seed)
        if kind == "confusable":
            return confusable(labels, scheme, share, seed, likeness(self.features, labels))
        if kind == "text_dependent":
            if self._right is None:
                self._right = self.reader.probabilities("words", labels)
            return text_dependent(labels, scheme, share, seed, self._right)
        if kind == "team_year":
            return by_source(labels, scheme, share, seed, self.teams)
        return systematic(labels, scheme, share, seed, self.annotators)

    def evidence(self, given: Labels, source: str) -> Evidence:
        """What these given values are judged by; text models learnt from nothing but them."""
        scheme = self.corpus.scheme
        read = {view: self.reader.probabilities(view, given) for view in ("words", "embedded")}
        first, beside = ("words", "embedded") if source == "tfidf" else ("embedded", "words")
        calibrated = cross_fit(logit(read[first]).astype(np.float32), given, self.folds, scheme)
        return Evidence(
            calibrated.probabilities,
            given,
            scheme,
            self.corpus.documents,
            order=self.corpus.order,
            embeddings=self.features,
            signatures=self.signed,
            probe_logits=logit(read[beside], 1e-3).astype(np.float32),
            annotations=annotated(range(len(given)), self.annotators, given),
        )


def likeness(features: NDArray[np.float32], labels: Labels) -> NDArray[np.float64]:
    """Cosines between the mean embeddings of the options' texts: float64 (options, options)."""
    yes = (labels == YES).astype(np.float64)
    means = yes.T @ features / np.maximum(yes.sum(axis=0), 1)[:, None]
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return np.asarray(means @ means.T)


def _place(key: str, purpose: str, count: int) -> int:
    return int.from_bytes(seeded_rank(f"{purpose} {key}", 0)[:4], "big") % count


def injected(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of the part, JSON-ready: one entry per corpus, text probabilities, kind and share."""
    found = []
    for corpus in corpora(options.data, options.corpora, options.texts or None):
        prepared = Prepared(corpus, options)
        for kind in options.kinds:
            for share in options.shares:
                for source in options.sources:
                    told = {"corpus": corpus.name, "size": len(corpus.texts), "kind": kind, "share": share, "source": source}  # fmt: skip
                    found.append(told | cell(prepared, kind, share, source, options))
                    sys.stderr.write(f"{corpus.name} {kind} {share} {source}\n")
    return {"cells": found}


def cell(
    prepared: Prepared, kind: str, share: float, source: str, options: argparse.Namespace
) -> dict[str, Any]:
    """One cell of the table."""
    made = prepared.wrong(kind, share, options.seed)
    evidence = prepared.evidence(made.labels, source)
    everything = np.ones(len(made.labels), dtype=np.bool_)
    known = np.isfinite(evidence.probabilities).all(axis=1)
    r = Scored(
        made.flipped, np.broadcast_to(known[:, None], made.flipped.shape), dict(arms(evidence, options.seed, ["whole"])), everything, everything
    )  # fmt: skip
    documents = prepared.corpus.documents
    found: dict[str, Any] = {"reached": float(made.flipped.mean())}
    for name in LEVELS:
        found[name] = level([r], documents, name, options.draws, options.seed, SHOWN)
    if source == "tfidf" and share in options.macro_shares:
        corpus = prepared.corpus
        found["macro_f1"] = fixed(
            prepared.reader, r, made.labels, corpus.labels, corpus.scheme, prepared.folds, options.seed
        )
    return found


SHOWN = (
    "remand, noisy_or",
    "remand with annotators, noisy_or",
    "remand, unlimited",
    "remand with annotators, unlimited",
)


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text: AP of cleanlab's best on either kind of probabilities, and ours with ΔAP on text probabilities."""
    lines = [
        "(b) injected errors: AP; ΔAP against cleanlab's best on the text probabilities; and on our stacked ones"
    ]
    for entry in found["cells"]:
        head = f"{entry['corpus']} ({entry['size']} texts), {entry['source']}, {entry['kind']}, {entry['share']:.0%}"
        lines.append(f"{head} (reached {entry['reached']:.1%})")
        lines.extend(f"  {name}: " + _row(entry[name]) for name in LEVELS)
        if "macro_f1" in entry:
            lines.append("  macro-F1: " + ", ".join(f"{k} {v:.3f}" for k, v in entry["macro_f1"].items()))
    return lines


def _row(found: dict[str, Any]) -> str:
    best: Sequence[str] = [found["best"][source] for source in CLEANLAB]
    arms_ = found["arms"]
    parts = [f"random {arms_['random']['ap']:.3f}"]
    parts += [f"{source} {arms_[name]['ap']:.3f}" for source, name in zip(CLEANLAB, best, strict=True)]
    for arm in SHOWN:
        gains = [found["against"][source][arm] for source in CLEANLAB]
        told = ["{:+.3f} ({:+.3f} to {:+.3f})".format(g["gain"], *(g["interval"] or (np.nan, np.nan))) for g in gains]  # fmt: skip
        parts.append(f"{arm.removesuffix(', noisy_or')} {arms_[arm]['ap']:.3f} {' / '.join(told)}")
    return "; ".join(parts)
