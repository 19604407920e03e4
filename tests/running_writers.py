"""What generation needs of a worker, running in this process around one tiny GPT-J."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

from models.generative.decode.load import load_writer
from tests.tiny_writer import make_writer
from workers.inference.engine import Engine
from workers.inference.generation import GenerationLimits, Generations, Writers
from workers.inference.generation_loading import LoadedWording, LoadedWriter
from workers.inference.queue import LaneQueue
from workers.inference.residents import Residents


@contextmanager
def running_writers(
    place: Path, limits: GenerationLimits, queue: LaneQueue | None = None
) -> Iterator[Writers]:
    """The writers, with an engine for the length of a block."""
    writer = load_writer(make_writer(place / "gptj", "gptj"), "gptj", torch.device("cpu"))
    queue = queue or LaneQueue(10_000)
    engine, generations = Engine(queue, 1024), Generations(queue, limits)
    engine.start()
    generations.start()
    with ThreadPoolExecutor(1) as threads:
        wordings = Residents(lambda _: LoadedWording(writer.wording), 1 << 30, threads)
        yield Writers(
            generations, wordings, Residents(lambda _: LoadedWriter(writer), 1 << 30, threads), threads
        )
    generations.close()
    engine.stop()
