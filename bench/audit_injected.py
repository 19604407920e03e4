"""Part (b) of `bench audit`: labels made wrong on purpose in five ways and four shares, only combinations the scheme allows.

cleanlab's scorer and pooling are chosen on other errors of the same kinds, shares and texts (`--choose-on`): the best in the
mean of them all. Beside it stands the comparison with whichever is best for the very row, which nobody could choose.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit_arms import CLEANLAB, Arm, arms, cleanlab_arms
from bench.audit_corpora import Corpus, corpora
from bench.audit_levels import Level, Scored, average_precision, fixed, level
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

    def __init__(self, corpus: Corpus, options: argparse.Namespace, seed: int) -> None:
        self.corpus, self.seed = corpus, seed
        self.folds = assign_folds(corpus.documents, FOLDS, seed)
        self.features = embeddings(corpus.texts, options.cache)
        self.reader = Reader(corpus.texts, self.folds, self.features)
        self.signed = signatures(corpus.texts)
        self.annotators = [f"annotator-{_place(d, 'annotator', ANNOTATORS)}" for d in corpus.documents]
        self.teams = [f"{_place(a, 'team', TEAMS)}/{_place(d, 'year', YEARS)}" for a, d in zip(self.annotators, corpus.documents, strict=True)]  # fmt: skip
        self._right: NDArray[np.float32] | None = None

    def wrong(self, kind: str, share: float) -> Injected:
        """Labels with errors of a kind."""
        labels, scheme, seed = self.corpus.labels, self.corpus.scheme, self.seed
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
        elsewhere = Prepared(corpus, options, options.choose_on)
        chosen = {source: _choose(elsewhere, source, options) for source in options.sources}
        rounds = [Prepared(corpus, options, options.seed + place) for place in range(options.rounds)]
        for kind in options.kinds:
            for share in options.shares:
                for source in options.sources:
                    told = {"corpus": corpus.name, "size": len(corpus.texts), "kind": kind, "share": share, "source": source}  # fmt: skip
                    found.append(told | cell(rounds, kind, share, source, options, chosen[source]))
                    sys.stderr.write(f"{corpus.name} {kind} {share} {source}\n")
    return {"cells": found}


def _choose(elsewhere: Prepared, source: str, options: argparse.Namespace) -> dict[Level, dict[str, str]]:
    """cleanlab's scorer and pooling of the highest mean AP, by level and kind of probabilities."""
    found: dict[Level, dict[str, list[float]]] = {name: {} for name in LEVELS}
    for kind in options.kinds:
        for share in options.shares:
            made = elsewhere.wrong(kind, share)
            evidence = elsewhere.evidence(made.labels, source)
            r = _scored(made, evidence, {})
            for arm, scores in cleanlab_arms(evidence, elsewhere.seed):
                for name in LEVELS:
                    found[name].setdefault(arm, []).append(average_precision(r, scores, name))
    return {
        name: {
            on: max((arm for arm in arms if arm.startswith(on)), key=lambda arm: float(np.mean(arms[arm])))
            for on in CLEANLAB
        }
        for name, arms in found.items()
    }


def _scored(made: Injected, evidence: Evidence, arms: dict[str, Arm]) -> Scored:
    everything = np.ones(len(made.labels), dtype=np.bool_)
    known = np.isfinite(evidence.probabilities).all(axis=1)
    agreed = np.broadcast_to(known[:, None], made.flipped.shape)
    return Scored(made.flipped, agreed, arms, everything, everything)


def cell(
    rounds: Sequence[Prepared],
    kind: str,
    share: float,
    source: str,
    options: argparse.Namespace,
    chosen: Mapping[Level, Mapping[str, str]],
) -> dict[str, Any]:
    """One cell of the table: means over rounds, macro-F1 of the first. chosen: cleanlab's arms by level and kind of probabilities."""
    scored, given = [], []
    for prepared in rounds:
        made = prepared.wrong(kind, share)
        evidence = prepared.evidence(made.labels, source)
        scored.append(_scored(made, evidence, dict(arms(evidence, prepared.seed, ["whole"]))))
        given.append(made.labels)
    prepared, corpus = rounds[0], rounds[0].corpus
    found: dict[str, Any] = {"reached": float(np.mean([r.wrong.mean() for r in scored]))}
    for name in LEVELS:
        found[name] = level(scored, corpus.documents, name, options.draws, prepared.seed, SHOWN, chosen[name])
    if source == "tfidf" and share in options.macro_shares:
        found["macro_f1"] = fixed(
            prepared.reader, scored[0], given[0], corpus.labels, corpus.scheme, prepared.folds, prepared.seed,
            chosen["cells"][CLEANLAB[0]],
        )  # fmt: skip
    return found


SHOWN = ("remand, noisy_or", "remand with annotators, noisy_or")


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as tables in Markdown: AP and whether ΔAP is certain, then macro-F1, then how often."""
    lines = [
        "(b) injected errors, AP: cleanlab's → remand without / with annotators; bold: ΔAP certainly above 0, ↓: below; in brackets the same against cleanlab's best for the very row"
    ]
    for source in dict.fromkeys(entry["source"] for entry in found["cells"]):
        entries = [entry for entry in found["cells"] if entry["source"] == source]
        for name in LEVELS:
            lines += ["", f"{source}, {name}", *_ap_table(entries, name)]
        lines += ["", *(_counted(entries, name) for name in LEVELS)]
    lines += _macro_table([entry for entry in found["cells"] if "macro_f1" in entry])
    return lines


def _ap_table(entries: Sequence[dict[str, Any]], name: Level) -> list[str]:
    """A row for each collection and kind, a column for each share."""
    shares = sorted({entry["share"] for entry in entries})
    rows: dict[str, dict[float, str]] = {}
    for entry in entries:
        rows.setdefault(f"{entry['corpus']}, {entry['kind']}", {})[entry["share"]] = _told(entry[name])
    head = ["| | " + " | ".join(f"{share:.0%}" for share in shares) + " |", "|---" * (len(shares) + 1) + "|"]
    return head + [
        f"| {key} | " + " | ".join(row.get(share, "") for share in shares) + " |" for key, row in rows.items()
    ]


def _told(found: dict[str, Any]) -> str:
    """Cleanlab's AP, ours with marks, and the marks against cleanlab's best where they differ."""
    theirs = found["arms"][found["chosen"][CLEANLAB[0]]]["ap"]
    ours = []
    for arm in SHOWN:
        sign, strict = (_sign(found[by][CLEANLAB[0]][arm]) for by in ("against", "against_best"))
        told = {1: "**{}**", 0: "{}", -1: "{}↓"}[sign].format(_short(found["arms"][arm]["ap"]))
        ours.append(told + ("" if sign == strict else {1: " (+)", 0: " (0)", -1: " (↓)"}[strict]))
    return f"{_short(theirs)} → " + " / ".join(ours)


def _sign(gain: Mapping[str, Any]) -> int:
    """1 where the interval of a ΔAP lies above 0, -1 where below, else 0."""
    low, high = gain["interval"] or (np.nan, np.nan)
    return int(low > 0) - int(high < 0)


def _counted(entries: Sequence[dict[str, Any]], name: Level) -> str:
    """How many rows are certainly better and worse."""
    parts = []
    for by, told in (("against", "chosen elsewhere"), ("against_best", "best for the row")):
        for on in CLEANLAB:
            for arm in SHOWN:
                signs = [_sign(entry[name][by][on][arm]) for entry in entries]
                parts.append(f"{arm.removesuffix(', noisy_or')} against {on}, {told}: {signs.count(1)} better, {signs.count(-1)} worse")  # fmt: skip
    return f"{name}, {len(entries)} rows: " + "; ".join(parts)


def _macro_table(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Macro-F1 after as many cells as are wrong were looked up, by each way of choosing them."""
    if not entries:
        return []
    names = list(entries[0]["macro_f1"])
    lines = [
        "",
        "macro-F1 of TF-IDF on truth that no model saw, after as many cells as are wrong were looked up",
    ]
    lines += ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for entry in entries:
        values = " | ".join(_short(entry["macro_f1"][name]) for name in names)
        lines.append(f"| {entry['corpus']}, {entry['kind']}, {entry['share']:.0%} | {values} |")
    return lines


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
