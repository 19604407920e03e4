"""What a generative train job may ask for, checked before a job is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.http.problems import Conflict, Invalid
from app.settings import Settings
from app.training.base_models import base_folder, catalog_document
from app.training.folder import Source
from app.training.generative_schemas import CausalSettings, SummarizeSettings
from app.training.schemas import TrainJobRequest
from models.catalog import CATALOG, GENERATIVE_FAMILIES, family_of

SHARED = frozenset(
    {
        "corpus", "name", "task", "base_model", "method", "epochs", "lora_rank", "learning_rate", "seed",
        "time_budget_seconds", "activation_checkpointing", "device", "splits", "causal", "summarize",
    }
)  # fmt: skip
"""Fields of a train job that generative tasks read; the others belong to classification."""
METHODS = ("lora", "rslora", "qlora")


def check_tasks(body: TrainJobRequest) -> None:
    """Raise Invalid for settings of another task than the one asked for."""
    for task in ("causal", "summarize"):
        if getattr(body, task) is not None and body.task != task:
            raise Invalid(
                f"`{task}` has settings of the task {task}, and the task is {body.task}: set task, or leave them out.",
                field=f"/{task}",
                slug="other-task",
            )
    if body.task == "classify":
        return
    for name in sorted(body.model_fields_set - SHARED):
        field = type(body).model_fields[name]
        if getattr(body, name) != field.get_default(call_default_factory=True):
            raise Invalid(
                f"`{name}` belongs to classification; the task is {body.task}. Leave it out.",
                field=f"/{name}",
                slug="other-task",
            )
    if body.method not in METHODS:
        raise Invalid(
            f"{body.task} is trained with {', '.join(METHODS)}, not {body.method}.",
            field="/method",
            slug="method-unsuitable",
        )


def check_generative_base(name: str, task: str, settings: Settings) -> None:
    """Raise Invalid for a base model that cannot be had, or is of another family than the task needs."""
    fitting = GENERATIVE_FAMILIES[task]
    known = [entry.name for entry in CATALOG.values() if entry.family in fitting]
    entry = CATALOG.get(name)
    family = entry.family if entry is not None else None
    if family is None or family in fitting:
        family = family_of(base_folder(name, settings))
    if family not in fitting:
        raise Invalid(
            f"{name!r} is a {family or 'nameless'} model; the task {task} takes {', '.join(known)}, or a local folder of the "
            f"families {', '.join(fitting)}: name one as base_model.",
            field="/base_model",
            slug="base-model-unsuitable",
        )


def check_sensitive(task: str, *, sensitive: bool) -> None:
    """Raise Conflict for domain adaptation on a sensitive corpus: such a model writes its training texts down."""
    if task == "causal" and sensitive:
        raise Conflict(
            "The corpus is marked sensitive, and a causal adapter can repeat what it was trained on word for word. Train on a corpus "
            "that is not, or, if the mark is wrong, change it (PUT /corpora/{id}).",
            field="/corpus",
            slug="corpus-sensitive",
        )


def pairs_of(rows: Iterable[Mapping[str, str]], settings: SummarizeSettings) -> Iterator[Source]:
    """Rows that have a text and a summary, named by their id or their place."""
    for number, row in enumerate(rows):
        content, summary = row.get(settings.text_field, ""), row.get(settings.summary_field, "")
        if content.strip() and summary.strip():
            yield Source(
                row.get(settings.id_field) or f"row-{number}", content, row.get(settings.group_field), summary
            )


def check_fields(rows: Iterable[Mapping[str, str]], settings: SummarizeSettings) -> None:
    """Raise Invalid for the text's or the summary's field if no row has anything in it: asked when no row has both."""
    empty, first = ["text_field", "summary_field"], None
    for row in rows:
        first = first or list(row)
        empty = [name for name in empty if not row.get(getattr(settings, name), "").strip()]
    if empty and first:
        raise Invalid(
            f"Rows have no field {getattr(settings, empty[0])!r}, or nothing in it; the first has {', '.join(first[:20])}.",
            field=f"/summarize/{empty[0]}",
            slug="unknown-field",
        )


def too_few(body: TrainJobRequest, documents: int, where: str, advice: str, least: int = 2) -> Invalid:
    """The problem of fewer documents than `least`: two to train and measure, one to evaluate."""
    what = "document" if body.task == "causal" else "pair of text and summary"
    use = "evaluated" if least == 1 else "trained on, and training and measuring need at least two"
    return Invalid(
        f"The {where} has {documents or 'no'} {what} that can be {use}: {advice}.",
        field=f"/{body.task}",
        slug="too-few-documents" if documents else "no-documents",
    )


def settings_of(body: TrainJobRequest) -> CausalSettings | SummarizeSettings:
    """The settings of the task asked for; defaults where none were given."""
    return (
        (body.causal or CausalSettings())
        if body.task == "causal"
        else (body.summarize or SummarizeSettings())
    )


def generative_request(body: TrainJobRequest, settings: Settings) -> dict[str, Any]:
    """The trainer's request (models.generative.request) as JSON."""
    own = settings_of(body).model_dump(
        exclude={"document_set", "text_field", "summary_field", "group_field", "id_field"}
    )
    shared = {
        "task",
        "base_model",
        "method",
        "lora_rank",
        "learning_rate",
        "epochs",
        "seed",
        "activation_checkpointing",
    }
    return (
        body.model_dump(include=shared)
        | own
        | {
            "time_budget_s": body.time_budget_seconds,
            "device": settings.device if body.device == "auto" else body.device,
            "catalog": catalog_document(settings),
        }
    )
