"""What an evaluation of generated text is about: documents that no adapter in it has seen, drawn by the seed and frozen in the work folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from app.corpora.queries import find_corpus
from app.db.session import reading
from app.evaluations.generative import asked_documents
from app.http.problems import Problem
from app.training.folder import Source
from app.training.generative_queries import documents_of
from models.adapters.seen import Seen, read_seen, unseen
from models.data.folds import seeded_rank
from models.data.near_duplicates import content_digest, content_digests, signatures
from workers.evaluate.arms import TUNED, Subject, Subjects
from workers.evaluate.keeping import kept
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
    """For the report: of, seen, seen_by, seen_ids, repeated, known, vouched."""

    def __len__(self) -> int:
        """Documents."""
        return len(self.keys)

    @property
    def unseen_words(self) -> str:
        """How sentences say that no adapter has seen them, with a space before it: as a finding, or as somebody's word; empty without one."""
        adapters = len(self.held_out["seen_by"])
        if not adapters:
            return ""
        words = " that it has not seen" if adapters == 1 else " that neither has seen"
        return f"{words}, on the word of whoever asked" if self.held_out["vouched"] else words


def items_of(context: JobContext, subjects: Subjects) -> Items:
    """The documents of a job: chosen by its first attempt, read from the work folder by later ones.

    Args:
        context: of the job.
        subjects: whose adapters must not have seen them.

    Raises:
        JobFailed: there are none, or the adapters have seen all of them or do not say what they have seen.
    """
    path = context.work_dir / "items.arrow"
    if not path.exists():
        _freeze(context, subjects, path)
    frame = pl.read_ipc(path)
    held_out = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    texts, references = (frame[name].to_list() for name in ("content", "summary"))
    return Items(frame["key"].to_list(), frame["group"].to_list(), texts, references, held_out)


def _freeze(context: JobContext, subjects: Subjects, path: Path) -> None:
    vouched = context.params["settings"]["vouched"]
    seen = {arm: _seen(arm, subject, vouched=vouched) for arm, subject in subjects.adapters().items()}
    chosen, held_out = _chosen(context, seen)
    silent = any(one is None for one in seen.values())
    held_out |= {"known": not silent, "vouched": bool(vouched and silent)}
    rows = {"key": [], "group": [], "content": [], "summary": []}  # type: dict[str, list[str | None]]
    for place, source in enumerate(_sources(context)):
        if place in chosen:
            if content_digest(source.content) != chosen[place]:
                raise RuntimeError("the documents changed while they were drawn: they are drawn anew")
            rows["key"].append(source.key)
            rows["group"].append(source.group if source.group is not None else f"\x00{source.key}")
            rows["content"].append(source.content)
            rows["summary"].append(source.summary)
    with kept(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(held_out), encoding="utf-8")
    with kept(path) as file:
        pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)).write_ipc(file, compression="uncompressed")


def _seen(arm: str, subject: Subject, *, vouched: bool) -> Seen | None:
    """None where the adapter does not say, and somebody vouches for it."""
    assert subject.folder is not None
    assert subject.row is not None
    if (subject.folder / "seen.json").is_file():
        return read_seen(subject.folder)
    if vouched:
        return None
    raise JobFailed(
        "seen-unknown",
        f"The adapter {subject.row.name} does not say which texts it was trained on (it was made elsewhere, or by an earlier version). Train "
        "it again, or, where you know that it has seen none of these, evaluate it with `vouched`: the report says so.",
        field="/adapter" if arm == TUNED else "/compare_with",
    )


def _chosen(context: JobContext, seen: Mapping[str, Seen | None]) -> tuple[dict[int, str], dict[str, Any]]:
    """Places and content digests of the documents that are evaluated, and what is told of the others."""
    params, settings = context.params, context.params["settings"]
    free: list[tuple[str, int, str]] = []
    left: list[str] = []
    seen_by = dict.fromkeys(seen, 0)
    total = repeated = 0
    known: set[str] = set()
    for batch in _batches(_sources(context)):
        unread = {arm: _unseen(one, batch) for arm, one in seen.items()}
        for row, source in enumerate(batch):
            digest = content_digest(source.content)
            readers = [arm for arm, good in unread.items() if not good[row]]
            if not source.content.strip():
                pass
            elif readers:
                left.append(source.key)
                for arm in readers:
                    seen_by[arm] += 1
            elif digest in known:
                repeated += 1
            else:
                free.append((source.key, total, digest))
            known.add(digest)
            total += 1
        context.progress(stage="checking what the adapters have seen", done=total)
    if not free:
        raise JobFailed("nothing-held-out", _nothing(total, len(left), len(seen)))
    if settings["items"] != "all":
        free = sorted(free, key=lambda item: seeded_rank(item[0], params["seed"]))[: settings["items"]]
    told = {
        "of": total,
        "seen": len(left),
        "seen_by": seen_by,
        "seen_ids": left[:_IDS_NAMED],
        "repeated": repeated,
    }
    return {place: digest for _, place, digest in free}, told


def _nothing(total: int, left: int, adapters: int) -> str:
    if not left:
        return f"None of the {total:,} documents holds any text."
    who = "The adapter has" if adapters == 1 else "One or the other adapter has"
    return (
        f"{who} seen {left:,} of these {total:,} documents, their groups or near duplicates, and no other is left: nothing can be "
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
