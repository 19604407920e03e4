"""The measurement of a generative task: a few documents of what the job would read, and a few steps of its trainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.corpora.queries import find_corpus
from app.db.session import reading
from app.http.problems import Problem
from app.settings import get_settings
from app.training.folder import Source, write_generative_folder
from app.training.generative_queries import documents_of, sized_documents
from app.training.generative_rules import check_sensitive, generative_request, settings_of
from app.training.generative_schemas import CausalSettings
from app.training.schemas import TrainJobRequest
from models.generative.estimate import GenerativeMeasured
from workers.job_context import JobContext, JobFailed

LEAST_CHARACTERS = 40_000
"""Of the documents that are read: a few blocks of the usual length."""
_CHARACTERS_PER_BLOCK_TOKEN = 20
"""Enough for a few blocks of any length."""
LEAST_PAIRS = 16


def measure_documents(context: JobContext, started: float) -> GenerativeMeasured:
    """Params: asked (app.training.generative_estimates.asked_for)."""
    from models.generative.measure import measure

    body = TrainJobRequest.model_validate(
        {
            name: value
            for name, value in context.params["asked"].items()
            if name in TrainJobRequest.model_fields
        }
        | {"corpus": context.corpus_id}
    )
    inputs = context.work_dir / "input"
    try:
        documents = _sample(context, body)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    write_generative_folder(inputs, generative_request(body, get_settings()), documents)
    context.beat("measuring")
    return measure(Path(inputs), started, context.beat)


def _sample(context: JobContext, body: TrainJobRequest) -> list[Source]:
    """Documents in a drawn order, as many as are needed, the last one cut."""
    assert context.corpus_id is not None
    most = LEAST_CHARACTERS
    settings = settings_of(body)
    if isinstance(settings, CausalSettings) and settings.block_tokens != "auto":
        most = max(most, _CHARACTERS_PER_BLOCK_TOKEN * settings.block_tokens)
    with reading() as session:
        corpus = find_corpus(session, context.corpus_id)
        check_sensitive(body.task, sensitive=corpus.sensitive)
        sizes = sized_documents(session, context.blobs, corpus, body)
        drawn, taken = set[int](), 0
        for place in np.random.default_rng(0).permutation(len(sizes)).tolist():
            if taken < most or (body.task == "summarize" and len(drawn) < LEAST_PAIRS):
                drawn.add(place)
                taken += sizes[place].characters
        documents = enumerate(documents_of(session, context.blobs, corpus, body))
        return [_cut(source, most) for place, source in documents if place in drawn]


def _cut(source: Source, most: int) -> Source:
    return Source(source.key, source.content[:most], source.group, source.summary)
