"""BentoML with adaptive batching: `bentoml serve bentoml_app:Classifier`."""

from __future__ import annotations

import bentoml
from reference import MAX_BATCH, THREADS, Reference


@bentoml.service(workers=1, threads=THREADS, traffic={"timeout": 120})
class Classifier:
    """The model behind POST /classify {"texts": […]}."""

    def __init__(self) -> None:
        self.model = Reference()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60_000)
    def classify(self, texts: list[str]) -> list[list[float]]:
        """A batch."""
        return self.model(texts)
