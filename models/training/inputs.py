"""Reading and checking a training folder: texts, groups, labels, scheme."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from models.data.context import EMPTY, Context
from models.scheme import MISSING, NO, YES, Labels, QuestionKind, Scheme
from models.training.errors import TrainingRefusedError
from models.training.request import TrainRequest, read_request

FILES = ("request.json", "texts.arrow", "labels.npy", "corpus_groups.json", "human_pair.npz")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A checked training folder."""

    request: TrainRequest
    scheme: Scheme
    keys: tuple[str, ...]
    texts: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Labels
    """int8 (rows, options): YES, NO or MISSING."""
    corpus_sizes: Mapping[str, int]
    """Rows of every group of the corpus, sampled for training or not."""
    contexts: tuple[Context, ...] | None
    """The neighbours of each text, whether or not they are to be read; None where texts.arrow has none."""
    human_pair: tuple[Labels, Labels] | None
    """Two annotators' labels of the rows, each int8 (rows, options), where texts have two."""
    digest: str
    """sha256 (hex) over the input files: a checkpoint of another input is not resumed."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the model card says of the corpus (about.json, see `models.evaluation.card.model_card`); no part of the digest."""


def read_inputs(folder: Path) -> TrainingSet:
    """Read a training folder (docs/architecture.md).

    Raises:
        TrainingRefusedError: a file is missing or malformed; the text names it, the row or the option.
    """
    request = read_request(folder / "request.json")
    scheme = request.parsed_scheme()
    for name in ("texts.arrow", "labels.npy"):
        if not (folder / name).is_file():
            raise TrainingRefusedError("input-missing", name, f"{name} is missing from the input folder")
    frame = polars.read_ipc(folder / "texts.arrow")
    absent = {"key", "content", "group"} - set(frame.columns)
    if absent:
        raise TrainingRefusedError(
            "texts-invalid", "texts.arrow", f"texts.arrow lacks the columns {sorted(absent)}"
        )
    keys = [str(key) for key in frame["key"].to_list()]
    # A text without a group is a group of its own; the prefix keeps it apart from real group keys.
    groups = [
        f"\x00{key}" if group is None else str(group) for key, group in zip(keys, frame["group"], strict=True)
    ]
    labels = check_labels(np.load(folder / "labels.npy", allow_pickle=False), len(keys), scheme)
    return TrainingSet(
        request=request,
        scheme=scheme,
        keys=tuple(keys),
        texts=tuple(text or "" for text in frame["content"].to_list()),
        groups=tuple(groups),
        labels=labels,
        contexts=_contexts(frame),
        corpus_sizes=_corpus_sizes(folder / "corpus_groups.json", groups),
        human_pair=_human_pair(folder / "human_pair.npz", labels.shape),
        digest=_digest(folder),
        about=_about(folder / "about.json"),
    )


def _contexts(frame: polars.DataFrame) -> tuple[Context, ...] | None:
    """From the columns headings, before and after, where texts.arrow has them and they are not empty everywhere."""
    names = [field.name for field in fields(Context)]
    if not set(names) <= set(frame.columns):
        return None
    found = tuple(Context(*(part or "" for part in row)) for row in frame.select(names).iter_rows())
    return found if any(context != EMPTY for context in found) else None


def check_labels(labels: NDArray[np.generic], rows: int, scheme: Scheme) -> Labels:
    """Labels as int8 (rows, options), checked against the scheme.

    Raises:
        TrainingRefusedError: wrong shape or value, nothing labelled, or a choose_one row that is not one-hot.
    """
    options = scheme.option_keys
    if labels.shape != (rows, len(options)):
        raise TrainingRefusedError(
            "labels-invalid", "labels.npy", f"labels have shape {labels.shape}, not {(rows, len(options))}"
        )
    wrong = np.argwhere(~np.isin(labels, (YES, NO, MISSING)))
    if len(wrong):
        row, column = map(int, wrong[0])
        raise TrainingRefusedError(
            "labels-invalid", options[column],
            f"row {row}, option {options[column]!r}: label {labels[row, column]} is none of 1, 0 and -1",
        )  # fmt: skip
    if not (labels != MISSING).any():
        raise TrainingRefusedError(
            "nothing-labelled", "labels.npy", "no cell has a label: there is nothing to learn"
        )
    for question in scheme.questions:
        if question.kind is QuestionKind.CHOOSE_ONE:
            _check_choice(labels[:, [option.position for option in question.options]], question.key)
    if not ((labels == YES).any(axis=0) & (labels == NO).any(axis=0)).any():
        raise TrainingRefusedError(
            "options-never-vary",
            "labels.npy",
            "no option has both a yes and a no: there is nothing to tell apart",
        )
    return labels.astype(np.int8)


def _check_choice(chosen: NDArray[np.generic], question: str) -> None:
    missing = np.all(chosen == MISSING, axis=1)
    one_hot = np.all(chosen != MISSING, axis=1) & ((chosen == YES).sum(axis=1) == 1)
    bad = np.flatnonzero(~missing & ~one_hot)
    if len(bad):
        raise TrainingRefusedError(
            "labels-invalid",
            question,
            f"row {bad[0]}: question {question!r} needs exactly one option or none at all",
        )


def _corpus_sizes(path: Path, groups: list[str]) -> Mapping[str, int]:
    """Group sizes from {group: rows} or a list of group keys; groups of the rows are added where the file lacks them."""
    sizes = Counter(groups)
    if not path.is_file():
        return sizes
    document = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(document, dict):
        known = {str(group): int(rows) for group, rows in document.items()}
    elif isinstance(document, list):
        known = dict(Counter(map(str, document)))
    else:
        raise TrainingRefusedError(
            "groups-invalid",
            path.name,
            f"{path.name} must be a list of group keys or an object of group: rows",
        )
    return {**sizes, **known}


def _human_pair(path: Path, shape: tuple[int, ...]) -> tuple[Labels, Labels] | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        first, second = arrays["first"].astype(np.int8), arrays["second"].astype(np.int8)
    if first.shape != shape or second.shape != shape:
        raise TrainingRefusedError(
            "labels-invalid", path.name, f"{path.name} must hold two arrays of shape {shape}"
        )
    return first, second


def _about(path: Path) -> Mapping[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return document if isinstance(document, dict) else {}


def _digest(folder: Path) -> str:
    digest = sha256()
    for name in FILES:
        if (folder / name).is_file():
            digest.update(name.encode() + b"\x00" + sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()
