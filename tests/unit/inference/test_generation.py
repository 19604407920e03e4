"""The generating thread with a real engine: what happens when the model, the engine or the caller gives up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from models.generative.decode.batch import Limits
from models.generative.decode.causal import CausalSlots
from models.generative.decode.choice import Choice
from models.generative.decode.load import load_writer
from models.generative.decode.sequence import Sequence
from tests.tiny_writer import make_writer
from workers.inference.engine import Engine
from workers.inference.generation import GenerationLimits, Generations, Ticket
from workers.inference.generation_loading import LoadedWriter
from workers.inference.generation_wire import generate_request
from workers.inference.queue import LaneQueue, QueueClosedError, QueueFullError
from workers.inference.wire import BadRequestError

PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Running:
    writer: LoadedWriter
    engine: Engine
    generations: Generations

    def ask(self, *mosts: int, bulk: bool = False) -> Ticket:
        wording = self.writer.writer.wording
        sequences = [
            Sequence(wording.ids("the court held"), wording, Choice(min_tokens=most), most, bulk=bulk)
            for most in mosts
        ]
        ticket = Ticket(sequences, sum(mosts), bulk)
        self.generations.submit(self.writer, ticket)
        return ticket


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> LoadedWriter:
    folder = make_writer(tmp_path_factory.mktemp("writer") / "gptj", "gptj")
    return LoadedWriter(load_writer(folder, "gptj", torch.device("cpu")))


@pytest.fixture
def running(writer: LoadedWriter) -> Iterator[Running]:
    queue = LaneQueue(10_000)
    engine = Engine(queue, 1024)
    generations = Generations(queue, GenerationLimits(Limits(4, 64), queued_tokens=100))
    engine.start()
    generations.start()
    yield Running(writer, engine, generations)
    generations.close()
    engine.stop()


def test_requests_are_done_when_all_of_their_texts_are(running: Running) -> None:
    first, second = running.ask(3, 30, 5, 9, 2), running.ask(4)
    for ticket in (first, second):
        ticket.future.result(PATIENCE)
    assert [one.count for one in (*first.sequences, *second.sequences)] == [3, 30, 5, 9, 2, 4]
    assert running.generations.written == 53
    assert running.generations.running == 0


def test_a_model_that_fails_fails_its_texts_and_the_next_ones_are_written(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(CausalSlots, "step", broken)
        ticket = running.ask(3, 4)
        ticket.future.result(PATIENCE)
    assert [one.failure.code for one in ticket.sequences if one.failure] == ["generation-failed"] * 2
    again = running.ask(3)
    again.future.result(PATIENCE)
    assert again.sequences[0].count == 3


def test_whoever_waits_hears_that_the_engine_has_stopped(running: Running) -> None:
    ticket = running.ask(40)
    running.engine.stop()
    with pytest.raises(QueueClosedError):
        ticket.future.result(PATIENCE)
    with pytest.raises(QueueClosedError):
        running.ask(1)
    with pytest.raises(QueueClosedError):
        running.generations.admit(1, bulk=False)


def test_the_queue_refuses_in_time_and_keeps_a_part_for_people(running: Running) -> None:
    generations = running.generations
    generations.admit(500, bulk=True)  # larger than the queue: taken, as nothing else waits
    with pytest.raises(QueueFullError) as refused:
        generations.admit(1, bulk=True)
    assert refused.value.retry_after >= 1
    generations.release(500, bulk=True)
    generations.admit(70, bulk=True)
    with pytest.raises(QueueFullError):
        generations.admit(10, bulk=True)
    generations.admit(30, bulk=False)
    with pytest.raises(QueueFullError):
        generations.admit(1, bulk=False)


def test_what_nobody_waits_for_leaves_its_place(running: Running) -> None:
    ticket = running.ask(45, 45, 45, 45)
    ticket.drop()
    ticket.future.result(PATIENCE)
    assert all(one.finish is None for one in ticket.sequences)
    assert running.generations.running == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base": None}, "one of base"),
        ({"adapter": "a" * 64}, "one of base"),
        ({"base": 3}, "base must name"),
        ({"prompts": "a"}, "list of strings"),
        ({"max_tokens": True}, "max_tokens must be a whole number"),
        ({"max_tokens": 3, "min_tokens": 4}, "min_tokens must not be more"),
        ({"top_p": 0}, "top_p must be a number"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"seed": -1}, "seed"),
        ({"stream": True, "prompts": ["a", "b"]}, "stream takes one prompt"),
        ({"stop": ["x" * 201]}, "stop takes"),
    ],
)
def test_a_body_that_is_wrong_says_what_would_be_right(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        generate_request({"base": "gpt-j-6b", "prompts": ["a"]} | change)
