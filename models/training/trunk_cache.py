"""Token ids and trunk activations shared by the trials of a search on one machine: complete or absent, bounded, made once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.adapters.folder import sync_folder
from models.encoder.load import Encoder
from models.encoder.tokens import Windows, tokenize
from models.encoder.trunk import DEFAULT_MEMORY, Trunk, build_trunk
from models.training.plan import MOST_WINDOWS, pooled_layers, trunk_depth, window_tokens
from models.training.request import TrainRequest

MOST_BYTES = 16 << 30
DISK_SHARE = 0.25
"""Of what the disk has free or the cache holds already, so much may be taken, and never more than MOST_BYTES."""
GPU_SHARE = 0.4
"""Of a GPU's free memory, so much may be taken by activations; what does not fit stays on the host."""
_LOOK_SECONDS = 0.2


def shared_trunk(
    folder: Path, encoder: Encoder, request: TrainRequest, texts: Sequence[str], tell: Callable[[int], None]
) -> Trunk:
    """The trunk of these texts as the request wants it: from the folder, or built and left there for others.

    A trunk larger than the cache may be is built for this caller alone.

    Args:
        folder: of this machine, shared by the trials of one search.
        encoder: the request's base model.
        request: says depth and window.
        texts: all texts, in row order.
        tell: told the tokens read so far, also while another trial builds the same; may raise to give up.
    """
    depth, pooled = trunk_depth(request, encoder), pooled_layers(encoder)
    tokens = window_tokens(request, encoder)
    place = folder / f"trunk-{_key(encoder, texts, depth, pooled, tokens)}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "trunks.lock", lambda: tell(0)):
        if place.exists():
            os.utime(place)
            return _read(place, encoder)
        draft = folder / f".{place.name}.partial"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        windows = tokenize(encoder, texts, tokens, MOST_WINDOWS)
        memory = DEFAULT_MEMORY if request.memory_bytes == "auto" else request.memory_bytes
        trunk = build_trunk(encoder, windows, depth, pooled, draft, memory, tell)
        size = trunk.hidden.numel() * 2 + trunk.frozen.nbytes + windows.ids.nbytes
        if not _make_room(folder, size):
            return trunk
        _write(draft, trunk)
        draft.rename(place)
    return trunk


def texts_digest(texts: Sequence[str]) -> str:
    """sha256 (hex) over the texts in their order."""
    digest = sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a file's lock, which the kernel takes back from whoever dies; `waiting` is called as long as somebody else has it."""
    with path.open("wb") as opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(_LOOK_SECONDS)
        yield


def _key(encoder: Encoder, texts: Sequence[str], depth: int, pooled: Sequence[int], tokens: int) -> str:
    told = [
        texts_digest(texts), encoder.sha256, encoder.quantization, encoder.device.type, str(encoder.dtype), depth, list(pooled),
        tokens, MOST_WINDOWS,
    ]  # fmt: skip
    return sha256(json.dumps(told).encode()).hexdigest()[:32]


def _make_room(folder: Path, size: int) -> bool:
    """Remove the trunks that were not used for longest until one more fits; False where it never would.

    Whoever reads a removed one goes on: the kernel keeps a file that is open.
    """
    kept = sorted(folder.glob("trunk-*"), key=lambda path: path.stat().st_mtime)
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in kept}
    taken = sum(sizes.values())
    most = min(MOST_BYTES, int((shutil.disk_usage(folder).free + taken) * DISK_SHARE))
    if size > most:
        return False
    for path in kept:
        if taken + size <= most:
            break
        shutil.rmtree(path)
        taken -= sizes[path]
    return True


def _write(draft: Path, trunk: Trunk) -> None:
    arrays: dict[str, Any] = {item.name: getattr(trunk.windows, item.name) for item in fields(Windows)}
    np.savez(draft / "windows.npz", frozen=trunk.frozen, **arrays)
    if not (draft / "trunk.bin").exists():  # it lay in memory
        with (draft / "trunk.bin").open("wb") as opened:
            for begin in range(0, len(trunk.hidden), 1 << 16):
                part = trunk.hidden[begin : begin + (1 << 16)]
                opened.write(part.detach().cpu().view(torch.int16).numpy().tobytes())
    about = {
        "depth": trunk.depth,
        "pooled": list(trunk.pooled),
        "width": trunk.hidden.shape[1],
        "dtype": str(trunk.hidden.dtype),
    }
    (draft / "about.json").write_text(json.dumps(about))
    sync_folder(draft)


def _read(place: Path, encoder: Encoder) -> Trunk:
    about = json.loads((place / "about.json").read_text())
    with np.load(place / "windows.npz", allow_pickle=False) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    frozen, texts = parts.pop("frozen"), int(parts.pop("texts"))
    hidden = _hidden(place / "trunk.bin", about, encoder)
    return Trunk(
        Windows(**parts, texts=texts),
        about["depth"],
        tuple(about["pooled"]),
        hidden,
        frozen,
        encoder.device,
        encoder.dtype,
    )


def _hidden(path: Path, about: dict[str, Any], encoder: Encoder) -> Tensor:
    dtype = torch.bfloat16 if about["dtype"] == "torch.bfloat16" else torch.float16
    size = path.stat().st_size
    if size == 0:
        return torch.empty((0, about["width"]), dtype=dtype)
    # Copy-on-write: nobody writes, and torch warns of arrays that cannot be written.
    words = np.memmap(path, dtype=np.int16, mode="c").reshape(-1, about["width"])
    hidden = torch.from_numpy(words).view(dtype)
    if encoder.device.type == "cuda" and size <= torch.cuda.mem_get_info(encoder.device)[0] * GPU_SHARE:
        return hidden.to(encoder.device)
    return hidden
