"""Label snapshots: the immutable freeze of consensus and settled reviews that every job names."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import LiteralString

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.blobs import BlobStore
from app.corpora.agreed import agreed_labels
from app.corpora.annotations import copy_frame
from app.corpora.codebook import Codebook, load_codebook
from app.corpora.consensus_methods import Agreed
from app.corpora.queries import lock_corpus, register_blob
from app.corpora.rules import overridden, tied_cells
from app.db.session import AnySession, WriteSession
from app.db.tables import LabelSnapshot
from app.http.problems import Conflict
from app.ids import new_id
from app.review.queries import settled_cells
from models.scheme import MISSING, Labels

TIES_LISTED = 1000

_TEXT_COLUMNS = {
    "text_id": pl.Int64(),
    "text_version_id": pl.Int64(),
    "external_id": pl.String(),
    "sha256": pl.String(),
    "group": pl.String(),
    "split": pl.String(),
    "ordinal": pl.Int64(),
}
_TEXTS: LiteralString = """
    COPY (
        SELECT t.id, v.id, t.external_id, encode(v.sha256, 'hex'),
            coalesce(t.groups ->> (SELECT fold_group FROM corpora WHERE id = t.corpus_id), 'text:' || t.external_id),
            t.given_split, t.ordinal
        FROM texts t JOIN text_versions v ON v.id = t.current_version_id
        WHERE t.corpus_id = %(corpus)s
        ORDER BY t.ordinal, t.id
    ) TO STDOUT (FORMAT csv)
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A label snapshot read back; one row per text of the corpus, in the order of its file."""

    text_ids: NDArray[np.int64]
    text_version_ids: NDArray[np.int64]
    external_ids: list[str]
    sha256: list[str]
    """Hex, of the normalised content."""
    groups: list[str]
    """The fold group; `text:` and the external id where the text has none, so that it stands alone."""
    splits: list[str | None]
    ordinals: NDArray[np.int64]
    values: Labels
    """int8 (texts, options); unlabelled texts are all MISSING."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a freeze would store: the texts' frame with their values, and the tied cells."""

    frame: pl.DataFrame
    values: Labels
    ties: list[tuple[int, str]]
    """(text id, option key; for choose_one the question's)."""
    codebook: Codebook
    agreed: Agreed
    """How the annotators were brought together."""


def freeze(session: WriteSession, corpus_id: str, blobs: BlobStore) -> LabelSnapshot:
    """The snapshot of the corpus as it is now; the same content gives the row that exists.

    Raises Conflict when the corpus has no scheme or no texts.
    """
    lock_corpus(
        session, corpus_id
    )  # an import that commits between two reads would mix its texts with older labels
    frozen = current_labels(session, corpus_id)
    digest = content_digest(frozen)
    existing = _find(session, corpus_id, digest)
    if existing is not None:
        return existing
    blob = blobs.put_bytes(to_arrow(frozen.frame, frozen.values))
    register_blob(session, blobs, blob, "application/vnd.apache.arrow.file", "label-snapshot")
    row = {
        "id": new_id("snp"),
        "corpus_id": corpus_id,
        "digest": digest,
        "blob_digest": blob.digest,
        "scheme_version": frozen.codebook.version,
        "text_count": len(frozen.values),
        "cell_count": int(_cells(frozen)),
        "ties": [list(tie) for tie in frozen.ties[:TIES_LISTED]],
        "tie_count": len(frozen.ties),
        "consensus_method": frozen.agreed.method,
        "consensus_parameters": frozen.agreed.parameters,
    }
    # two jobs may freeze at once: whoever comes second takes the first one's row
    session.execute(insert(LabelSnapshot).values(row).on_conflict_do_nothing())
    found = _find(session, corpus_id, digest)
    assert found is not None
    return found


def current_labels(session: AnySession, corpus_id: str) -> Frozen:
    """Consensus with settled reviews put in, for every text of the corpus."""
    codebook = load_codebook(session, corpus_id)
    frame = copy_frame(session, _TEXTS, {"corpus": corpus_id}, _TEXT_COLUMNS)
    if frame.is_empty():
        raise Conflict("The corpus has no texts yet: import some first.", slug="no-texts")
    text_ids = frame["text_id"].to_numpy()
    agreed = agreed_labels(session, corpus_id, codebook, text_ids)
    row_of = {int(text_id): row for row, text_id in enumerate(text_ids)}
    settled = [s for s in settled_cells(session, corpus_id, codebook) if s.text_id in row_of]
    values = overridden(
        codebook.scheme,
        agreed.consensus.values,
        [(row_of[s.text_id], s.question, s.option, s.value) for s in settled],
    )
    decided = {(row_of[s.text_id], s.option or s.question) for s in settled}
    ties = [
        (int(text_ids[row]), key)
        for row, key in tied_cells(codebook.scheme, agreed.consensus.ties)
        if (row, key) not in decided
    ]
    return Frozen(frame, values, ties, codebook, agreed)


def content_digest(frozen: Frozen) -> str:
    """sha256 (hex) over scheme version, texts and values, and over the method where it is not the majority; independent of the file format."""
    hasher = sha256()
    width = frozen.values.shape[1]
    if (
        frozen.agreed.identity
    ):  # another method's row must not stand for this one, even where the values are equal
        hasher.update(f"consensus {frozen.agreed.identity}\n".encode())
    hasher.update(f"label-snapshot 1\n{frozen.codebook.version} {frozen.codebook.digest} {width}\n".encode())
    for name in frozen.frame.columns:
        column = frozen.frame[name]
        hasher.update(f"{name} {column.null_count()}\n".encode())
        if column.dtype == pl.Int64:
            hasher.update(column.to_numpy().astype("<i8").tobytes())
        else:
            hasher.update(column.is_null().cast(pl.UInt8).to_numpy().tobytes())
            hasher.update(column.fill_null("").str.len_bytes().to_numpy().astype("<i8").tobytes())
            hasher.update("".join(column.fill_null("").to_list()).encode())
    hasher.update(frozen.values.tobytes())
    return hasher.hexdigest()


def to_arrow(frame: pl.DataFrame, values: Labels) -> bytes:
    """The snapshot's blob: an Arrow IPC file of the texts' columns and `values` list<i8> (options)."""
    column = pl.Series("values", values.astype(np.int8), dtype=pl.Array(pl.Int8, values.shape[1]))
    buffer = io.BytesIO()
    frame.with_columns(column.cast(pl.List(pl.Int8))).write_ipc(buffer, compression="uncompressed")
    return buffer.getvalue()


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot's blob."""
    frame = pl.read_ipc(path)
    width = int(frame["values"].list.len().max() or 0)  # type: ignore[arg-type]  # polars types max() loosely
    values = frame["values"].explode().to_numpy().astype(np.int8).reshape(len(frame), width)
    return Snapshot(
        text_ids=frame["text_id"].to_numpy(),
        text_version_ids=frame["text_version_id"].to_numpy(),
        external_ids=frame["external_id"].to_list(),
        sha256=frame["sha256"].to_list(),
        groups=frame["group"].to_list(),
        splits=frame["split"].to_list(),
        ordinals=frame["ordinal"].to_numpy(),
        values=values,
    )


def frozen_values(path: Path, text_id: int, options: int) -> Labels:
    """One text's values in a snapshot's blob: int8 (1, options), MISSING where the snapshot has none."""
    found = pl.scan_ipc(path).filter(pl.col("text_id") == text_id).select("values").collect()
    values = np.full((1, options), MISSING, dtype=np.int8)
    if len(found):
        row = found["values"][0].to_numpy()[:options]
        values[0, : len(row)] = row
    return values


def _cells(frozen: Frozen) -> int:
    """Cells with a value."""
    return sum(
        int((frozen.values[:, cell.positions[0]] != MISSING).sum()) for cell in frozen.codebook.scheme.cells
    )


def _find(session: WriteSession, corpus_id: str, digest: str) -> LabelSnapshot | None:
    return session.scalars(
        select(LabelSnapshot).where(LabelSnapshot.corpus_id == corpus_id, LabelSnapshot.digest == digest)
    ).first()
