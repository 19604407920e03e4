"""`python -m workers.inference`: one process that owns one device."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
import torch
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from app.blobs import BlobStore
from app.settings import Settings, get_settings
from models.catalog import DEFAULT, CatalogSettings, locate
from models.encoder.batches import CPU_BUDGET, GPU_BUDGET
from models.encoder.load import Encoder, Quantization, load_encoder, resolve_device
from models.encoder.pace import Batching, chosen_batching
from workers.inference.base_reader import BaseReader
from workers.inference.engine import Engine
from workers.inference.explain import Explanations
from workers.inference.generation_metrics import GenerationCounts
from workers.inference.generation_setup import make_writers
from workers.inference.loading import Bases, load_reader
from workers.inference.metrics import Metrics
from workers.inference.queue import LaneQueue
from workers.inference.reading import Reader
from workers.inference.residents import Residents
from workers.inference.server import create_server
from workers.inference.service import Service
from workers.inference.token_cache import TokenCache
from workers.logs import configure_logging

log = structlog.get_logger()

SHUTDOWN_SECONDS = 10
LOADERS = 4
"""Adapters that load at once: a small one does not wait for a large one."""
BROKEN_SECONDS = 2.0
"""How long a worker whose engine broke still answers, to say so."""
KEEP_ALIVE_SECONDS = 75
"""Longer than callers keep idle connections, so that it is they who close them."""


def build(settings: Settings) -> tuple[Service, Metrics]:
    """The parts of a worker, not yet started."""
    queue = LaneQueue(settings.queue_tokens)

    def load(name: str, quantization: Quantization | None, exact: bool) -> Encoder:
        folder = locate(name, catalog_settings(settings))
        dtype = torch.float32 if exact or settings.inference_precision != "auto" else None
        return load_encoder(folder, settings.device, dtype, quantization)

    def measure(encoder: Encoder) -> Batching:
        torch.set_num_threads(settings.threads or os.cpu_count() or 1)  # as the engine's thread has them
        return chosen_batching(encoder, settings.inference_forward, settings.batch_tokens)

    bases = Bases(load, measure, settings.inference_precision == "int8")
    loader = ThreadPoolExecutor(LOADERS, thread_name_prefix="loader")
    blobs, cache = BlobStore(settings.blob_root), Path(settings.work_root) / "adapters"

    def adapter(digest: str) -> Reader:
        return load_reader(digest, blobs, cache, bases)

    def base(name: str) -> Reader:
        found = bases.get(name)
        return BaseReader(name, found.encoder, batching=found.batching, low=found.low)

    adapters: Residents[Reader] = Residents(adapter, settings.adapter_memory_mib << 20, loader)
    metrics = Metrics(
        queue.lane_tokens, lambda: queue.tokens_per_second, lambda: adapters.size, adapters.comings
    )
    engine = Engine(queue, token_budget(settings), lambda: engine_context(settings), metrics.batch)
    tokenizers = ThreadPoolExecutor(2, thread_name_prefix="tokenizer")
    explanations = Explanations(settings.explain_seconds)
    tokens = TokenCache(
        Path(settings.work_root) / "tokens", settings.token_cache_mib << 20, settings.adapter_cache_days
    )
    writers = make_writers(settings, queue, loader, tokenizers)
    metrics.add(GenerationCounts(writers))
    return Service(
        queue,
        engine,
        adapters,
        Residents(base, 1, loader),
        tokenizers,
        explanations,
        writers,
        lambda: bases.batchings,
        tokens,
        metrics.stages,
    ), metrics


def catalog_settings(settings: Settings) -> CatalogSettings:
    """What of the catalog the operator allows."""
    return CatalogSettings(tuple(map(str, settings.model_dirs)), settings.allow_hub)


def token_budget(settings: Settings) -> int:
    """Padded tokens per batch."""
    if settings.batch_tokens:
        return settings.batch_tokens
    return GPU_BUDGET if resolve_device(settings.device).type == "cuda" else CPU_BUDGET


@contextlib.contextmanager
def engine_context(settings: Settings) -> Iterator[None]:
    """Inference mode, with the threads the operator allows."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    with torch.inference_mode():
        yield


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or until the engine breaks; the exit status."""
    service, metrics = build(settings)

    async def startup() -> None:
        warming.append(asyncio.create_task(_warm(service)))

    warming: list[asyncio.Task[None]] = []
    app = create_server(service, metrics, settings.inference_token.get_secret_value(), startup)
    config = uvicorn.Config(
        app, settings.inference_host, settings.inference_port, log_config=None, access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # uvicorn ends itself by the signal again, after its own shutdown
        signal.signal(number, lambda _number, _frame: None)
    watch = asyncio.create_task(_end_with_engine(server, service))
    await server.serve()
    broken = watch.done()
    watch.cancel()
    return 0 if server.started and not broken else 1


async def _warm(service: Service) -> None:
    """Load the default base model before it is asked for; a worker without it serves other models all the same."""
    try:
        await service.bases.get(DEFAULT)
    except Exception as error:  # noqa: BLE001  # whoever asks for it will be told
        log.warning("default base model not loaded", error=type(error).__name__)


async def _end_with_engine(server: uvicorn.Server, service: Service) -> None:
    """A worker whose engine broke ends itself once its callers have heard, so that its supervisor starts a new one."""
    await asyncio.wrap_future(service.engine.ended)
    if not server.should_exit:
        log.error("engine broken, ending")
        await asyncio.sleep(BROKEN_SECONDS)
        server.should_exit = True


def main() -> int:
    """Run one inference worker."""
    configure_logging("inference")
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop, as uvicorn takes it by itself
        return runner.run(serve(get_settings()))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is stopped; taking torch's modules apart one by one would take seconds more
