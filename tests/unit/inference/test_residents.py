"""Adapters in memory: one load for many callers, least recently used goes first, failed loads are tried again."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.inference.fakes import FakeReader
from workers.inference.residents import Residents


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_callers_share_one_load(executor):
    gate, loads = threading.Event(), []

    def load(digest):
        loads.append(digest)
        assert gate.wait(10)
        return FakeReader(digest)

    async def main():
        residents = Residents(load, 10, executor)
        waiting = [asyncio.create_task(residents.get("a")) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.set()
        found = await asyncio.gather(*waiting[1:])
        assert len({id(reader) for reader in found}) == 1
        assert residents.digests == ("a",)

    asyncio.run(main())
    assert loads == ["a"]


def test_the_least_recently_used_is_given_up_when_bytes_run_short(executor):
    async def main():
        residents = Residents(lambda digest: FakeReader(digest, size=4), 10, executor)
        for digest in ("a", "b", "a", "c"):
            await residents.get(digest)
        assert residents.digests == ("a", "c")
        assert residents.size == 8

    asyncio.run(main())


def test_one_larger_than_the_memory_stays(executor):
    async def main():
        residents = Residents(lambda digest: FakeReader(digest, size=40), 10, executor)
        await residents.get("a")
        assert residents.digests == ("a",)

    asyncio.run(main())


def test_a_failed_load_is_told_to_each_caller_and_tried_again(executor):
    tries = []

    def load(digest):
        tries.append(digest)
        if len(tries) == 1:
            raise FileNotFoundError(digest)
        return FakeReader(digest)

    async def main():
        residents = Residents(load, 10, executor)
        outcomes = await asyncio.gather(residents.get("a"), residents.get("a"), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [FileNotFoundError, FileNotFoundError]
        assert (await residents.get("a")).name == "a"

    asyncio.run(main())
    assert tries == ["a", "a"]
