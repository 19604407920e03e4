"""Puts the pages into the app: their routes, their static files and errors as pages."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from app.pages import routes
from app.pages.errors import ErrorPages
from app.pages.render import FOLDER


def install_pages(app: FastAPI) -> None:
    """Call it last: the middleware that turns problems into pages has to be around every other."""
    app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    app.add_middleware(ErrorPages)
