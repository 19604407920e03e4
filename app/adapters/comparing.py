"""Two adapters on the cells that both hold out, against the labels in force: for the gate, the API and the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.adapters.held_out import HeldOut, read_held_out
from app.blobs import BlobStore
from app.corpora.snapshots import Frozen, current_labels
from app.db.session import AnySession
from app.db.tables import Adapter
from app.http.problems import Conflict
from app.relabelling.rules import common_scheme
from models.evaluation.paired import Side, common_cells, compare_sides
from models.scheme import MISSING, Labels, Scheme

DRAWS = 500
IDS_LISTED = 200


@dataclass(frozen=True, slots=True)
class Shared:
    """The cells that both adapters hold out; arrays have a row per shared text and a column per shared option."""

    scheme: Scheme
    keys: list[str]
    """External ids."""
    groups: list[str]
    labels: Labels
    """int8 (rows, options), MISSING where not both have read the cell."""
    first: Side
    second: Side


def compare_adapters(
    session: AnySession, blobs: BlobStore, first: Adapter, second: Adapter, draws: int = DRAWS
) -> tuple[dict[str, Any], Shared]:
    """What separates two adapters on the same held-out cells, and the cells.

    Raises Conflict when they share no corpus, no options or no held-out texts.
    """
    corpus_id = _shared_corpus(first, second)
    shared = shared_cells(
        current_labels(session, corpus_id),
        (first, _held_out(blobs, first)),
        (second, _held_out(blobs, second)),
    )
    found = compare_sides(
        shared.labels, shared.first, shared.second, shared.groups, shared.scheme.option_keys, 0, draws
    )
    if not found["cells"]:
        raise Conflict(
            "Neither adapter holds out a labelled text that the other holds out as well: evaluate both with POST /evaluations "
            "and `compare_with`.",
            field="with",
            slug="nothing-shared",
        )
    differing = disagreeing(shared)
    for option in found["options"]:
        option["decided_otherwise"] = int(differing[:, shared.scheme.option_keys.index(option["key"])].sum())
    return plain(found), shared


def compared(session: AnySession, blobs: BlobStore, new: Adapter, promoted: Adapter) -> dict[str, Any] | None:
    """For the gate: new minus promoted on the same held-out cells; None where they share none."""
    try:
        return compare_adapters(session, blobs, new, promoted)[0]
    except (Conflict, FileNotFoundError):
        return None


def disagreeing(shared: Shared) -> NDArray[np.bool_]:
    """Cells on which the two decide differently, labelled or not: bool (rows, options)."""
    first, second = shared.first.decisions, shared.second.decisions
    return np.asarray((first != second) & (first != MISSING) & (second != MISSING))


def disagreeing_ids(shared: Shared, most: int = IDS_LISTED) -> list[dict[str, str]]:
    """External ids and options of the first cells on which they decide differently; not what either says, so that blind reading stays blind."""
    places = np.argwhere(disagreeing(shared))[:most]
    keys = shared.scheme.option_keys
    return [{"external_id": shared.keys[row], "option": keys[column]} for row, column in places.tolist()]


def shared_cells(frozen: Frozen, *sides: tuple[Adapter, HeldOut]) -> Shared:
    """Rows by external id and columns by option key that both adapters have."""
    (one, first), (other, second) = sides
    scheme = common_scheme(
        frozen.codebook.scheme, [key for key in one.option_keys if key in other.option_keys]
    )
    keys = scheme.option_keys
    if not keys:
        raise Conflict("The two adapters have no option in common.", field="with", slug="no-common-option")
    externals = frozen.frame["external_id"].to_list()
    place = {key: row for row, key in enumerate(externals)}
    ours, theirs = ({key: row for row, key in enumerate(found.keys)} for found in (first, second))
    common = [key for key in first.keys if key in theirs and key in place]
    corpus = np.array([place[key] for key in common], dtype=np.int64)
    columns = [frozen.codebook.scheme.option_keys.index(key) for key in keys]
    groups = frozen.frame["group"].to_list()
    left = _side(first, [ours[key] for key in common], [one.option_keys.index(key) for key in keys])
    right = _side(second, [theirs[key] for key in common], [other.option_keys.index(key) for key in keys])
    labels = frozen.values[corpus][:, columns]
    return Shared(
        scheme,
        common,
        [groups[row] for row in corpus.tolist()],
        common_cells(labels, left, right),
        left,
        right,
    )


def plain(value: Any) -> Any:
    """JSON-ready: NaN as None, floats to 6 digits."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _side(found: HeldOut, rows: list[int], columns: list[int]) -> Side:
    picked = np.ix_(np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64))
    return Side(found.probabilities[picked], found.decisions[picked])


def _shared_corpus(first: Adapter, second: Adapter) -> str:
    found = {adapter.corpus_id for adapter in (first, second)} - {None}
    if len(found) != 1:
        raise Conflict(
            "Only adapters of one corpus hold out the same texts: evaluate both on one corpus with POST /evaluations and `compare_with`.",
            field="with",
            slug="foreign-adapter",
        )
    return str(found.pop())


def _held_out(blobs: BlobStore, adapter: Adapter) -> HeldOut:
    found = None
    if adapter.task == "classify":
        found = read_held_out(blobs.path(adapter.blob_digest), adapter.option_keys)
    if found is None:
        raise Conflict(
            f"The adapter {adapter.id} carries no held-out probabilities.", field="with", slug="no-held-out"
        )
    return found
