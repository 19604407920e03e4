"""From the settings to what generation needs of a worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from app.blobs import BlobStore
from app.settings import Settings
from models.catalog import CatalogSettings, locate
from models.encoder.load import resolve_device
from models.generative.decode.batch import Limits
from workers.inference.generation import GenerationLimits, Generations, Writers
from workers.inference.generation_loading import LoadedWording, LoadedWriter, WriterLoader
from workers.inference.generation_wire import ModelKey
from workers.inference.queue import LaneQueue
from workers.inference.residents import Residents

CPU_SLOTS, GPU_SLOTS = 64, 256
CPU_PROMPT_TOKENS, GPU_PROMPT_TOKENS = 512, 8192
CPU_MODELS, CPU_CACHE = 8 << 30, 1 << 30
_WORDINGS = 16 * (16 << 20)


def make_writers(
    settings: Settings, queue: LaneQueue, loader: ThreadPoolExecutor, tokenizers: ThreadPoolExecutor
) -> Writers:
    """Nothing is loaded or started yet.

    Args:
        settings: of the worker.
        queue: of its engine.
        loader: one thread, on which models are loaded one after another.
        tokenizers: threads for words.
    """
    device = resolve_device(settings.device)
    catalog = CatalogSettings(tuple(map(str, settings.model_dirs)), settings.allow_hub)
    found = WriterLoader(
        lambda name: locate(name, catalog),
        device,
        BlobStore(settings.blob_root),
        Path(settings.work_root) / "adapters",
        torch.float32 if settings.inference_precision == "fp32" else None,
    )
    models = settings.generation_memory_mib << 20 or _share(device, 0.5, CPU_MODELS)
    wordings: Residents[LoadedWording] = Residents(
        lambda key: found.wording(ModelKey.of(key)), _WORDINGS, tokenizers
    )
    writers: Residents[LoadedWriter] = Residents(lambda key: found.writer(ModelKey.of(key)), models, loader)
    return Writers(Generations(queue, generation_limits(settings, device)), wordings, writers, tokenizers)


def generation_limits(settings: Settings, device: torch.device) -> GenerationLimits:
    """What the operator allows, or what suits the hardware."""
    cuda = device.type == "cuda"
    slots = settings.generation_slots or (GPU_SLOTS if cuda else CPU_SLOTS)
    return GenerationLimits(
        Limits(slots, GPU_PROMPT_TOKENS if cuda else CPU_PROMPT_TOKENS),
        settings.generation_cache_mib << 20 or _share(device, 0.25, CPU_CACHE),
        settings.generation_tokens,
        settings.generation_seconds,
    )


def _share(device: torch.device, share: float, otherwise: int) -> int:
    """Bytes: a share of a GPU's memory, else a fixed number."""
    if device.type != "cuda":
        return otherwise
    return int(share * torch.cuda.get_device_properties(device).total_memory)
