"""Two hundred adapters on one base model, any mix of them in flight, with room for a few: each text is answered by its own."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
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
from workers.inference.residents import Residents
from workers.inference.service import Question, Service, respond
from workers.inference.work import Lane

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
