"""The web service, put together: middleware, problem answers and every step's routes."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from app.adapters import evidence_routes
from app.adapters import routes as adapters
from app.annotators import report_routes as annotator_reports
from app.annotators import routes as annotators
from app.audits import routes as audits
from app.corpora import import_routes as imports
from app.corpora import routes as corpora
from app.corpora import sample_routes as samples
from app.corpora import text_routes as texts
from app.documents import routes as documents
from app.estimates import routes as estimates
from app.evaluations import routes as evaluations
from app.generating import routes as generating
from app.http import access_routes, health
from app.http.answers import install_problem_answers
from app.http.docs_page import install_docs
from app.http.idempotency import install_replay
from app.http.limits import RequestLimits
from app.http.openapi_document import install_openapi
from app.http.telemetry import Telemetry, configure_logging
from app.inference import routes as inference
from app.inference.lifespan import lifespan
from app.jobs import routes as jobs
from app.pages.install import install_pages
from app.relabelling import routes as relabelling
from app.review import audit_routes
from app.review import routes as review
from app.summaries import routes as summaries
from app.training import routes as training
from app.training import search_routes as searches

ROUTERS: tuple[APIRouter, ...] = (
    inference.router,
    health.router,
    access_routes.router,
    corpora.router,
    texts.router,
    samples.router,
    imports.router,
    imports.jobs,
    documents.router,
    generating.router,
    summaries.router,
    jobs.router,
    training.router,
    searches.router,
    adapters.router,
    evidence_routes.router,
    evaluations.router,
    annotators.router,
    annotator_reports.router,
    estimates.router,
    relabelling.router,
    review.router,
    audits.router,
    audit_routes.router,
)
"""Every step's routes: what is asked most first, because each is held against a path in turn; then in the order of the loop."""


def create_app() -> FastAPI:
    """The ASGI application; `uvicorn --factory app.main:create_app`."""
    configure_logging()
    app = FastAPI(
        title="Remand",
        summary="A second reader for hand-labelled legal text.",
        version="0.1.0",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install_problem_answers(app)
    install_replay(app)
    for router in ROUTERS:
        app.include_router(router)
    install_docs(app)
    install_openapi(app, bodies=(imports.ImportRequest,))
    app.add_middleware(RequestLimits)
    app.add_middleware(Telemetry)
    install_pages(app)
    return app
