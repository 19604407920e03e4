"""A stream whose caller goes before it begins gives back what was kept for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from tests.running_writers import running_writers
from workers.inference.generation import GenerationLimits, Writers
from workers.inference.generation_routes import GenerationRoutes

PATIENCE = 60


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    with running_writers(tmp_path, GenerationLimits(queued_tokens=100)) as writers:
        yield writers


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
