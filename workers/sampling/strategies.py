"""The strategies: stratified, random, uncertain, diverse, and diverse among the uncertain; with a random share where asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from app.corpora.sample_schemas import SampleRequest
from models.data.folds import seeded_rank
from models.data.sampling import Design, Rows, draw_sample
from models.data.sampling_report import fidelity, merges_report, strata_report
from models.sampling.diversity import diverse
from workers.sampling.material import Material, Points, Words, read_words, stored_embeddings

COVERED = 5000
"""Labelled texts outside the frame that diverse picks keep away from, drawn by the seed where there are more."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The texts of a sample, in its order."""

    rows: Rows
    """int64: rows of the snapshot."""
    inclusion: list[float | None]
    """π of each; None where it was picked for its score."""
    strata: list[int] | None
    report: dict[str, Any]


def choose(asked: SampleRequest, material: Material, stage: Callable[[str], None]) -> Chosen:
    """Choose texts by the strategy; `stage` is told before each long step."""
    if asked.strategy == "stratified":
        stage("clusters")
        return _stratified(asked, material, read_words(material, asked, np.empty(0, dtype=np.int64)))
    if asked.strategy == "random":
        drawn = _random(asked, material, asked.size)
        share = asked.size / len(material.frame)
        return Chosen(drawn, [share] * len(drawn), None, _report(asked, material, drawn, 0))
    return _picked(asked, material, stage)


def _stratified(asked: SampleRequest, material: Material, words: Words) -> Chosen:
    frame = material.frame
    labels = material.texts.values[frame]
    inside = words.at(frame)
    design = Design(asked.size, asked.seed, asked.allocation, asked.least, asked.smallest)
    keys = [material.texts.external_ids[row] for row in frame]
    drawn = draw_sample(design, keys, labels, words.clusters.of[inside])
    terms = None if material.sensitive else words.clusters.top_terms(words.vocabulary)
    rows = frame[drawn.rows]
    report = _report(asked, material, rows, 0) | {
        "strata": strata_report(drawn, labels, material.option_keys, words.characters[inside], terms),
        "merges": merges_report(drawn),
        "clusters": _words_facts(words),
    }
    return Chosen(rows, drawn.inclusion.tolist(), drawn.stratum.tolist(), report)


def _picked(asked: SampleRequest, material: Material, stage: Callable[[str], None]) -> Chosen:
    """The random share first, of the whole frame; then picks for their score among the rest."""
    frame = material.frame
    share = min(asked.size, max(1, round(asked.size * asked.random_share))) if asked.random_share else 0
    drawn = _random(asked, material, share)
    left = np.setdiff1d(frame, drawn)
    wanted = asked.size - share
    facts: dict[str, Any] = {}
    if asked.strategy != "diversity":
        assert material.doubts is not None
        facts["uncertainty"] = _doubt_facts(asked, material)
        left = _most_doubtful(material, left)
        left = left[: wanted if asked.strategy == "uncertainty" else max(wanted, round(wanted * asked.pool))]
    picks = left[:wanted]
    if asked.strategy != "uncertainty":
        stage("directions")
        points, covered, facts["diversity"] = _space(asked, material, left, drawn)
        stage("diverse texts")
        picks = left[diverse(points, wanted, asked.spreading, asked.seed, covered)]
    rows = np.concatenate([picks, drawn]).astype(np.int64)
    inclusion: list[float | None] = [None] * len(picks)
    inclusion += [share / len(frame)] * len(drawn)
    return Chosen(rows, inclusion, None, _report(asked, material, rows, len(picks)) | facts)


def _random(asked: SampleRequest, material: Material, size: int) -> Rows:
    """A simple random sample of the frame, rising."""
    if not size:
        return np.empty(0, dtype=np.int64)
    frame = material.frame
    keys = [material.texts.external_ids[row] for row in frame]
    return np.asarray(frame[draw_sample(Design(size, asked.seed), keys).rows])


def _most_doubtful(material: Material, rows: Rows) -> Rows:
    """Rows with a prediction by falling doubt, in the corpus's order on a tie; exact repetitions of a text come after all others."""
    assert material.doubts is not None
    known = rows[material.doubts.known[rows]]
    ordered = known[np.argsort(-material.doubts.scores[known], kind="stable")]
    _, first = np.unique([material.texts.sha256[row] for row in ordered], return_index=True)
    repeats = np.ones(len(ordered), dtype=np.bool_)
    repeats[first] = False
    return np.concatenate([ordered[~repeats], ordered[repeats]])


def _space(
    asked: SampleRequest, material: Material, rows: Rows, drawn: Rows
) -> tuple[Points, Points, dict[str, Any]]:
    """Points of the candidates, of what is covered already, and how both were made."""
    covered = np.concatenate([_covered(asked, material), drawn]).astype(np.int64)
    both = np.concatenate([rows, covered]).astype(np.int64)
    facts: dict[str, Any] = {"spreading": asked.spreading, "candidates": len(rows), "covered": len(covered)}
    stored = stored_embeddings(material, asked, both)
    if stored is not None:
        points, run_id = stored
        facts |= {"space": "embeddings", "run": run_id}
    else:
        words = read_words(material, asked, both)
        points = words.clusters.points[words.at(both)]
        facts |= {"space": "tf-idf", "words": _words_facts(words)}
    return points[: len(rows)], points[len(rows) :], facts


def _covered(asked: SampleRequest, material: Material) -> Rows:
    """Labelled texts outside the frame: what is like them has been labelled."""
    rows = np.flatnonzero(material.places.labelled & ~material.places.frame)
    ids = material.texts.external_ids
    kept = sorted(rows.tolist(), key=lambda row: seeded_rank(ids[row], asked.seed))[:COVERED]
    return np.array(kept, dtype=np.int64)


def _doubt_facts(asked: SampleRequest, material: Material) -> dict[str, Any]:
    assert material.doubts is not None
    inside = material.places.frame
    known = material.doubts.known & inside
    return {
        "run": material.doubts.run_id,
        "measure": asked.measure,
        "predicted": int(known.sum()),
        "without_prediction": int((inside & ~material.doubts.known).sum()),
        "not_held_out": int((known & ~material.doubts.held_out).sum()),
    }


def _words_facts(words: Words) -> dict[str, Any]:
    return {"count": words.clusters.count, "terms": words.clusters.terms, "fitted_on": words.fitted}


def _report(asked: SampleRequest, material: Material, rows: Rows, certain: int) -> dict[str, Any]:
    """What every sample tells: frame, design, how near the labels of the sample come to those of the frame."""
    frame = material.frame
    places = np.searchsorted(frame, rows)
    return {
        "strategy": asked.strategy,
        "frame": {
            "texts": len(frame),
            "labelled": int((material.places.frame & material.places.labelled).sum()),
            **asked.frame.model_dump(mode="json"),
        },
        "drawn_at_random": len(rows) - certain,
        "picked": certain,
        "fidelity": fidelity(material.texts.values[frame], places, material.option_keys),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
    }
