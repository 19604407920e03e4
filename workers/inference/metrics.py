"""What an inference worker counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from workers.inference.work import Lane, Window

_TOKEN_BUCKETS = tuple(float(2**power) for power in range(5, 18))


class Metrics:
    """Counters of one worker in a registry of their own, so that tests can have several."""

    def __init__(
        self, queued: Callable[[Lane], int], speed: Callable[[], float], loaded: Callable[[], int]
    ) -> None:
        """Args:
        queued: queued tokens of a lane.
        speed: measured tokens per second.
        loaded: bytes of loaded adapters.
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
        self._tokens = Counter(name + "tokens", "Tokens computed.", ["lane"], registry=self._registry)
        self._busy = Counter(name + "busy_seconds", "Seconds the engine computed.", registry=self._registry)
        self._batch = Histogram(
            name + "batch_tokens", "Tokens per batch.", buckets=_TOKEN_BUCKETS, registry=self._registry
        )
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
        self._batch.observe(tokens)

    def page(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self._registry)
