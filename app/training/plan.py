"""From a request and a corpus's labels to what is trained on: the same for the preview, the POST and the worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.audits.queries import audited_texts
from app.corpora.text_queries import get_sample
from app.db.session import AnySession
from app.http.problems import Invalid
from app.training.rules import Selection, select
from app.training.sample_schemas import InlineSample
from app.training.schemas import TrainJobRequest
from models.scheme import Labels, Scheme


def selection_for(
    session: AnySession,
    request: TrainJobRequest,
    corpus_id: str,
    scheme: Scheme,
    values: Labels,
    text_ids: NDArray[np.int64],
    external_ids: Sequence[str],
    splits: Sequence[str | None],
) -> Selection:
    """The rows and options that the request asks for; Invalid when there are none, or no such sample or split."""
    among = np.ones(len(values), dtype=np.bool_)
    if request.splits is not None:
        unknown = sorted(set(request.splits) - {split for split in splits if split})
        if unknown:
            raise Invalid(
                f"No text has the given split {unknown[0]!r}.", field="/splits", slug="unknown-split"
            )
        among &= np.isin(np.array([split or "" for split in splits]), request.splits)
    if isinstance(request.sample, str):
        sample = get_sample(session, corpus_id, request.sample)
        if sample is None:
            raise Invalid(
                f"The corpus has no sample {request.sample!r}.", field="/sample", slug="unknown-sample"
            )
        among &= np.isin(text_ids, sample.text_ids)
    for place, reference in enumerate(request.exclude_audit_samples):
        drawn = audited_texts(session, corpus_id, reference)
        if not drawn:
            raise Invalid(
                f"The corpus has no audit sample {reference!r}.",
                field=f"/exclude_audit_samples/{place}",
                slug="unknown-audit-sample",
            )
        among &= ~np.isin(text_ids, drawn)
    selection = select(
        scheme,
        values,
        external_ids,
        options=request.options,
        among=among,
        limit=request.limit,
        seed=request.seed,
    )
    if isinstance(request.sample, InlineSample) and request.sample.size > len(selection.rows):
        raise Invalid(
            f"A sample of {request.sample.size:,} is asked for, and {len(selection.rows):,} labelled texts may be used: ask for fewer.",
            field="/sample/size",
            slug="sample-too-large",
            rows=len(selection.rows),
        )
    return selection
