"""Picks without a database: the doubtful in their order, repetitions last."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.blobs import BlobStore
from app.corpora.sample_rules import Places
from app.corpora.sample_schemas import SampleRequest
from app.corpora.snapshots import Snapshot
from workers.sampling.material import Doubts, Material
from workers.sampling.strategies import choose

SCORES = [0.2, 0.9, 0.9, 0.5, np.nan, 0.9]


def material(folder: Path, digests: str = "abcdef") -> Material:
    """Six texts with the scores above; the first is outside the frame."""
    texts = len(SCORES)
    snapshot = Snapshot(
        text_ids=np.arange(texts), text_version_ids=np.arange(texts), external_ids=[f"t{row}" for row in range(texts)],
        sha256=list(digests), groups=["g"] * texts, splits=[None] * texts, ordinals=np.arange(texts),
        values=np.full((texts, 1), -1, dtype=np.int8),
    )  # fmt: skip
    frame = np.arange(texts) > 0
    nothing = np.zeros(texts, dtype=np.bool_)
    doubts = Doubts("run_1", np.array(SCORES), nothing)
    places = Places(frame, nothing, frame)
    return Material("cor_1", ["a"], snapshot, places, doubts, False, BlobStore(str(folder)))


def picked(found: Material, **asked: object) -> list[int]:
    request = SampleRequest.model_validate({"strategy": "uncertainty", **asked})
    return choose(request, found, lambda _stage: None).rows.tolist()


def test_the_doubtful_come_by_their_score_and_only_where_there_is_one(tmp_path: Path) -> None:
    assert picked(material(tmp_path), size=4) == [1, 2, 5, 3]


def test_a_text_that_repeats_another_comes_last(tmp_path: Path) -> None:
    """Labelling the same words twice teaches nothing."""
    assert picked(material(tmp_path, "abbdef"), size=3) == [1, 5, 3]
    assert picked(material(tmp_path, "abbdef"), size=4) == [1, 5, 3, 2]


def test_a_random_share_never_repeats_a_pick(tmp_path: Path) -> None:
    for seed in range(20):
        request = SampleRequest(strategy="uncertainty", size=4, random_share=0.3, seed=seed)
        chosen = choose(request, material(tmp_path), lambda _stage: None)
        assert len(set(chosen.rows.tolist())) == 4
        assert chosen.inclusion == [None, None, None, 0.2]
