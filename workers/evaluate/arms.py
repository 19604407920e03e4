"""Who writes or reads in an evaluation: adapter and base model by the inference workers, and how training had them read."""

from __future__ import annotations

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
from workers.evaluate.writing import Writer
from workers.job_context import JobContext, JobFailed

TUNED, BASE = "tuned", "base"
USUAL_INPUT, USUAL_OUTPUT = 1024, 256
"""Tokens that a base model by itself reads and writes; as train jobs have them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated."""

    base: str | None
    """Name of the base model; None: extractive methods alone."""
    row: Adapter | None
    folder: Path | None
    reading: dict[str, Any]
    """How training made inputs: prefix and lengths of the task summarize, block_tokens of causal."""

    def document(self) -> dict[str, Any] | None:
        """The adapter as reports name it."""
        if self.row is None:
            return None
        return {"id": self.row.id, "name": self.row.name, "digest": self.row.digest, "base": self.base}


def subject_of(context: JobContext) -> Subject:
    """The adapter with its folder, a base model, or neither."""
    wanted, settings = context.params["adapter"], context.params["settings"]
    if wanted is None:
        own = {"prefix": PREFIXES[settings.get("style") or "document"]}
        return Subject(context.params["base"], None, None, own)
    with reading() as session:
        row = session.get(Adapter, wanted)
    if row is None:
        raise JobFailed("adapter-gone", f"The adapter {wanted} was deleted before the job ran.")
    folder, manifest = adapter_folder(context, row.blob_digest)
    return Subject(manifest["base"]["name"], row, folder, dict(manifest.get("reading") or {}))


def writers_of(context: JobContext, subject: Subject, asked: dict[str, Any]) -> list[Writer]:
    """The models in the order of the table: the adapter first, then its base model where it is wanted. asked: further fields of each request."""
    found = []
    if subject.row is not None:
        found.append(Writer(TUNED, {"adapter": subject.row.blob_digest}, asked))
    if subject.base is not None and (subject.row is None or context.params["untrained"]):
        found.append(Writer(BASE, {"base": subject.base}, asked))
    return found


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


def title_of(subject: Subject, arm: str) -> str:
    """An arm's name in tables and charts."""
    if arm == TUNED:
        return "with the adapter"
    return "base model" if subject.base is None or subject.row is not None else shown(subject.base)
