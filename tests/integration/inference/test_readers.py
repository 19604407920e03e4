"""What the worker computes in shared batches is what the adapter computes by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.encoder.forward import embed
from workers.inference.adapter_reader import adapter_reader
from workers.inference.base_reader import BaseReader
from workers.inference.engine import Engine
from workers.inference.queue import LaneQueue
from workers.inference.reading import Plan
from workers.inference.work import Lane, TextFailure, make_work

CLOSE = 0.02
"""bf16 rounds differently in batches of another shape."""


@pytest.fixture(scope="module")
def adapter(trained):
    return trained.load()


@pytest.fixture
def answer():
    """Sends texts through a queue and an engine with small batches."""
    queue = LaneQueue(10**6)
    engine = Engine(queue, 128, torch.inference_mode)
    engine.start()

    def ask(reader, texts, plan, pool="mean"):
        prepared = reader.prepare(texts, plan)
        work, windows = make_work(reader, Lane.BULK, prepared.windows_of, prepared.context)
        if windows:
            queue.put(queue.admit(Lane.BULK, work.tokens), work, windows)
        return prepared, reader.finish(prepared, work.future.result(60), plan, pool)

    yield ask
    engine.stop()


@pytest.fixture(scope="module")
def texts(trained):
    """Letters, an empty text, and one of many windows."""
    return [*trained.texts[:12], "", " ".join(trained.texts[:10])]


def test_the_final_model(adapter, texts, answer):
    _, found = answer(adapter_reader(adapter, "d"), texts, Plan())
    np.testing.assert_allclose(found.probabilities, adapter.predict(texts), atol=CLOSE)
    assert found.failures == {}


def test_each_text_by_the_members_it_is_given_to(adapter, texts, answer):
    uses = tuple((0,) if row % 3 == 0 else (1,) if row % 3 == 1 else (0, 1) for row in range(len(texts)))
    _, found = answer(
        adapter_reader(adapter, "d"), texts, Plan(("fold0", "fold1", "final"), uses, embeddings=True)
    )
    by_member = adapter.predict_members(texts, ("fold0", "fold1"))
    expected = np.stack([by_member[list(use), row].mean(axis=0) for row, use in enumerate(uses)])
    np.testing.assert_allclose(found.probabilities, expected, atol=CLOSE)


def test_embeddings_beside_predictions_and_alone(adapter, texts, answer):
    expected = embed(adapter.encoder, texts)
    for reader in (adapter_reader(adapter, "d"), BaseReader("tiny", adapter.encoder)):
        _, found = answer(reader, texts, Plan(embeddings=True))
        assert (found.embeddings * expected).sum(axis=1).min() > 0.99


def test_a_long_text_is_read_to_its_end_and_says_which_window_decided(adapter, texts, answer):
    prepared, found = answer(adapter_reader(adapter, "d"), texts, Plan())
    expected = adapter.read_windows(texts)
    assert [len(spans) for spans in prepared.spans_of] == expected.windows.tolist()
    assert (
        prepared.spans_of[-1] == list(expected.spans[-1])
        or tuple(prepared.spans_of[-1]) == expected.spans[-1]
    )
    assert prepared.spans_of[-1][-1][1] == len(texts[-1])
    assert found.deciding.shape == (len(texts), 3)
    assert (found.deciding[:12] == 0).all()
    assert (found.deciding[-1] < len(prepared.spans_of[-1])).all()


def test_the_strongest_window_says_at_least_as_much_as_the_whole(adapter, texts, answer):
    reader = adapter_reader(adapter, "d")
    _, mean = answer(reader, texts, Plan(), "mean")
    _, strongest = answer(reader, texts, Plan(), "max")
    np.testing.assert_allclose(strongest.probabilities[:12], mean.probabilities[:12], atol=CLOSE)
    assert (strongest.probabilities[-1] >= mean.probabilities[-1] - CLOSE).all()


def test_a_member_that_does_not_exist(adapter):
    with pytest.raises(KeyError, match="fold9"):
        adapter_reader(adapter, "d").prepare(["a"], Plan(("fold9",)))


def test_a_text_that_the_tokenizer_cannot_take_fails_alone(adapter, answer, monkeypatch):
    tokenize = adapter.encoder.tokenizer.__class__.encode_batch_fast
    reader = adapter_reader(adapter, "d")

    class Choking:
        def __getattr__(self, name):
            return getattr(adapter.encoder.tokenizer, name)

        def encode_batch_fast(self, texts, **options):
            if any("poison" in text for text in texts):
                raise RuntimeError("cannot")
            return tokenize(adapter.encoder.tokenizer, texts, **options)

    from dataclasses import replace

    choking = replace(adapter, encoder=replace(adapter.encoder, tokenizer=Choking()))
    reader = adapter_reader(choking, "d")
    _, found = answer(reader, ["my family", "poison", "the court"], Plan())
    assert isinstance(found.failures[1], TextFailure)
    assert np.isnan(found.probabilities[1]).all()
    assert np.isfinite(found.probabilities[[0, 2]]).all()


def test_memory_is_counted(adapter):
    weights = sum(p.nbytes for member in adapter.loaded.values() for p in member.upper.parameters())
    assert adapter_reader(adapter, "d").size > weights > 0
