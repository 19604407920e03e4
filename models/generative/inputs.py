"""Reading a generative training folder: documents, or texts with summaries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars

from models.data.folds import seeded_rank
from models.data.near_duplicates import content_digest
from models.generative.request import GenerativeRequest, read_request
from models.training.errors import TrainingRefusedError


@dataclass(frozen=True, slots=True)
class Documents:
    """What is trained and measured on, in row order, without empty and repeated documents."""

    request: GenerativeRequest
    keys: tuple[str, ...]
    texts: tuple[str, ...]
    groups: tuple[str, ...]
    """Group of each document; one without is a group of its own."""
    summaries: tuple[str, ...]
    """Empty for the causal task."""
    empty: int
    """Documents left out because they, or their summaries, hold no text."""
    repeated: int
    """Documents left out because another has exactly the same content."""
    beyond_limit: int
    """Documents left out by `document_limit`."""
    digest: str
    """sha256 (hex) over documents and request: a checkpoint of another input is not resumed."""


def read_documents(folder: Path) -> Documents:
    """Read request.json and texts.arrow (key, content, group, and for summaries: summary).

    Raises:
        TrainingRefusedError: a file is missing or malformed, or no document is left.
    """
    request = read_request(folder / "request.json")
    path = folder / "texts.arrow"
    if not path.is_file():
        raise TrainingRefusedError(
            "input-missing", path.name, f"{path.name} is missing from the input folder"
        )
    frame = polars.read_ipc(path)
    needed = {"key", "content", "group"} | ({"summary"} if request.task == "summarize" else set())
    absent = needed - set(frame.columns)
    if absent:
        raise TrainingRefusedError(
            "texts-invalid", path.name, f"{path.name} lacks the columns {sorted(absent)}"
        )
    rows, empty, repeated, beyond = _chosen(frame, request)
    if not rows:
        what = "document" if request.task == "causal" else "pair of text and summary"
        raise TrainingRefusedError(
            "no-documents",
            "documents",
            f"no {what} is left to train on: {empty} of {len(frame)} hold no text",
        )
    kept = frame[rows]
    keys = [str(key) for key in kept["key"]]
    return Documents(
        request=request,
        keys=tuple(keys),
        texts=tuple(kept["content"]),
        groups=tuple(
            f"\x00{key}" if group is None else str(group)
            for key, group in zip(keys, kept["group"], strict=True)
        ),
        summaries=tuple(kept["summary"]) if request.task == "summarize" else (),
        empty=empty,
        repeated=repeated,
        beyond_limit=beyond,
        digest=_digest(request, path),
    )


def _chosen(frame: polars.DataFrame, request: GenerativeRequest) -> tuple[list[int], int, int, int]:
    """Rows kept, and the numbers of empty, repeated and further ones."""
    rows, seen, empty, repeated = [], set(), 0, 0
    needed = ["content", "summary"] if request.task == "summarize" else ["content"]
    for number, row in enumerate(frame.select("key", *needed).iter_rows(named=True)):
        if not all((row[name] or "").strip() for name in needed):
            empty += 1
            continue
        digest = content_digest(row["content"])
        if digest in seen:
            repeated += 1
            continue
        seen.add(digest)
        rows.append(number)
    limit = request.document_limit
    if limit is None or limit >= len(rows):
        return rows, empty, repeated, 0
    keys = frame["key"].to_list()
    drawn = sorted(rows, key=lambda row: seeded_rank(str(keys[row]), request.seed))[:limit]
    return sorted(drawn), empty, repeated, len(rows) - limit


def _digest(request: GenerativeRequest, texts: Path) -> str:
    digest = sha256(json.dumps(request.identity(), sort_keys=True).encode())
    digest.update(sha256(texts.read_bytes()).digest())
    return digest.hexdigest()
