"""Rules of samples: which fields a strategy takes, which texts may be drawn and fitted on, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.corpora.sample_schemas import SampleRequest
from app.http.problems import Conflict, Invalid
from models.scheme import MISSING, Labels

Mask = NDArray[np.bool_]

_STRATIFIED = {"clusters", "allocation", "least", "smallest"}
_SCORED = {"random_share", "run"}
_TAKES = {
    "random": set[str](),
    "stratified": _STRATIFIED | {"held_out_splits"},
    "uncertainty": _SCORED | {"measure"},
    "diversity": _SCORED | {"spreading", "held_out_splits"},
    "uncertain_diverse": _SCORED | {"measure", "spreading", "pool", "held_out_splits"},
}
"""Fields that a strategy uses beside size, seed and frame."""
ALWAYS = {"strategy", "size", "seed", "frame"}
USES_WORDS = {"stratified", "diversity", "uncertain_diverse"}
USES_PREDICTIONS = {"uncertainty", "uncertain_diverse"}


@dataclass(frozen=True, slots=True)
class Places:
    """Which texts of a snapshot may be drawn, and which may be fitted on. Masks are bool (texts)."""

    frame: Mask
    labelled: Mask
    fit: Mask
    """Never of a held-out split. Of the frame where it has any such text, else of the whole corpus."""


def check_fields(asked: SampleRequest) -> None:
    """Raise Invalid for a field that was given and that the strategy has no use for."""
    surplus = sorted(asked.model_fields_set - ALWAYS - _TAKES[asked.strategy])
    if surplus:
        users = [name for name, fields in _TAKES.items() if surplus[0] in fields]
        raise Invalid(
            f"The strategy {asked.strategy!r} has no use for {surplus[0]!r}: leave it out, or choose {' or '.join(users)}.",
            field=f"/{surplus[0]}",
            slug="unused-field",
        )


def check_splits(asked: SampleRequest, splits: Iterable[str | None]) -> None:
    """Raise Invalid for a split in the frame that no text has."""
    unknown = sorted(set(asked.frame.splits or ()) - {split for split in splits if split})
    if unknown:
        raise Invalid(
            f"No text has the given split {unknown[0]!r}.", field="/frame/splits", slug="unknown-split"
        )


def places(asked: SampleRequest, splits: Sequence[str | None], values: Labels, elsewhere: Mask) -> Places:
    """Frame, labelled texts and texts to fit on.

    Args:
        asked: the request.
        splits: the given split of each text.
        values: consensus, int8 (texts, options).
        elsewhere: bool (texts,): matches the metadata and is in no excluded sample.
    """
    labelled = np.asarray((values != MISSING).any(axis=1))
    frame = elsewhere.copy()
    if asked.frame.splits is not None:
        frame &= np.isin(np.array([split or "" for split in splits]), asked.frame.splits)
    if asked.frame.labels != "any":
        frame &= labelled if asked.frame.labels == "labelled" else ~labelled
    barred = {name.casefold() for name in asked.held_out_splits}
    free = np.array([(split or "").casefold() not in barred for split in splits], dtype=np.bool_)
    return Places(frame, labelled, frame & free if (frame & free).any() else free)


def check_size(asked: SampleRequest, found: Places, predicted: int | None) -> None:
    """Raise a problem when the frame is empty or too small, or there is nothing to fit on.

    predicted: texts of the frame with a prediction; None where none is used.
    """
    frame = int(found.frame.sum())
    if not frame:
        raise Invalid("No text meets these conditions.", field="/frame", slug="empty-frame")
    if asked.strategy in USES_WORDS and not found.fit.any():
        raise Conflict(
            "Every text of the corpus belongs to a held-out split, and clusters are never fitted on those: name fewer as `held_out_splits`.",
            field="/held_out_splits",
            slug="only-held-out",
        )
    if asked.size > frame:
        raise Invalid(
            f"{asked.size:,} texts are asked for and {frame:,} may be drawn: ask for fewer, or widen the frame.",
            field="/size",
            slug="sample-too-large",
            frame=frame,
        )
    if predicted is not None and asked.size > predicted:
        raise Invalid(
            f"{asked.size:,} texts are asked for and {predicted:,} of the frame's {frame:,} have a prediction: ask for fewer, or "
            "relabel the corpus first (POST /relabel-jobs).",
            field="/size",
            slug="sample-too-large",
            frame=frame,
            predicted=predicted,
        )
