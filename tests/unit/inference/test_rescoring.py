"""Bulk answers read in low precision: what hangs on rounding is read again in fp32, everything else stays as it was read."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.adapters.load import FINAL
from models.encoder.int8 import int8_encoder
from models.encoder.load import load_encoder
from models.encoder.lora import copy_layers
from tests.quick_adapter import quick_adapter
from tests.tiny_encoder import arguments_scheme, make_encoder, synthetic_letters
from workers.inference.adapter_reader import EXACT, adapter_reader
from workers.inference.engine import Engine
from workers.inference.queue import LaneQueue
from workers.inference.reading import Answer, Plan
from workers.inference.rescoring import BOUNDS, doubtful, merged, plan_of
from workers.inference.residents import Residents
from workers.inference.service import Question, Service, respond
from workers.inference.work import Lane

TEXTS = synthetic_letters(60, seed=5)[0]


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    encoder = load_encoder(
        make_encoder(tmp_path_factory.mktemp("exact") / "bert", "bert"), "cpu", torch.float32
    )
    return quick_adapter(encoder, *synthetic_letters(60), arguments_scheme())


@pytest.fixture(scope="module")
def half(exact):
    """The same adapter on a base model in bf16."""
    encoder = load_encoder(exact.encoder.path, "cpu", torch.bfloat16)
    member = replace(exact.loaded[FINAL], upper=copy_layers(encoder, exact.depth))
    return replace(exact, encoder=encoder, loaded={FINAL: member})


def answered(reader, exact, lane):
    """Probabilities of TEXTS, and which adapters were loaded for them."""
    loaded = []

    def load(key):
        loaded.append(key)
        return adapter_reader(exact, key)

    async def main():
        queue = LaneQueue(10**6)
        engine = Engine(queue, 512, torch.inference_mode)
        engine.start()
        try:
            with ThreadPoolExecutor(2) as pool:
                residents = Residents(load, 1 << 30, pool)
                service = Service(queue, engine, residents, residents, pool)

                async def ready():
                    return reader

                outcome = await respond(service, ready(), Question(lane, TEXTS), asyncio.Event().wait)
                return outcome.answer.probabilities
        finally:
            engine.stop()

    return asyncio.run(main()), loaded


def test_bulk_answers_in_8_bits_are_exact_near_thresholds(exact):
    reader = adapter_reader(exact, "d", low=int8_encoder(exact.encoder))
    assert reader.size > adapter_reader(exact, "d").size
    true = exact.predict(TEXTS)
    rough, _ = answered(reader, exact, Lane.INTERACTIVE)
    found, loaded = answered(reader, exact, Lane.BULK)
    assert loaded == []
    rows = doubtful(rough, [exact.thresholds], BOUNDS["int8"])
    assert len(rows)
    others = np.setdiff1d(np.arange(len(TEXTS)), rows)
    np.testing.assert_allclose(found[rows], true[rows], atol=1e-5)
    np.testing.assert_allclose(found[others], rough[others], atol=1e-2)
    assert not np.allclose(rough, true, atol=1e-5)
    assert np.abs(rough - true).max() < BOUNDS["int8"]
    assert (exact.decide(found) == exact.decide(true)).all()


def test_bulk_answers_in_bf16_load_the_exact_adapter_where_they_need_it(exact, half):
    true = exact.predict(TEXTS)
    reader = adapter_reader(half, "d")
    found, loaded = answered(reader, exact, Lane.BULK)
    assert loaded == ["d" + EXACT]
    assert np.abs(half.predict(TEXTS) - true).max() < BOUNDS["bfloat16"]
    assert (exact.decide(found) == exact.decide(true)).all()
    assert answered(reader, exact, Lane.INTERACTIVE)[1] == []


def test_fp32_is_read_once(exact):
    reader = adapter_reader(exact, "d")
    assert len(reader.doubtful(Answer({}, exact.predict(TEXTS)))) == 0
    assert answered(reader, exact, Lane.BULK)[1] == []


def test_doubt_is_about_any_option_of_any_reading_and_never_about_failed_texts():
    given = np.array([[0.5, 0.9], [0.1, 0.31], [0.1, 0.9], [np.nan, np.nan]], dtype=np.float32)
    thresholds = [np.array([0.5, 0.5], dtype=np.float32), np.array([0.7, 0.3], dtype=np.float32)]
    assert doubtful(given, thresholds, 0.02).tolist() == [0, 1]


def test_some_texts_of_a_plan_keep_their_members_and_contexts():
    plan = Plan(("fold0", "fold1"), ((0,), (1,), (0, 1)), True, (None, None, None))
    assert plan_of(plan, [2, 0]) == Plan(("fold0", "fold1"), ((0, 1), (0,)), False, (None, None))


def test_what_could_not_be_read_again_keeps_its_first_answer():
    first = Answer({}, np.zeros((3, 2), dtype=np.float32), embeddings=np.ones((3, 4), dtype=np.float32))
    second = Answer({}, np.array([[np.nan, np.nan], [0.4, 0.6]], dtype=np.float32))
    found = merged(first, second, np.array([0, 2]))
    np.testing.assert_allclose(found.probabilities, [[0, 0], [0, 0], [0.4, 0.6]])
    assert found.embeddings is first.embeddings
