"""Base models: loaded and measured once, and nobody who has what is there waits for what is loading."""

import threading
from concurrent.futures import ThreadPoolExecutor

from models.encoder.pace import Batching
from workers.inference.loading import Bases


def test_many_threads_share_one_load_and_one_measurement():
    loads, measured = [], []

    def load(name, held):
        loads.append((name, held))
        return object()

    def measure(encoder):
        measured.append(encoder)
        return Batching(True, 1024, (("flat", 1024, 5000),))

    bases = Bases(load, measure)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: bases.get("minilm"), range(8)))
    assert loads == [("minilm", None)]
    assert len(measured) == 1
    assert len({id(encoder) for encoder, _ in found}) == 1
    assert bases.batchings == {
        "minilm": {"forward": "flat", "batch_tokens": 1024, "measured": [["flat", 1024, 5000]]}
    }


def test_a_base_that_is_there_is_had_while_another_loads():
    gate, begun = threading.Event(), threading.Event()

    def load(name, _held):
        if name == "large":
            begun.set()
            assert gate.wait(10)
        return name

    bases = Bases(load, lambda _: Batching(False, 512))
    bases.get("small")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bases.get, "large", "nf4")
        assert begun.wait(10)
        assert bases.get("small")[0] == "small"
        assert not waiting.done()
        gate.set()
        assert waiting.result(10)[0] == "large"
    assert set(bases.batchings) == {"small", "large (nf4)"}
