"""A corpus as estimates see it, read from the database: the frame of an audit sample with three readings of every label at stake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.audits.frame import NOT_DRAWN, read_frame
from app.audits.settled import settled
from app.blobs import BlobStore
from app.db.session import AnySession
from app.db.tables import AuditSample, RelabelRun
from app.estimates.queries import clusters_of, columns_of, probabilities_of
from app.estimates.rules import analyses_of, asked_about, columns_at_stake, labels_at_stake
from models.estimates.panel import Analysis, Label, Panel
from models.scheme import MISSING


@dataclass(frozen=True, slots=True)
class Loaded:
    """A panel, the analyses asked of it, and the numbers of its texts."""

    panel: Panel
    analyses: list[Analysis]
    text_ids: NDArray[np.int64]


def load_panel(
    session: AnySession,
    blobs: BlobStore,
    sample: AuditSample,
    run: RelabelRun | None,
    asked: Mapping[str, Any],
) -> Loaded:
    """The panel of a closed sample.

    Labels given are those of the sample's snapshot, frozen before anybody read: what the readers' values have changed since is
    not among them. Probabilities are held-out ones alone: a model that has learnt from this text's reading does not predict it.

    Args:
        session: of the database.
        blobs: where the frame lies.
        sample: closed.
        run: whose probabilities help; None: nobody's.
        asked: a job's parameters: analyses, where, cluster_by.
    """
    frame, found = read_frame(blobs.path(sample.frame_blob)), settled(session, sample.id, blobs)
    analyses = analyses_of(asked["analyses"], found.option_keys)
    wanted = [*columns_at_stake(analyses), *asked.get("where", {})]
    columns = columns_of(session, sample.corpus_id, frame.text_ids, list(dict.fromkeys(wanted)))
    labels = labels_at_stake(analyses)
    probabilities = probabilities_of(session, run, frame.text_version_ids, labels)
    place = {key: at for at, key in enumerate(found.option_keys)}
    drawn = frame.place != NOT_DRAWN
    readings = {}
    for key in labels:
        expert = np.full(len(frame.text_ids), MISSING, dtype=np.int8)
        expert[frame.drawn] = found.truth[:, place[key]]
        readings[key] = Label(frame.given[:, place[key]], probabilities[key], expert)
    panel = Panel(
        labels=readings,
        columns=columns,
        stratum=frame.stratum.astype(np.int64),
        drawn=drawn,
        clusters=clusters_of(session, sample.corpus_id, frame.text_ids, asked.get("cluster_by")),
        where=asked_about(columns, asked.get("where", {}), len(frame.text_ids)),
    )
    return Loaded(panel, analyses, frame.text_ids)
