"""POST /evaluations of summaries and of causal models: checked, and made a job of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal

from app.adapters.rules import MADE_TO
from app.blobs import BlobStore
from app.db.session import WriteSession
from app.db.tables import Adapter, Corpus
from app.evaluations.generative_schemas import CausalEvaluation, SummaryEvaluation
from app.evaluations.schemas import EvaluationBody
from app.generating.rules import check_may_write
from app.http.problems import Conflict, Invalid
from app.settings import get_settings
from app.training.base_models import check_base_model
from app.training.generative_queries import sized_documents
from app.training.generative_rules import check_generative_base
from app.training.generative_schemas import SummaryPairs
from app.training.schemas import TrainJobRequest
from models.catalog import CATALOG

Task = Literal["classify", "summarize", "causal"]
_CLASSIFICATION = ("sample", "limit")
"""Fields of an evaluation that belong to classification."""


def task_of(body: EvaluationBody, adapter: Adapter | None) -> Task:
    """What is evaluated: by the settings that were given, else by the adapter. Conflict where the two differ."""
    given: Task | None = "summarize" if body.summarize else "causal" if body.causal else None
    found: Any = adapter.task if adapter is not None else None
    if given is None:
        return found or "classify"
    if found is not None and found != given:
        raise Conflict(
            f"This adapter is made to {MADE_TO[found]}: leave `{given}` out, or name an adapter that is made for it.",
            field="/adapter",
            slug="wrong-task",
        )
    return given


def generative_params(
    db: WriteSession, body: EvaluationBody, corpus: Corpus, named: Mapping[str, Adapter], task: Task
) -> dict[str, Any]:
    """The job's parameters, once everything named in them is known to be there.

    named: the adapters by the fields that name them: `adapter`, `compare_with`.

    Raises Invalid or Conflict that names the field at fault.
    """
    adapter, other = named.get("adapter"), named.get("compare_with")
    _check_fields(body, corpus, named, task)
    if other is not None:
        _check_other(body, adapter, other, task)
    settings = (
        (body.summarize or SummaryEvaluation())
        if task == "summarize"
        else (body.causal or CausalEvaluation())
    )
    documents = asked_documents(task, body.split, settings.model_dump(mode="json"))
    sized_documents(db, BlobStore(get_settings().blob_root), corpus, documents, least=1)
    return {
        "task": task,
        "adapter": adapter.id if adapter else None,
        "compare_with": other.id if other else None,
        "base": body.base,
        "untrained": body.untrained,
        "split": body.split,
        "seed": body.seed,
        "settings": settings.model_dump(mode="json"),
    }


def asked_documents(task: str, split: str | None, settings: dict[str, Any]) -> TrainJobRequest:
    """The documents of an evaluation, in the words of a train job: both find them by the same queries."""
    own = {name: value for name, value in settings.items() if name in SummaryPairs.model_fields}
    return TrainJobRequest.model_validate(
        {"corpus": "-", "task": task, task: own, "splits": None if split is None else [split]}
    )


def _check_fields(body: EvaluationBody, corpus: Corpus, named: Mapping[str, Adapter], task: Task) -> None:
    for name in _CLASSIFICATION:
        if getattr(body, name) is not None:
            raise Invalid(
                f"`{name}` belongs to classification; this evaluates the task {task}. Leave it out, and give `{task}.items`.",
                field=f"/{name}",
                slug="other-task",
            )
    settings = body.summarize if task == "summarize" else body.causal
    if body.split is not None and settings is not None and settings.document_set is not None:
        raise Invalid(
            "A document set has no splits: leave `split` out, or evaluate the corpus's texts.",
            field="/split",
            slug="no-splits",
        )
    for name, adapter in named.items():
        if adapter.corpus_id not in {None, corpus.id}:
            raise Invalid(
                "This adapter belongs to another corpus: name one of this corpus, or import it without a corpus.",
                field=f"/{name}",
                slug="foreign-adapter",
            )
    if "adapter" not in named and body.base is None:
        _check_nothing_named(body, task)
    if task == "causal" and any(adapter.corpus_id is not None for adapter in named.values()):
        check_may_write(corpus.name, sensitive=corpus.sensitive)  # the report shows how it goes on
    _check_models(body, task)


def _check_nothing_named(body: EvaluationBody, task: Task) -> None:
    """Without adapter and base model: the extractive methods of summaries, which need neither."""
    if task == "causal":
        raise Invalid(
            "Name what is evaluated: a causal adapter as `adapter`, or a base model as `base`.",
            field="/adapter",
            slug="nothing-named",
        )
    if body.compare_with is not None:
        raise Invalid(
            "Name what is compared with it: an adapter made to summarize as `adapter`, or a base model as `base`.",
            field="/adapter",
            slug="nothing-named",
        )
    if body.summarize is not None and body.summarize.strategies != ["cut"]:
        raise Invalid(
            "Strategies are how a model summarizes long texts, and no model is named: give `adapter` or `base`, or leave them out.",
            field="/summarize/strategies",
            slug="nothing-named",
        )


def _check_other(body: EvaluationBody, adapter: Adapter | None, other: Adapter, task: Task) -> None:
    """Raise Conflict where the second adapter cannot stand beside what is evaluated."""
    if other.task != task:
        raise Conflict(
            f"This adapter is made to {MADE_TO[other.task]}, and the evaluation is of the task {task}: compare with one of the same task.",
            field="/compare_with",
            slug="wrong-task",
        )
    if task != "causal":
        return
    own: Mapping[str, Any] = {"name": body.base} if adapter is None else adapter.manifest["base"]
    beside = other.manifest["base"]
    if not any(own.get(key) is not None and own.get(key) == beside.get(key) for key in ("name", "sha256")):
        raise Conflict(
            f"{_called(own['name'])} and {_called(beside['name'])} cut texts into tokens each in their own way, so perplexity per token of one "
            "says nothing beside the other's. Compare adapters of one base model; evaluate each by itself against its own base model.",
            field="/compare_with",
            slug="other-base",
        )


def _called(base: str) -> str:
    """A base model in a message: of a folder the last part."""
    return base if base in CATALOG else PurePath(base).name


def _check_models(body: EvaluationBody, task: Task) -> None:
    if body.base is not None:
        _at("/base", lambda: check_generative_base(str(body.base), task, get_settings()))
    if task == "summarize":
        encoder = (body.summarize or SummaryEvaluation()).encoder
        _at("/summarize/encoder", lambda: check_base_model(encoder, get_settings()))


def _at(field: str, check: Any) -> None:
    """Run a check whose problem shall name this field."""
    try:
        check()
    except Invalid as problem:
        problem.field = field
        raise
