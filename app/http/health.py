"""/livez, /readyz and /metrics: whether this process lives, whether it can serve, and what it has done."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import httpx
from fastapi import APIRouter, Response
from sqlalchemy import text

from app.db.session import reading
from app.http.problems import Unavailable
from app.http.schemas import AnswerModel
from app.http.telemetry import metrics_page
from app.settings import get_settings

router = APIRouter(tags=["health"])
_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


class Part(AnswerModel):
    """One thing the api needs."""

    ready: bool
    detail: str


class Health(AnswerModel):
    """`degraded`: everything works except what needs an inference worker."""

    status: Literal["ready", "degraded"]
    parts: dict[str, Part]


@router.get("/livez", summary="Is this process alive?")
def livez() -> dict[str, str]:
    """Answers as long as the process does; asks nobody else."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="Can this process serve?",
    responses={503: {"description": "Database or schema is not ready."}},
)
def readyz() -> Health:
    """Looks at the database, at its schema's version and at the inference workers, and says how each is.

    503 only when the database or its schema is not ready: without an inference worker, everything but /classify and
    /summarize still works, and taking the api out of service would stop the reviewers too.
    """
    parts = {"database": _database(), "migrations": _migrations(), "inference": _inference()}
    if not (parts["database"].ready and parts["migrations"].ready):
        wrong = next(part for part in parts.values() if not part.ready)
        raise Unavailable(wrong.detail, parts={name: part.model_dump() for name, part in parts.items()})
    return Health(status="ready" if parts["inference"].ready else "degraded", parts=parts)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics() -> Response:
    """Request times and errors by route, in Prometheus' text format; of all api processes when PROMETHEUS_MULTIPROC_DIR is set."""
    body, media_type = metrics_page()
    return Response(body, headers={"Content-Type": media_type})


@lru_cache
def expected_revision() -> str | None:
    """The newest migration that this version of Remand has."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def _database() -> Part:
    try:
        with reading() as session:
            session.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return Part(ready=False, detail=f"The database does not answer ({type(error).__name__}).")
    return Part(ready=True, detail="answers")


def _migrations() -> Part:
    try:
        with reading() as session:
            found = session.scalar(text("SELECT version_num FROM alembic_version"))
    except Exception as error:  # noqa: BLE001
        return Part(
            ready=False,
            detail=f"The schema's version cannot be read ({type(error).__name__}): run the migrations.",
        )
    expected = expected_revision()
    if found != expected:
        return Part(
            ready=False,
            detail=f"The schema is at {found}, this version needs {expected}: run the migrations.",
        )
    return Part(ready=True, detail=f"at {found}")


def _inference() -> Part:
    ready, reasons = 0, []
    settings = get_settings()
    token = settings.inference_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for url in settings.inference_urls:
        try:
            answer = httpx.get(f"{url.rstrip('/')}/readyz", timeout=1.0, headers=headers)
        except httpx.HTTPError as error:
            reasons.append(f"{url}: {type(error).__name__}")
            continue
        if answer.status_code == 200:
            ready += 1
        else:
            reasons.append(f"{url}: status {answer.status_code}")
    total = len(settings.inference_urls)
    return Part(ready=ready > 0, detail="; ".join([f"{ready} of {total} ready", *reasons]))
