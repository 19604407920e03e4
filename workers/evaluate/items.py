"""What an evaluation of generated text is about: documents that the adapter has not seen, drawn by the seed and frozen in the work folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.blobs import sync_path
from app.corpora.queries import find_corpus
from app.db.session import reading
from app.evaluations.generative import asked_documents
from app.http.problems import Problem
from app.training.folder import Source
from app.training.generative_queries import documents_of
from models.adapters.seen import Seen, read_seen, unseen
from models.data.folds import seeded_rank
from models.data.near_duplicates import content_digest, content_digests, signatures
from workers.job_context import JobContext, JobFailed

_BATCH = 256
_IDS_NAMED = 1000
"""Most ids of left-out documents that the report names; it counts all."""


@dataclass(frozen=True, slots=True)
class Items:
    """The documents, in row order, and what was left out."""

    keys: list[str]
    groups: list[str]
    """One without a group is a group of its own."""
    texts: list[str]
    references: list[str]
    """Empty for causal models."""
    held_out: dict[str, Any]
    """For the report: of, seen, seen_ids, repeated, known, vouched."""

    def __len__(self) -> int:
        """Documents."""
        return len(self.keys)

    @property
    def unseen_words(self) -> str:
        """How sentences say that the adapter has not seen them: as a finding, or as somebody's word."""
        vouched = "that it has not seen, on the word of whoever asked"
        return vouched if self.held_out["vouched"] else "that it has not seen"


def items_of(context: JobContext, folder: Path | None) -> Items:
    """The documents of a job: chosen by its first attempt, read from the work folder by later ones.

    Args:
        context: of the job.
        folder: of the adapter that must not have seen them; None: there is none.

    Raises:
        JobFailed: there are none, or the adapter has seen all of them or does not say what it has seen.
    """
    kept = context.work_dir / "items.arrow"
    if not kept.exists():
        _freeze(context, folder, kept)
    frame = pl.read_ipc(kept)
    held_out = json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
    texts, references = (frame[name].to_list() for name in ("content", "summary"))
    return Items(frame["key"].to_list(), frame["group"].to_list(), texts, references, held_out)


def _freeze(context: JobContext, folder: Path | None, kept: Path) -> None:
    asked = context.params["settings"]
    seen = _seen(folder, vouched=asked["vouched"])
    chosen, held_out = _chosen(context, seen)
    held_out["known"], held_out["vouched"] = (
        folder is None or seen is not None,
        bool(asked["vouched"] and seen is None),
    )
    rows = {"key": [], "group": [], "content": [], "summary": []}  # type: dict[str, list[str | None]]
    for place, source in enumerate(_sources(context)):
        if place in chosen:
            if content_digest(source.content) != chosen[place]:
                raise RuntimeError("the documents changed while they were drawn: they are drawn anew")
            rows["key"].append(source.key)
            rows["group"].append(source.group if source.group is not None else f"\x00{source.key}")
            rows["content"].append(source.content)
            rows["summary"].append(source.summary)
    _write(kept.with_suffix(".json"), json.dumps(held_out).encode())
    temporary = kept.with_suffix(".partial")
    pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)).write_ipc(temporary, compression="uncompressed")
    sync_path(temporary)
    temporary.replace(kept)
    sync_path(context.work_dir)


def _seen(folder: Path | None, *, vouched: bool) -> Seen | None:
    if folder is None:
        return None
    if (folder / "seen.json").is_file():
        return read_seen(folder)
    if vouched:
        return None
    raise JobFailed(
        "seen-unknown",
        "The adapter does not say which texts it was trained on (it was made elsewhere, or by an earlier version). Train it again, or, "
        "where you know that it has seen none of these, evaluate it with `vouched`: the report says so.",
        field="/adapter",
    )


def _chosen(context: JobContext, seen: Seen | None) -> tuple[dict[int, str], dict[str, Any]]:
    """Places and content digests of the documents that are evaluated, and what is told of the others."""
    params, settings = context.params, context.params["settings"]
    free: list[tuple[str, int, str]] = []
    left: list[str] = []
    total = repeated = 0
    known: set[str] = set()
    for batch in _batches(_sources(context)):
        unread = _unseen(seen, batch)
        for source, good in zip(batch, unread.tolist(), strict=True):
            digest = content_digest(source.content)
            if not source.content.strip():
                pass
            elif not good:
                left.append(source.key)
            elif digest in known:
                repeated += 1
            else:
                free.append((source.key, total, digest))
            known.add(digest)
            total += 1
        context.progress(stage="checking what the adapter has seen", done=total)
    if not free:
        raise JobFailed("nothing-held-out", _nothing(total, len(left)))
    if settings["items"] != "all":
        free = sorted(free, key=lambda item: seeded_rank(item[0], params["seed"]))[: settings["items"]]
    told = {"of": total, "seen": len(left), "seen_ids": left[:_IDS_NAMED], "repeated": repeated}
    return {place: digest for _, place, digest in free}, told


def _nothing(total: int, left: int) -> str:
    if not left:
        return f"None of the {total:,} documents holds any text."
    return (
        f"The adapter has seen {left:,} of these {total:,} documents, their groups or near duplicates, and no other is left: nothing can be "
        "said about it on them. Name documents that it was not trained on."
    )


def _unseen(seen: Seen | None, batch: list[Source]) -> NDArray[np.bool_]:
    if seen is None:
        return np.ones(len(batch), dtype=np.bool_)
    texts = [source.content for source in batch]
    return unseen(seen, content_digests(texts), [source.group for source in batch], signatures(texts))


def _sources(context: JobContext) -> Iterator[Source]:
    """Every document that was asked for, in a stable order."""
    assert context.corpus_id is not None
    params = context.params
    try:
        with reading() as session:
            corpus = find_corpus(session, context.corpus_id)
            asked = asked_documents(params["task"], params["split"], params["settings"])
            yield from documents_of(session, context.blobs, corpus, asked)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem


def _batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    waiting = iter(sources)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync_path(temporary)
    temporary.replace(path)
