"""Templates and the headers that every page carries."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from app.corpora.consensus_methods import NAMES
from app.http.security import Principal, csrf_token

FOLDER = Path(__file__).parent

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-store",
    "Vary": "Accept, Cookie",
}
"""Nothing from elsewhere, no inline script or style, no framing, nothing kept in shared caches."""

_WORDS = {"yes": "Yes", "no": "No", "uncertain": "Uncertain", "not_applicable": "Not applicable"}


@lru_cache
def templates() -> Environment:
    """The environment: everything escaped, every missing name an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "share": share,
        "when": when,
        "day": day,
        "word": word,
        "count": "{:,}".format,
        "duration": duration,
    }
    environment.globals |= {"asset": asset, "consensus_names": NAMES}
    return environment


def page(
    request: Request, template: str, caller: Principal | None, status: int = 200, **context: Any
) -> HTMLResponse:
    """A rendered page; `caller` None where nobody is signed in."""
    content = templates().get_template(template).render(caller=caller, csrf=csrf_token(request), **context)
    return HTMLResponse(content, status, headers=HEADERS)


@lru_cache
def asset(name: str) -> str:
    """The address of a static file with a piece of its hash, so that browsers may keep it."""
    digest = sha256((FOLDER / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def percent(value: float | None) -> str:
    """0.053 as `5.3 %`; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value * 100:.1f} %" if value < 0.0995 or value > 0.9905 else f"{value * 100:.0f} %"


def share(value: float | None) -> str:
    """A share or score to three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def when(value: datetime | None) -> str:
    """A time in UTC, to the minute."""
    return "undated" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def day(value: datetime | None) -> str:
    """A time as files give it: midnight means that they gave the day alone."""
    return when(value).removesuffix(" 00:00")


def duration(seconds: float) -> str:
    """Seconds as people say them: `about 4 min`."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def word(value: str | None, names: dict[str, str] | None = None) -> str:
    """A cell's value for reading: Yes, No, an option's name; `blank` for none."""
    if value is None:
        return "blank"
    return _WORDS.get(value) or (names or {}).get(value) or value
