"""The frozen frame of an audit sample: every text that could be drawn, with its stratum, given values and suspicion, as one Arrow file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.audit.sample.design import AuditSample
from models.scheme import Labels

NOT_DRAWN = -1


@dataclass(frozen=True, slots=True)
class Frame:
    """One row per text of the frame, in the order of the snapshot."""

    text_ids: NDArray[np.int64]
    text_version_ids: NDArray[np.int64]
    external_ids: list[str]
    stratum: NDArray[np.int32]
    place: NDArray[np.int32]
    """Place in reading order from 0; NOT_DRAWN for texts that were not drawn."""
    given: Labels
    """int8 (texts, options read): the snapshot's values."""
    audited: NDArray[np.bool_]
    """bool (texts, cells): the cell has a given value and, for a stopping sample, no review had decided it."""
    suspicion: NDArray[np.float32]
    """float32 (texts, cells), NaN where the ranking has none."""

    @property
    def drawn(self) -> NDArray[np.int64]:
        """Rows of the drawn texts in reading order."""
        rows = np.flatnonzero(self.place != NOT_DRAWN)
        return np.asarray(rows[np.argsort(self.place[rows])], dtype=np.int64)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """int64 (strata,): N_h."""
        return np.bincount(self.stratum).astype(np.int64)

    @property
    def taken(self) -> NDArray[np.int64]:
        """int64 (strata,): n_h."""
        return np.bincount(self.stratum[self.drawn], minlength=len(self.sizes)).astype(np.int64)

    @property
    def design(self) -> AuditSample:
        """The drawn texts with their strata."""
        return AuditSample(self.drawn, self.stratum, self.sizes, self.taken)


def to_arrow(frame: Frame) -> bytes:
    """The frame's blob: Arrow IPC."""
    columns = {
        "text_id": pl.Series(frame.text_ids, dtype=pl.Int64),
        "text_version_id": pl.Series(frame.text_version_ids, dtype=pl.Int64),
        "external_id": pl.Series(frame.external_ids, dtype=pl.String),
        "stratum": pl.Series(frame.stratum, dtype=pl.Int32),
        "place": pl.Series(frame.place, dtype=pl.Int32),
        "given": _lists(frame.given.astype(np.int8), pl.Int8()),
        "audited": _lists(frame.audited.astype(np.int8), pl.Int8()),
        "suspicion": _lists(frame.suspicion.astype(np.float32), pl.Float32()),
    }
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_ipc(buffer, compression="uncompressed")
    return buffer.getvalue()


def read_frame(path: Path) -> Frame:
    """Read a frame's blob."""
    table = pl.read_ipc(path)
    return Frame(
        text_ids=table["text_id"].to_numpy(),
        text_version_ids=table["text_version_id"].to_numpy(),
        external_ids=table["external_id"].to_list(),
        stratum=table["stratum"].to_numpy(),
        place=table["place"].to_numpy(),
        given=_matrix(table["given"]).astype(np.int8),
        audited=_matrix(table["audited"]).astype(np.bool_),
        suspicion=_matrix(table["suspicion"]).astype(np.float32),
    )


def _lists(values: NDArray[np.generic], kind: pl.DataType) -> pl.Series:
    return pl.Series(values, dtype=pl.Array(kind, values.shape[1])).cast(pl.List(kind))


def _matrix(column: pl.Series) -> NDArray[np.generic]:
    return column.explode().to_numpy().reshape(len(column), -1)
