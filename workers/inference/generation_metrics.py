"""What generation counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from workers.inference.generation import Writers

_NAME = "remand_generation_"


class GenerationCounts(Collector):
    """Counts that the generating thread keeps, read when Prometheus asks."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    def collect(self) -> Iterator[Metric]:
        """Tokens read and written, steps, and what is loaded and under way. Rows of a step: written / steps."""
        found = self._writers.generations
        for name, words, count in (
            ("prompt_tokens", "Tokens of prompts read.", found.read),
            ("tokens", "Tokens written, those of beams that lost included.", found.written),
            ("steps", "Steps of running batches.", found.steps),
        ):
            yield CounterMetricFamily(_NAME + name, words, value=count)
        for name, words, value in (
            ("running", "Texts that wait or are written.", found.running),
            ("tokens_per_second", "Tokens read and written a second, smoothed.", found.tokens_per_second),
            ("model_bytes", "Bytes of loaded models that write.", self._writers.writers.size),
        ):
            yield GaugeMetricFamily(_NAME + name, words, value=value)
