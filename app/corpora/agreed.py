"""The annotators' consensus of a corpus by the method that it is set to."""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import text

from app.corpora.annotations import copy_frame, load_annotations
from app.corpora.codebook import Codebook
from app.corpora.consensus_methods import Agreed, HeldOut, Method, agreed_by
from app.db.session import AnySession

_METHOD = text("SELECT consensus FROM corpora WHERE id = :corpus")
_RUN = text(
    """SELECT id, option_keys FROM relabel_runs WHERE corpus_id = :corpus AND finished_at IS NOT NULL
    ORDER BY finished_at DESC, id DESC LIMIT 1"""
)
_HELD_OUT = """
    COPY (
        SELECT t.id, array_to_string(p.probabilities, ' ')
        FROM predictions p JOIN texts t ON t.current_version_id = p.text_version_id
        WHERE p.run_id = %(run)s AND p.held_out AND t.corpus_id = %(corpus)s
    ) TO STDOUT (FORMAT csv)
"""
_COLUMNS = {"text_id": pl.Int64(), "probabilities": pl.String()}


def agreed_labels(
    session: AnySession, corpus_id: str, codebook: Codebook, text_ids: NDArray[np.int64]
) -> Agreed:
    """The consensus of all texts of a corpus: how each annotator errs is learnt from all of them.

    text_ids: int64 (texts,), every text of the corpus, in the order of the result's rows.
    """
    method = consensus_method(session, corpus_id)
    annotations = load_annotations(session, corpus_id, codebook, text_ids)
    beside = newest_held_out(session, corpus_id, codebook, text_ids) if method == "model_aware" else None
    return agreed_by(method, codebook.scheme, annotations, len(text_ids), beside)


def consensus_method(session: AnySession, corpus_id: str) -> Method:
    """The method that a corpus is set to."""
    return cast("Method", session.scalar(_METHOD, {"corpus": corpus_id}))


def newest_held_out(
    session: AnySession, corpus_id: str, codebook: Codebook, text_ids: NDArray[np.int64]
) -> HeldOut | None:
    """What the newest finished relabel run says of the texts' present contents, held out; None where there is no such run.

    text_ids: int64 (texts,), in the order of the result's rows.
    """
    run = session.execute(_RUN, {"corpus": corpus_id}).first()
    if run is None:
        return None
    frame = copy_frame(session, _HELD_OUT, {"run": run.id, "corpus": corpus_id}, _COLUMNS)
    keys = codebook.scheme.option_keys
    found = np.full((len(text_ids), len(keys)), np.nan, dtype=np.float32)
    if frame.is_empty():
        return HeldOut(run.id, found)
    width = len(run.option_keys)
    said = np.array(" ".join(frame["probabilities"]).split(" "), dtype=np.float32).reshape(len(frame), width)
    order = np.argsort(text_ids)
    ids = frame["text_id"].to_numpy()
    places = order[np.minimum(np.searchsorted(text_ids, ids, sorter=order), len(text_ids) - 1)]
    known = text_ids[places] == ids
    theirs = [place for place, key in enumerate(run.option_keys) if key in keys]
    ours = [keys.index(run.option_keys[place]) for place in theirs]
    found[np.ix_(places[known], ours)] = said[np.ix_(known, theirs)]
    return HeldOut(run.id, found)
