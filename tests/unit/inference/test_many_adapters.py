"""Two hundred adapters on one base model, any mix of them in flight, with room for a few: each text is answered by its own."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.adapters.load import FINAL
from models.encoder.load import load_encoder
from models.encoder.lora import copy_layers, lora_state, merged_layers, with_lora
from models.encoder.pace import Batching
from tests.quick_adapter import quick_adapter
from tests.tiny_encoder import arguments_scheme, make_encoder, synthetic_letters
from workers.inference.adapter_reader import adapter_reader
from workers.inference.engine import Engine
from workers.inference.queue import LaneQueue
from workers.inference.reading import Plan
from workers.inference.residents import Residents
from workers.inference.service import Question, Service, respond
from workers.inference.work import Lane, make_work

ADAPTERS = 200
REQUESTS = 400
BOUND = 1e-5
"""To which probabilities depend on batch mates, in fp32 on a CPU: the order in which sums are rounded."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_encoder(make_encoder(tmp_path_factory.mktemp("many") / "bert"), "cpu", torch.float32)


@pytest.fixture(scope="module")
def made(encoder):
    """Makes the adapter of a number: the same head, each with upper layers of its own."""
    texts, labels = synthetic_letters(40)
    plain = quick_adapter(encoder, texts, labels, arguments_scheme())

    def make(number):
        generator = torch.Generator().manual_seed(number)
        layers = with_lora(copy_layers(encoder, 1), rank=2)
        with torch.no_grad():
            for name, value in layers.named_parameters():
                if "lora_" in name:
                    value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
        upper = merged_layers(encoder, 1, lora_state(layers, encoder.layer_path, 1))
        member = replace(plain.loaded[FINAL], upper=upper)
        return replace(plain, loaded={FINAL: member})

    return make


def test_adapters_of_one_base_model_share_a_batch(made):
    texts, _ = synthetic_letters(12, seed=3)
    readers = [adapter_reader(made(number), str(number), Batching(True, 10**5)) for number in range(6)]
    queue, plans = LaneQueue(10**6), [Plan(), Plan(embeddings=True)]
    asked = [(readers[row % 6], text, plans[row % 2]) for row, text in enumerate(texts)]
    prepared = [reader.prepare([text], plan) for reader, text, plan in asked]
    works = []
    for (reader, _, _), ready in zip(asked, prepared, strict=True):
        work, windows = make_work(reader, Lane.BULK, ready.windows_of, ready.context)
        queue.put(queue.admit(Lane.BULK, 1), work, windows)
        works.append(work)
    batch = queue.take(1)
    assert {window.request for window in batch} == set(works)
    with torch.inference_mode():
        for window, result in zip(batch, batch[0].request.runner.run(batch), strict=True):
            window.request.settle(window, result)
    for (reader, text, plan), ready, work in zip(asked, prepared, works, strict=True):
        answer = reader.finish(ready, work.future.result(0), plan, "mean")
        np.testing.assert_allclose(answer.probabilities, reader.adapter.predict([text]), atol=BOUND, rtol=0)
        assert (answer.embeddings is not None) == plan.embeddings


def test_the_mean_of_several_fold_models_reads_the_frozen_layers_once(made, encoder):
    folds = {f"fold{number}": made(number).loaded[FINAL] for number in range(4)}
    one = made(9)
    reader = adapter_reader(replace(one, loaded=one.loaded | folds), "d", Batching(True, 10**5))
    texts, _ = synthetic_letters(6, seed=5)
    uses = tuple((0, 1, 2, 3) if row % 2 else (row % 4,) for row in range(len(texts)))
    plan = Plan(tuple(folds), uses)
    prepared = reader.prepare(texts, plan)
    work, windows = make_work(reader, Lane.BULK, prepared.windows_of, prepared.context)
    read: dict[str, list[int]] = {}
    with ExitStack() as hooks:
        for name, layer in {
            "frozen": encoder.layers[0],
            **{name: fold.upper[0] for name, fold in folds.items()},
        }.items():

            def note(_layer, given, _found, name=name):
                read.setdefault(name, []).append(given[0].shape[1])

            hooks.callback(layer.register_forward_hook(note).remove)
        for window, result in zip(windows, reader.run(windows), strict=True):
            work.settle(window, result)
    tokens = [sum(window.tokens for window in windows if place in uses[window.text]) for place in range(4)]
    assert read == {"frozen": [work.tokens], **{f"fold{place}": [tokens[place]] for place in range(4)}}
    found = reader.finish(prepared, work.future.result(0), plan, "mean").probabilities
    each = np.stack([made(number).predict(texts) for number in range(4)])
    expected = np.stack([each[list(places), row].mean(axis=0) for row, places in enumerate(uses)])
    np.testing.assert_allclose(found, expected, atol=BOUND)


def test_two_hundred_adapters_in_flight_at_once(made):
    random.seed(4)
    texts, _ = synthetic_letters(REQUESTS, seed=9)
    asked = [random.randrange(ADAPTERS) for _ in range(REQUESTS)]
    queue = LaneQueue(10**7)
    engine = Engine(queue, 256, torch.inference_mode)

    def load(digest):
        return adapter_reader(made(int(digest)), digest, Batching(True, 256))

    async def main():
        with ThreadPoolExecutor(4) as pool:
            residents = Residents(load, 8 * load("0").size, pool)
            service = Service(queue, engine, residents, residents, pool)
            answers = await asyncio.gather(
                *(
                    respond(
                        service,
                        residents.get(str(number)),
                        Question(Lane.INTERACTIVE if row % 2 else Lane.BULK, [texts[row]]),
                        asyncio.Event().wait,
                    )
                    for row, number in enumerate(asked)
                )
            )
            assert len(residents.digests) <= 8
            assert residents.comings.loads >= len(set(asked))
            assert residents.comings.evictions == residents.comings.loads - len(residents.digests)
            return [outcome.answer.probabilities[0] for outcome in answers]

    engine.start()
    try:
        found = asyncio.run(main())
    finally:
        engine.stop()
    expected = [made(number).predict([text])[0] for number, text in zip(asked, texts, strict=True)]
    np.testing.assert_allclose(found, expected, atol=BOUND, rtol=0)
    assert len({tuple(np.round(row, 4)) for row in expected}) > ADAPTERS / 2
