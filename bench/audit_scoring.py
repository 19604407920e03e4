"""Part `scoring` of `bench audit`: how long suspicion takes on all of ECHR (35,433 × 12), beyond the probabilities."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from bench.audit_arms import DESIGNS
from bench.audit_corpora import corpora
from models.audit.evidence import Evidence
from models.audit.stack import annotated
from models.audit.suspicion import score
from models.data.near_duplicates import signatures
from models.scheme import YES
from models.training.logistic import sigmoid

ANNOTATORS, WIDTH = 20, 384
SLOPE, SHIFT, NOISE = 1.5, -1.0, 1.5
"""Made-up log-odds around the labels; what they are hardly changes how long a fit takes."""


def scoring(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds by design, with and without annotators: wall clock and processor time of all threads."""
    corpus = corpora(options.data, ["echr"], None)[0]
    rng = np.random.default_rng(options.seed)
    shape = corpus.labels.shape
    odds = [
        np.where(corpus.labels == YES, SLOPE, -SLOPE) + SHIFT + rng.normal(0, NOISE, shape) for _ in range(3)
    ]
    documents = np.unique(np.asarray(corpus.documents), return_inverse=True)[1]
    names = [str(document % ANNOTATORS) for document in documents]
    evidence = Evidence(
        np.asarray(sigmoid(odds[0])).astype(np.float32),
        corpus.labels,
        corpus.scheme,
        corpus.documents,
        order=corpus.order,
        embeddings=rng.normal(size=(shape[0], WIDTH)).astype(np.float32),
        signatures=signatures(corpus.texts),
        wide_logits=odds[1].astype(np.float32),
        probe_logits=odds[2].astype(np.float32),
    )
    known = annotated(range(shape[0]), names, corpus.labels)
    found = {}
    for design in DESIGNS:
        for told, given in (
            ("without annotators", evidence),
            (f"{ANNOTATORS} annotators", replace(evidence, annotations=known)),
        ):
            wall, used = time.perf_counter(), time.process_time()
            score(given, options.seed, design)
            found[f"{design}, {told}"] = {
                "seconds": time.perf_counter() - wall,
                "processor_seconds": time.process_time() - used,
            }
    return {"texts": shape[0], "options": shape[1], "seconds": found}


def as_lines(found: dict[str, Any]) -> list[str]:
    """The part as text."""
    lines = [f"scoring {found['texts']} × {found['options']}, beyond the probabilities"]
    lines += [
        f"  {name:34}{took['seconds']:8.1f} s, {took['processor_seconds']:.1f} processor seconds"
        for name, took in found["seconds"].items()
    ]
    return lines
