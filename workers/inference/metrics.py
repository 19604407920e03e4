"""What an inference worker counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from workers.inference.residents import Comings
from workers.inference.work import Lane, Window

_STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_TOKEN_BUCKETS = tuple(float(2**power) for power in range(5, 18))


class Metrics:
    """Counters of one worker in a registry of their own, so that tests can have several."""

    def __init__(
        self,
        queued: Callable[[Lane], int],
        speed: Callable[[], float],
        loaded: Callable[[], int],
        comings: Comings | None = None,
    ) -> None:
        """Args:
        queued: queued tokens of a lane.
        speed: measured tokens per second.
        loaded: bytes of loaded adapters.
        comings: how often adapters were loaded and given up.
        """
        self._registry = CollectorRegistry()
        name = "remand_inference_"
        self.requests = Counter(
            name + "requests", "Requests by route and status.", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            name + "request_seconds", "Seconds per request.", ["route"], registry=self._registry
        )
        self.failed_texts = Counter(
            name + "failed_texts", "Texts that could not be read.", registry=self._registry
        )
        self.late = Counter(
            name + "late_requests", "Requests whose callers' time was up before they were begun: not computed.",
            registry=self._registry,
        )  # fmt: skip
        self._tokens = Counter(name + "tokens", "Tokens computed.", ["lane"], registry=self._registry)
        self._busy = Counter(name + "busy_seconds", "Seconds the engine computed.", registry=self._registry)
        self._batch = Histogram(
            name + "batch_tokens", "Tokens per batch.", buckets=_TOKEN_BUCKETS, registry=self._registry
        )
        self._padded = Counter(
            name + "padded_tokens", "Tokens computed, padding included: tokens / padded_tokens is the batches' fill.",
            registry=self._registry,
        )  # fmt: skip
        self._stages = Histogram(
            name + "stage_seconds", "Seconds of requests by stage (those of Server-Timing).", ["stage"], buckets=_STAGE_BUCKETS,
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_Comings(name, comings or Comings()))
        waiting = Gauge(name + "queued_tokens", "Tokens waiting.", ["lane"], registry=self._registry)
        for lane in Lane:
            waiting.labels(lane.name.lower()).set_function(partial(queued, lane))
        Gauge(name + "tokens_per_second", "Measured speed.", registry=self._registry).set_function(speed)
        Gauge(name + "adapter_bytes", "Bytes of loaded adapters.", registry=self._registry).set_function(
            loaded
        )

    def batch(self, windows: Sequence[Window], seconds: float) -> None:
        """Count a computed batch."""
        tokens = sum(window.tokens for window in windows)
        self._tokens.labels(windows[0].request.lane.name.lower()).inc(tokens)
        self._busy.inc(seconds)
        if tokens:  # a slice of generation counts its own
            self._batch.observe(tokens)
        batching = windows[0].request.runner.batching
        flat = batching is not None and batching.flat
        self._padded.inc(tokens if flat else len(windows) * max(window.tokens for window in windows))

    def stages(self, milliseconds: Mapping[str, float]) -> None:
        """Count an answered request's stages."""
        for stage, duration in milliseconds.items():
            self._stages.labels(stage).observe(duration / 1000)

    def add(self, counts: Collector) -> None:
        """Show what another part counts."""
        self._registry.register(counts)

    def page(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self._registry)


class _Comings(Collector):
    """Counts that others keep, read when Prometheus asks."""

    def __init__(self, name: str, comings: Comings) -> None:
        self._name, self._comings = name, comings

    def collect(self) -> Iterator[Metric]:
        """Loads, their seconds, loads that failed, and adapters given up for lack of memory."""
        found = self._comings
        for name, words, value in (
            ("adapter_loads", "Adapters loaded.", found.loads),
            ("adapter_load_seconds", "Seconds of all loads together.", found.load_seconds),
            ("adapter_load_failures", "Loads that failed.", found.failures),
            ("adapter_evictions", "Adapters given up for lack of memory.", found.evictions),
        ):
            yield CounterMetricFamily(self._name + name, words, value=value)
