"""Answers are remembered for a moment and asked for anew before they are too old; nothing wrong is remembered."""

import asyncio
import threading

import pytest

from app.http import remembered as module
from app.http.remembered import Remembered

SECONDS = 10.0


class Clock:
    """In place of the module `time`."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Database:
    """Answers by number of questions; a gate holds one up."""

    def __init__(self, *answers):
        self.answers, self.asked, self.gate = list(answers), 0, threading.Event()
        self.gate.set()

    def __call__(self):
        self.asked += 1
        assert self.gate.wait(10)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def settled(known):
    """Once what is asked in the background is answered."""
    await asyncio.gather(
        *(entry.asked for entry in known._known.values() if entry.asked), return_exceptions=True
    )


def test_an_answer_is_asked_for_once_and_again_when_it_is_too_old(clock):
    async def main():
        known, database = Remembered(SECONDS), Database("one", "two")
        assert [await known.get("k", database) for _ in range(3)] == ["one"] * 3
        clock.now += SECONDS
        assert await known.get("k", database) == "two"
        assert database.asked == 2

    asyncio.run(main())


def test_who_asks_late_has_it_asked_anew_and_does_not_wait(clock):
    async def main():
        known, database = Remembered(SECONDS), Database("one", "two")
        await known.get("k", database)
        clock.now += SECONDS * 0.6
        database.gate.clear()
        assert [await known.get("k", database) for _ in range(3)] == ["one"] * 3
        database.gate.set()
        await settled(known)
        assert await known.get("k", database) == "two"
        assert database.asked == 2
        clock.now += SECONDS * 0.45  # beyond the first answer's time, within the second's
        assert await known.get("k", database) == "two"

    asyncio.run(main())


@pytest.mark.parametrize("bad", [None, LookupError("deleted")])
def test_what_is_gone_when_it_is_asked_anew_is_forgotten(clock, bad):
    async def main():
        known, database = Remembered(SECONDS), Database("one", bad, "three")
        await known.get("k", database)
        clock.now += SECONDS * 0.6
        assert await known.get("k", database) == "one"
        await settled(known)
        assert await known.get("k", database) == "three"

    asyncio.run(main())


def test_what_raises_is_told_and_asked_again():
    async def main():
        known, database = Remembered(SECONDS), Database(LookupError("none"), None, "one")
        with pytest.raises(LookupError):
            await known.get("k", database)
        assert await known.get("k", database) is None
        assert await known.get("k", database) == "one"

    asyncio.run(main())


def test_what_was_being_looked_up_when_all_was_forgotten_is_not_remembered(clock):
    async def main():
        known, database = Remembered(SECONDS), Database("one", "before", "after")
        await known.get("k", database)
        clock.now += SECONDS * 0.6
        database.gate.clear()
        await known.get("k", database)
        asked = known._known["k"].asked
        while database.asked < 2:  # noqa: ASYNC110  # until it is under way
            await asyncio.sleep(0)
        known.forget()
        database.gate.set()
        assert await asked == "before"
        assert await known.get("k", database) == "after"

    asyncio.run(main())
