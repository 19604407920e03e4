"""Base models: loaded and measured once, and nobody who has what is there waits for what is loading."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from models.encoder.pace import Batching
from workers.inference.loading import Bases


def test_many_threads_share_one_load_and_one_measurement():
    loads, measured = [], []

    def load(name, held, exact):
        loads.append((name, held, exact))
        return SimpleNamespace(dtype="torch.float32")

    def measure(encoder):
        measured.append(encoder)
        return Batching(True, 1024, (("flat", 1024, 5000),))

    bases = Bases(load, measure)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: bases.get("minilm"), range(8)))
    assert loads == [("minilm", None, False)]
    assert len(measured) == 1
    assert len({id(base.encoder) for base in found}) == 1
    assert bases.batchings == {
        "minilm": {
            "forward": "flat",
            "batch_tokens": 1024,
            "precision": "float32",
            "measured": [["flat", 1024, 5000]],
        }
    }


def test_a_base_that_is_there_is_had_while_another_loads():
    gate, begun = threading.Event(), threading.Event()

    def load(name, _held, _exact):
        if name == "large":
            begun.set()
            assert gate.wait(10)
        return SimpleNamespace(name=name, dtype="torch.float32")

    bases = Bases(load, lambda _: Batching(False, 512))
    bases.get("small")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bases.get, "large", "nf4")
        assert begun.wait(10)
        assert bases.get("small").encoder.name == "small"
        assert not waiting.done()
        gate.set()
        assert waiting.result(10).encoder.name == "large"
    assert set(bases.batchings) == {"small", "large (nf4)"}
