"""Token windows of corpora that are read again and again: files by tokenizer and contents, in a folder per corpus, which goes when the corpus does."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.encoder.load import Encoder
from workers.inference.base_reader import token_windows
from workers.inference.reading import TokenWindows
from workers.inference.work import TextFailure

_FORMAT = 1
_SMALL = 1 << 16
"""Vocabularies up to this size are kept in two bytes a token."""
_KEPT_SHARE = 0.8


class TokenCache:
    """Windows per corpus, kept until they have not been used for long or take too much room. Thread-safe."""

    def __init__(self, folder: Path, most_bytes: int, most_days: float) -> None:
        """Args:
        folder: with a folder for each corpus, named by its id.
        most_bytes: that all of it may take; those unused for longest go first.
        most_days: since a file's last use.
        """
        self._folder = folder
        self._most_bytes, self._most_seconds = most_bytes, most_days * 86400
        self._lock = threading.Lock()
        self._grown = most_bytes  # the folder is looked at before the first file is written
        self.hits = self.misses = 0

    def of(self, corpus: str) -> Callable[[Encoder, Sequence[str], int], TokenWindows]:
        """`token_windows` for texts of a corpus."""

        def windows(encoder: Encoder, texts: Sequence[str], max_tokens: int) -> TokenWindows:
            path = self._folder / corpus / f"{key_of(encoder, texts, max_tokens)}.npy"
            kept = _read(path)
            if kept is not None and len(kept[0]) == len(texts):
                self.hits += 1
                return kept
            self.misses += 1
            found = token_windows(encoder, texts, max_tokens)
            if not any(isinstance(windows, TextFailure) for windows in found[0]):
                with suppress(OSError):  # a full disk is no reason not to read
                    self._write(path, _bytes_of(found))
            return found

        return windows

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
        with self._lock:
            self._grown += len(content)
            if self._grown > self._most_bytes * (1 - _KEPT_SHARE):
                self._grown = 0
                remove_unused(self._folder, int(self._most_bytes * _KEPT_SHARE), self._most_seconds)


def remove_unused(folder: Path, most_bytes: int, most_seconds: float, now: float | None = None) -> None:
    """Remove files unused for long, then those unused for longest until the rest fits."""
    now = time.time() if now is None else now
    files = sorted(((path.stat().st_mtime, path) for path in folder.glob("cor_*/*")), reverse=True)
    room = most_bytes
    for used, path in files:
        room -= path.stat().st_size
        if room < 0 or now - used > most_seconds:
            path.unlink(missing_ok=True)


def key_of(encoder: Encoder, texts: Sequence[str], max_tokens: int) -> str:
    """sha256 (hex) over all that windows depend on: the tokenizer, special tokens, their length, and every text."""
    hasher = sha256(
        f"{_FORMAT} {_tokenizer_digest(encoder.tokenizer)} {encoder.special_ids} {encoder.max_tokens} {max_tokens}".encode()
    )
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "little"))
        hasher.update(raw)
    return hasher.hexdigest()


@lru_cache(maxsize=16)
def _tokenizer_digest(tokenizer: Tokenizer) -> str:
    return sha256(tokenizer.to_str().encode()).hexdigest()


def _bytes_of(found: TokenWindows) -> bytes:
    """ids, tokens of each window, windows of each text, spans: arrays one after another."""
    windows = [ids for text in found[0] for ids in text]  # type: ignore[union-attr]  # no failures here
    ids = np.concatenate(windows) if windows else np.zeros(0, np.int32)
    small = ids.max(initial=0) < _SMALL
    arrays: list[NDArray[np.generic]] = [
        ids.astype(np.uint16 if small else np.int32),
        np.array([len(window) for window in windows], dtype=np.int32),
        np.array([len(text) for text in found[0]], dtype=np.int32),  # type: ignore[arg-type]
        np.array([span for spans in found[1] for span in spans], dtype=np.int32).reshape(-1, 2),
    ]
    buffer = io.BytesIO()
    for array in arrays:
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read(path: Path) -> TokenWindows | None:
    """What is kept in a file, which counts as used; None where there is none, or not a whole one."""
    try:
        raw = io.BytesIO(path.read_bytes())
        ids, lengths, counts, spans = (np.load(raw, allow_pickle=False) for _ in range(4))
        os.utime(path)
    except (OSError, ValueError, EOFError):
        return None
    if lengths.sum() != len(ids) or counts.sum() != len(lengths) or len(spans) != len(lengths):
        return None
    windows = np.split(ids.astype(np.int32), np.cumsum(lengths)[:-1])
    first = np.concatenate([[0], np.cumsum(counts)])
    ranges = [(int(low), int(high)) for low, high in spans]
    bounds = list(zip(first[:-1].tolist(), first[1:].tolist(), strict=True))
    return tuple(windows[low:high] for low, high in bounds), tuple(ranges[low:high] for low, high in bounds)
