"""Who writes or reads in an evaluation: adapter and base model by the inference workers, and how training had them read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.db.session import reading
from app.db.tables import Adapter
from app.settings import get_settings
from app.training.base_models import catalog_document
from models.catalog import CATALOG, CatalogSettings, ModelUnavailableError, locate
from models.generative.prompts import PREFIXES
from workers.adapter_archive import adapter_folder
from workers.job_context import JobContext, JobFailed

TUNED, COMPARED, BASE = "tuned", "compared", "base"
USUAL_INPUT, USUAL_OUTPUT = 1024, 256
"""Tokens that a base model by itself reads and writes; as train jobs have them."""
CUT = "cut"
"""The strategy of training: what is longer than the model reads is cut."""
_STRATEGIES = {
    CUT: "cut",
    "auto": "auto",
    "extract_then_abstract": "extract",
    "chunk_and_merge": "merge",
}
"""How titles call them: short, because charts have little room."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated."""

    base: str | None
    """Name of the base model; None: extractive methods alone."""
    row: Adapter | None
    folder: Path | None
    reading: dict[str, Any]
    """How training made inputs: style, prefix and lengths of the task summarize, block_tokens of causal."""

    def document(self) -> dict[str, Any] | None:
        """The adapter as reports name it."""
        if self.row is None:
            return None
        base = None if self.base is None else shown(self.base)
        return {"id": self.row.id, "name": self.row.name, "digest": self.row.digest, "base": base}


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is evaluated, and the second adapter beside it."""

    main: Subject
    other: Subject | None = None

    def adapters(self) -> dict[str, Subject]:
        """By their arms: the texts that these have seen are left out."""
        both = {TUNED: self.main, COMPARED: self.other}
        return {arm: one for arm, one in both.items() if one is not None and one.row is not None}


@dataclass(frozen=True, slots=True)
class Author:
    """A model that writes or reads every item: an arm of the report."""

    name: str
    title: str
    of: dict[str, str]
    """{"adapter": digest} or {"base": name}, as inference workers take it."""
    subject: Subject
    """By whose training inputs are made."""
    strategy: str = CUT
    """How it summarizes what is longer than it reads."""


def subjects_of(context: JobContext) -> Subjects:
    """The adapter with its folder, a base model, or neither; and the adapter that it is compared with."""
    params = context.params
    other = None if params.get("compare_with") is None else _adapter(context, params["compare_with"])
    if params["adapter"] is None:
        style = params["settings"].get("style") or "document"
        return Subjects(
            Subject(params["base"], None, None, {"style": style, "prefix": PREFIXES[style]}), other
        )
    return Subjects(_adapter(context, params["adapter"]), other)


def _adapter(context: JobContext, wanted: str) -> Subject:
    with reading() as session:
        row = session.get(Adapter, wanted)
    if row is None:
        raise JobFailed("adapter-gone", f"The adapter {wanted} was deleted before the job ran.")
    folder, manifest = adapter_folder(context, row.blob_digest)
    return Subject(manifest["base"]["name"], row, folder, dict(manifest.get("reading") or {}))


def authors_of(context: JobContext, subjects: Subjects) -> list[Author]:
    """The models in the order of the table: what is evaluated by each strategy, the other adapter, the base model where it is wanted.

    The other two summarize by the first strategy, so that they differ from the first arm in the model alone.
    """
    main, other = subjects.main, subjects.other
    strategies = context.params["settings"].get("strategies") or [CUT]
    found: list[Author] = []
    if main.row is not None:
        found += [_author(TUNED, subjects, main, each, strategies) for each in strategies]
    elif main.base is not None:
        found += [_author(BASE, subjects, main, each, strategies) for each in strategies]
    if other is not None:
        found.append(_author(COMPARED, subjects, other, strategies[0], strategies))
    if main.row is not None and context.params["untrained"]:
        found.append(_author(BASE, subjects, main, strategies[0], strategies))
    return found


def _author(
    arm: str, subjects: Subjects, subject: Subject, strategy: str, strategies: Sequence[str]
) -> Author:
    """The first strategy's arm has the arm's plain name."""
    name = arm if strategy == strategies[0] else f"{arm}-{strategy}"
    title = _title(arm, subjects, short=len(strategies) > 1)
    if len(strategies) > 1:
        title = f"{title}, {_STRATEGIES[strategy]}"
    if arm == BASE:
        assert subject.base is not None
        return Author(name, title, {"base": subject.base}, subject, strategy)
    assert subject.row is not None
    return Author(name, title, {"adapter": subject.row.blob_digest}, subject, strategy)


def _title(arm: str, subjects: Subjects, *, short: bool) -> str:
    """An arm's name in tables and charts: of two adapters their own names."""
    if arm == BASE and subjects.main.row is None:
        return shown(str(subjects.main.base))
    if arm == BASE:
        return "base" if short else "base model"
    if subjects.other is None:
        return "adapter" if short else "with the adapter"
    rows = {name: one.row for name, one in subjects.adapters().items() if one.row is not None}
    same = len({row.name for row in rows.values()}) < len(rows)
    return rows[arm].id if same else rows[arm].name


def tokenizer_of(subject: Subject) -> Any:
    """The base model's, of transformers.

    Raises:
        JobFailed: the base model is not to be had here.
    """
    from transformers import AutoTokenizer

    assert subject.base is not None
    catalog = CatalogSettings.from_document(catalog_document(get_settings()))
    try:
        folder = locate(subject.base, catalog)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ModelUnavailableError as error:
        raise JobFailed(error.code, str(error)) from error


def shown(model: str) -> str:
    """A base model's name as reports have it: of a folder the last part, because paths of this machine stay here."""
    return model if model in CATALOG else Path(model).name


def lengths_of(context: JobContext, subject: Subject) -> tuple[int, int]:
    """Most tokens of an input and of a summary: as asked, within what training read."""
    settings, own = context.params["settings"], subject.reading
    read = own.get("max_input_tokens")
    asked = settings["max_input_tokens"] or read or USUAL_INPUT
    return min(asked, read or asked), settings["max_tokens"] or own.get("max_target_tokens") or USUAL_OUTPUT
