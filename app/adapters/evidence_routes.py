"""/adapters/{id}/…: report, card, held-out probabilities, and two adapters side by side."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from app.adapters.comparing import compare_adapters, disagreeing_ids
from app.adapters.held_out import read_held_out
from app.adapters.queries import about_corpus, decisions_on, find_adapter
from app.adapters.representations import (
    ARROW,
    CSV,
    MARKDOWN,
    decision_document,
    full_report,
    held_out_arrow,
    held_out_csv,
)
from app.blobs import BlobStore
from app.evaluations.queries import evaluations_of
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.problems import Conflict, Invalid
from app.http.security import Reader
from app.pages.reports import adapter_page, comparison_page, wants_page
from app.review import sightings
from app.settings import get_settings
from models.evaluation.card import model_card

router = APIRouter(prefix="/adapters", tags=["adapters"])
AdapterId = Annotated[str, Path(max_length=40, description="Id of the adapter: `adp_…`.")]
Accept = Annotated[str, Header(description="`text/html` for a page; JSON otherwise.", max_length=1000)]
_PAGE_OR_JSON: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As asked for by Accept.",
        "content": {"application/json": {}, "text/html": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/{adapter_id}/report",
    summary="An adapter's report",
    response_model=dict[str, Any],
    responses={**_PAGE_OR_JSON, **problems(404)},
)
def report(
    request: Request,
    db: ReadDB,
    caller: Reader,
    adapter_id: AdapterId,
    accept: Accept = "*/*",
    standalone: Annotated[
        bool, Query(description="Of the page: with its style inside, to be kept as a file.")
    ] = False,
) -> Any:
    """Held-out numbers per option with intervals by group, confusion, curves, baselines and always-no beside, twins, energy, the gate's decisions.

    The JSON has the numbers behind every curve of the page.
    """
    adapter = find_adapter(db, adapter_id, caller)
    if wants_page(accept):
        return adapter_page(request, caller, db, adapter.id, standalone=standalone)
    decisions = [decision_document(found) for found in decisions_on(db, adapter.id)]
    return full_report(adapter, decisions, evaluations_of(db, adapter.id, caller))


@router.get(
    "/{adapter_id}/card",
    summary="An adapter's model card",
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "Markdown with YAML front matter.",
            "content": {"text/markdown": {"schema": {"type": "string"}}},
        },
        **problems(404),
    },
)
def card(db: ReadDB, caller: Reader, adapter_id: AdapterId) -> Response:
    """A Hugging Face model card: intended use, how the labels arose, held-out numbers beside always-no, limits, licence. No text is in it."""
    adapter = find_adapter(db, adapter_id, caller)
    about = about_corpus(db, adapter.corpus_id, adapter.snapshot_id) if adapter.corpus_id else {}
    content = model_card(adapter.manifest, adapter.report, about, adapter.name)
    return Response(content, media_type=MARKDOWN)


@router.get(
    "/{adapter_id}/held-out",
    summary="Export held-out probabilities",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "CSV, or an Arrow IPC file.",
            "content": {"text/csv": {"schema": {"type": "string"}}, ARROW: {}},
        },
        **problems(404, 409),
    },
)
def held_out(
    db: WriteDB,
    caller: Reader,
    adapter_id: AdapterId,
    format: Annotated[Literal["csv", "arrow"], Query(description="csv or arrow.")] = "csv",
) -> Response:
    """Calibrated probabilities of every text that was trained on, each by the fold model that had not seen it: ids and numbers, never texts."""
    adapter = find_adapter(db, adapter_id, caller)
    found = None
    if adapter.task == "classify":
        blobs = BlobStore(get_settings().blob_root)
        found = read_held_out(blobs.path(adapter.blob_digest), adapter.option_keys)
    if found is None:
        raise Conflict(
            "This adapter carries no held-out probabilities.", slug="no-held-out", field="adapter_id"
        )
    if adapter.corpus_id is not None:
        sightings.record_texts(db, caller, adapter.corpus_id, None)
    name = f"{adapter.id}-held-out.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if format == "arrow":
        return Response(held_out_arrow(found, adapter.option_keys), media_type=ARROW, headers=headers)
    return StreamingResponse(held_out_csv(found, adapter.option_keys), media_type=CSV, headers=headers)


@router.get(
    "/{adapter_id}/compare",
    summary="Compare two adapters",
    response_model=dict[str, Any],
    responses={**_PAGE_OR_JSON, **problems(404, 409, 422)},
)
def compare(
    request: Request,
    db: ReadDB,
    caller: Reader,
    adapter_id: AdapterId,
    other: Annotated[str, Query(alias="with", max_length=40, description="Id of the other adapter.")],
    accept: Accept = "*/*",
) -> Any:
    """Differences per option with intervals by group and McNemar's test, on the cells that both hold out, against the labels in force.

    Reviewers also get the first cells on which the two decide differently; what either says is not told, so that reading stays blind.
    """
    if adapter_id == other:
        raise Invalid("An adapter is not compared with itself.", field="with", slug="same-adapter")
    first, second = find_adapter(db, adapter_id, caller), find_adapter(db, other, caller, "with")
    found, shared = compare_adapters(db, BlobStore(get_settings().blob_root), first, second)
    if wants_page(accept):
        return comparison_page(request, caller, first, second, found, shared)
    return {
        "first": {"id": first.id, "name": first.name},
        "second": {"id": second.id, "name": second.name},
        **found,
        "learning_curves": [adapter.report.get("learning_curves") for adapter in (first, second)],
        "decided_otherwise": disagreeing_ids(shared) if caller.role != "reader" else None,
    }
