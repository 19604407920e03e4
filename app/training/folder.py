"""Writing the folders that the trainers read (docs/architecture.md), for train jobs, measurements and `remand fine-tune`."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from app.blobs import sync_path
from models.data.context import EMPTY, Context
from models.scheme import Labels


@dataclass(frozen=True, slots=True)
class Source:
    """A document to learn from, with its summary for the task summarize."""

    key: str
    content: str
    group: str | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """What is trained on; lists are in row order."""

    request: dict[str, Any]
    """`models.training.request.TrainRequest` as JSON, the scheme included."""
    keys: Sequence[str]
    contents: Sequence[str]
    groups: Sequence[str]
    splits: Sequence[str | None]
    labels: Labels
    """int8 (rows, options)."""
    corpus_groups: Sequence[str]
    """The group of every text of the corpus, trained on or not."""
    human_pair: tuple[Labels, Labels] | None = None
    contexts: Sequence[Context] | None = None
    """What stands around each text; None where it shall not be read."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the model card says of the corpus: synthetic, sensitive, annotators, snapshot_id; no text."""


def write_training_folder(folder: Path, given: TrainingInput) -> None:
    """Write `folder` whole or not at all (temporary name, fsync, rename)."""
    partial = _begin(folder, given.request)
    (partial / "corpus_groups.json").write_text(json.dumps(Counter(given.corpus_groups)), encoding="utf-8")
    columns = {"key": given.keys, "content": given.contents, "group": given.groups, "split": given.splits}
    if given.contexts is not None:
        around = [context.to_document() for context in given.contexts]
        columns |= {name: [context[name] for context in around] for name in EMPTY.to_document()}
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_ipc(
        partial / "texts.arrow", compression="uncompressed"
    )
    np.save(partial / "labels.npy", given.labels)
    if given.human_pair is not None:
        np.savez(partial / "human_pair.npz", first=given.human_pair[0], second=given.human_pair[1])
    (partial / "about.json").write_text(json.dumps(given.about, ensure_ascii=False), encoding="utf-8")
    _end(partial, folder)


def write_generative_folder(folder: Path, request: Mapping[str, Any], documents: Iterable[Source]) -> None:
    """Write the folder of a generative job, whole or not at all.

    request: `models.generative.request.GenerativeRequest` as JSON.
    """
    partial = _begin(folder, request)
    columns = dict.fromkeys(("key", "content", "group", "summary"), pl.String)
    pl.DataFrame([asdict(source) for source in documents], schema=columns).write_ipc(partial / "texts.arrow")
    _end(partial, folder)


def _begin(folder: Path, request: Mapping[str, Any]) -> Path:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "request.json").write_text(json.dumps(request, ensure_ascii=False), encoding="utf-8")
    return partial


def _end(partial: Path, folder: Path) -> None:
    for path in (*partial.iterdir(), partial):
        sync_path(path)
    partial.rename(folder)
    sync_path(folder.parent)
