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


def test_pinned_adapters_are_given_up_last(executor):
    async def main():
        residents = Residents(lambda digest: FakeReader(digest, size=4), 12, executor)
        await residents.get("promoted", pin=True)
        for digest in ("a", "b", "c", "d"):
            await residents.get(digest)
        assert residents.digests == ("promoted", "c", "d")
        assert residents.pinned == ("promoted",)
        for digest in ("e", "f", "g"):
            await residents.get(digest, pin=True)
        assert residents.digests == ("e", "f", "g")
        assert residents.comings.loads == 8
        assert residents.comings.evictions == 5

    asyncio.run(main())


def test_a_cold_adapter_waits_for_no_load_but_its_own():
    slow = threading.Event()

    def load(digest):
        if digest == "slow":
            assert slow.wait(10)
        return FakeReader(digest)

    async def main(pool):
        residents = Residents(load, 10, pool)
        waiting = asyncio.create_task(residents.get("slow"))
        await asyncio.sleep(0)
        assert (await residents.get("quick")).name == "quick"
        assert not waiting.done()
        slow.set()
        assert (await waiting).name == "slow"

    with ThreadPoolExecutor(2) as pool:
        asyncio.run(main(pool))


def test_what_is_given_up_still_answers_who_holds_it(executor):
    async def main():
        residents = Residents(lambda digest: FakeReader(digest, size=8), 10, executor)
        held = await residents.get("a")
        await residents.get("b")
        assert residents.digests == ("b",)
        assert held.name == "a"
        assert (await residents.get("a")) is not held

    asyncio.run(main())
