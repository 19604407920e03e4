"""Drawing a sample of a training part. Strata, clusters and allocation know that part alone, never a held-out row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars
from scipy.sparse import csr_matrix

from models.data.sampling import Rows, draw_sample
from models.data.sampling_report import fidelity, merges_report, strata_report
from models.sampling.clusters import fit_clusters
from models.scheme import Labels
from models.training.sample_request import SampleRequest

_COUNTS = ("positives", "drawn_positives")
_TEXTS = {"key": polars.String, "stratum": polars.Int32, "inclusion": polars.Float64}


@dataclass(frozen=True, slots=True)
class PartSample:
    """The rows of a training part that are trained on."""

    rows: Rows
    """int64, rising: all of the part where no sample was asked for."""
    report: dict[str, Any] | None
    """Strata with N_h, n_h and π, merges, clusters, prevalence in part and sample, and under `texts` key, stratum and π of
    every text drawn; None where no sample was asked for."""

    def facts(self) -> dict[str, Any]:
        """As a member keeps it: under `sampling`, or nothing."""
        return {} if self.report is None else {"sampling": self.report}


def sample_part(
    asked: SampleRequest | None,
    rows: Rows,
    counts: csr_matrix,
    labels: Labels,
    keys: Sequence[str],
    option_keys: Sequence[str],
    seed: int,
) -> PartSample:
    """Draw the sample that the request asks for of one training part.

    Args:
        asked: None: all rows.
        rows: labelled rows of the part, rising.
        counts: float32 sparse (all texts, vocabulary); rows outside the part are not read.
        labels: int8 (all texts, options).
        keys: stable id of each text.
        option_keys: in column order.
        seed: the job's.
    """
    if asked is None:
        return PartSample(rows, None)
    part = labels[rows]
    design = asked.design(len(rows), seed)
    clusters = None
    if asked.strategy == "stratified":
        wanted = None if asked.clusters == "auto" else asked.clusters
        inside = np.arange(len(rows), dtype=np.int64)
        clusters = fit_clusters(csr_matrix(counts[rows]), inside, wanted, design.seed)
    drawn = draw_sample(
        design,
        [keys[row] for row in rows],
        None if clusters is None else part,
        None if clusters is None else clusters.of,
    )
    report = {
        "strategy": asked.strategy,
        "seed": design.seed,
        "allocation": asked.allocation,
        "part_rows": len(rows),
        "drawn": len(drawn.rows),
        "clusters": None if clusters is None else {"count": clusters.count, "terms": clusters.terms},
        "strata": strata_report(drawn, part, option_keys),
        "merges": merges_report(drawn),
        "fidelity": fidelity(part, drawn.rows, option_keys),
        "texts": {
            "key": [keys[row] for row in rows[drawn.rows]],
            "stratum": drawn.stratum.tolist(),
            "inclusion": drawn.inclusion.tolist(),
        },
    }
    return PartSample(rows[drawn.rows], report)


def sampling_report(
    asked: SampleRequest, folds: Sequence[dict[str, Any]], final: dict[str, Any]
) -> dict[str, Any]:
    """What the adapter's report says: the request and every member's sample; no texts, and strata without their counts of positives.

    Args:
        asked: the request.
        folds: facts of the folds in order, each with `sampling`.
        final: facts of the final fit.
    """
    return {
        "asked": asked.model_dump(mode="json"),
        "folds": [{"fold": fold} | _short(facts["sampling"]) for fold, facts in enumerate(folds)],
        "final": _short(final["sampling"]),
    }


def write_samples(path: Path, members: Mapping[str, Mapping[str, Any]]) -> None:
    """Write which texts each member was trained on: member str, key str, stratum int32 (its place in the report), inclusion float64, π.

    members: facts by name, each with `sampling`.
    """
    parts = [
        polars.DataFrame(facts["sampling"]["texts"], schema=_TEXTS).select(
            polars.lit(name).alias("member"), *_TEXTS
        )
        for name, facts in members.items()
    ]
    polars.concat(parts).write_ipc(path)


def without_sampling(facts: dict[str, Any]) -> dict[str, Any]:
    """A member's facts without what `sampling_report` says."""
    return {name: value for name, value in facts.items() if name != "sampling"}


def _short(report: dict[str, Any]) -> dict[str, Any]:
    strata = [
        {name: value for name, value in stratum.items() if name not in _COUNTS}
        for stratum in report["strata"]
    ]
    return {name: value for name, value in report.items() if name != "texts"} | {"strata": strata}
