"""A corpus as estimates see it, read from the database: the frames of audit samples with three readings of every label at stake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.audits.frame import Frame, read_frame
from app.audits.settled import settled
from app.blobs import BlobStore
from app.db.session import AnySession
from app.db.tables import AuditSample, RelabelRun
from app.estimates.queries import clusters_of, columns_of, probabilities_of
from app.estimates.rules import analyses_of, asked_about, columns_at_stake, labels_at_stake
from app.http.problems import Conflict
from models.estimates.panel import Analysis, Drawn, Label, Panel
from models.scheme import MISSING


@dataclass(frozen=True, slots=True)
class Loaded:
    """A panel, the analyses asked of it, and what there is to say of its texts."""

    panel: Panel
    analyses: list[Analysis]
    names: list[str]
    """Of every row, each once: the text's number, and its version where the newest frame has not got that."""
    frame: int
    """Texts of the newest sample's frame: what estimates speak of."""
    read_twice: int
    """Texts that more than one sample drew."""
    read_differently: int
    """Of these, texts with a label at stake that two samples settled differently."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The frames of several samples as rows of one table: text versions, the newest frame's first and in its order."""

    text_ids: NDArray[np.int64]
    versions: NDArray[np.int64]
    of: tuple[NDArray[np.int64], ...]
    """By frame, int64 (texts of the frame,): the row of each."""

    @staticmethod
    def joined(frames: Sequence[Frame]) -> _Rows:
        """Of frames, the oldest first."""
        row_of: dict[int, int] = {}
        text_ids: list[int] = []
        for frame in reversed(frames):
            for text_id, version in zip(
                frame.text_ids.tolist(), frame.text_version_ids.tolist(), strict=True
            ):
                if row_of.setdefault(version, len(row_of)) == len(text_ids):
                    text_ids.append(text_id)
        places = tuple(
            np.array([row_of[version] for version in frame.text_version_ids.tolist()], dtype=np.int64)
            for frame in frames
        )
        return _Rows(np.array(text_ids), np.array(list(row_of)), places)


def load_panel(
    session: AnySession,
    blobs: BlobStore,
    samples: Sequence[AuditSample],
    run: RelabelRun | None,
    asked: Mapping[str, Any],
) -> Loaded:
    """The panel of closed samples.

    Labels given are those of the samples' snapshots, of the oldest whose frame has the text: frozen before anybody read it, so that what
    the readers' values have changed since is not among them. Probabilities are held-out ones alone: a model that has learnt from this
    text's reading does not predict it. A text whose content has changed since it was read is another one. What is asked about are
    texts of the newest frame.

    Args:
        session: of the database.
        blobs: where the frames lie.
        samples: closed, the oldest first.
        run: whose probabilities help; None: nobody's.
        asked: a job's parameters: analyses, where, cluster_by.

    Raises:
        Conflict: no text that a sample has read is as it was, or it has left the newest frame.
    """
    frames = [read_frame(blobs.path(sample.frame_blob)) for sample in samples]
    found = [settled(session, sample.id, blobs) for sample in samples]
    rows, newest = _Rows.joined(frames), len(frames[-1].text_ids)
    drawn = [of[frame.drawn] for of, frame in zip(rows.of, frames, strict=True)]
    _check_overlap(samples, drawn, newest)
    analyses = analyses_of(asked["analyses"], read_by_all(samples))
    wanted = [*columns_at_stake(analyses), *asked.get("where", {})]
    columns = columns_of(session, samples[0].corpus_id, rows.text_ids, list(dict.fromkeys(wanted)))
    labels = labels_at_stake(analyses)
    probabilities = probabilities_of(session, run, rows.versions, labels)
    differently = np.zeros(len(rows.text_ids), dtype=np.bool_)
    readings = {}
    for key in labels:
        given, expert = (np.full(len(rows.text_ids), MISSING, dtype=np.int8) for _ in range(2))
        for of, frame, one in reversed(list(zip(rows.of, frames, found, strict=True))):
            given[of] = frame.given[:, one.option_keys.index(key)]
        for at, one in zip(drawn, found, strict=True):
            truth = one.truth[:, one.option_keys.index(key)]
            known = truth != MISSING
            differently[at[known]] |= (expert[at[known]] != MISSING) & (expert[at[known]] != truth[known])
            expert[at[known]] = truth[known]
        readings[key] = Label(given, probabilities[key], expert)
    here = np.arange(len(rows.text_ids)) < newest
    panel = Panel(
        labels=readings,
        columns=columns,
        samples=tuple(_drawn(len(here), *one) for one in zip(frames, rows.of, drawn, strict=True)),
        clusters=clusters_of(session, samples[0].corpus_id, rows.text_ids, asked.get("cluster_by")),
        where=asked_about(columns, asked.get("where", {}), len(rows.text_ids)) & here,
    )
    names = [
        str(text_id) if at < newest else f"{text_id} version {version}"
        for at, (text_id, version) in enumerate(
            zip(rows.text_ids.tolist(), rows.versions.tolist(), strict=True)
        )
    ]
    twice = np.bincount(np.concatenate(drawn), minlength=len(here)) > 1
    return Loaded(panel, analyses, names, newest, int(twice.sum()), int(differently.sum()))


def read_by_all(samples: Sequence[AuditSample]) -> list[str]:
    """Options that every one of the samples has read, in the newest one's order."""
    others = [set(sample.option_keys) for sample in samples]
    return [key for key in samples[-1].option_keys if all(key in keys for keys in others)]


def _drawn(texts: int, frame: Frame, of: NDArray[np.int64], rows: NDArray[np.int64]) -> Drawn:
    stratum, drawn = np.full(texts, -1, dtype=np.int64), np.zeros(texts, dtype=np.bool_)
    stratum[of], drawn[rows] = frame.stratum, True
    return Drawn(stratum, drawn)


def check_frames(blobs: BlobStore, samples: Sequence[AuditSample]) -> None:
    """Raise Conflict where a sample has read no text that is still in the newest one's frame as it was read."""
    if len(samples) > 1:
        frames = [read_frame(blobs.path(sample.frame_blob)) for sample in samples]
        rows = _Rows.joined(frames).of
        drawn = [of[frame.drawn] for of, frame in zip(rows, frames, strict=True)]
        _check_overlap(samples, drawn, len(frames[-1].text_ids))


def _check_overlap(samples: Sequence[AuditSample], drawn: Sequence[NDArray[np.int64]], newest: int) -> None:
    for sample, rows in zip(samples, drawn, strict=True):
        if not (rows < newest).any():
            raise Conflict(
                f"No text that {sample.name!r} has read is still one of those that {samples[-1].name!r} was drawn from, as it was "
                "read: it says nothing about them. Leave it out.",
                field="/audit_samples",
                slug="frames-differ",
            )
