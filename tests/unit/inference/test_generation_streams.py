"""A stream whose caller goes before it begins gives back what was kept for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from starlette.requests import Request
from starlette.types import Message

from models.generative.decode.load import load_writer
from tests.tiny_writer import make_writer
from workers.inference.engine import Engine
from workers.inference.generation import GenerationLimits, Generations, Writers
from workers.inference.generation_loading import LoadedWording, LoadedWriter
from workers.inference.generation_routes import GenerationRoutes
from workers.inference.queue import LaneQueue
from workers.inference.residents import Residents

PATIENCE = 60


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    writer = load_writer(make_writer(tmp_path / "gptj", "gptj"), "gptj", torch.device("cpu"))
    queue = LaneQueue(10_000)
    engine, generations = Engine(queue, 1024), Generations(queue, GenerationLimits(queued_tokens=100))
    engine.start()
    generations.start()
    with ThreadPoolExecutor(1) as threads:
        wordings = Residents(lambda _: LoadedWording(writer.wording), 1 << 30, threads)
        yield Writers(
            generations, wordings, Residents(lambda _: LoadedWriter(writer), 1 << 30, threads), threads
        )
    generations.close()
    engine.stop()


def test_a_caller_who_goes_before_the_first_word_leaves_no_room_taken(writers: Writers) -> None:
    body = json.dumps({"base": "gptj", "prompts": ["a claim"], "max_tokens": 40, "stream": True}).encode()
    coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def ask() -> None:
        request = Request({"type": "http", "method": "POST", "path": "/generate", "headers": []}, receive)
        await GenerationRoutes(writers).generate(request)  # nobody is there to whom the answer could be sent

    async def asked() -> None:
        await ask()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    asyncio.run(asked())
    assert writers.generations.queued_tokens == 0
