"""The command line's way to a running Remand: address and key from the environment or from the stack's connection file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    import httpx  # imported where it is used: every start of the command line loads this file

PAGE = 200
"""Items of a listing that are asked for at a time."""


def data_folder() -> Path:
    """The folder of the one-machine stack."""
    from app.settings import get_settings
    from app.stack.folders import home_folder

    return home_folder(get_settings().home)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with a message on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def connect(timeout: float = 60.0) -> httpx.Client:
    """A client for REMAND_URL with REMAND_API_KEY, or for the running stack's `connection.json`."""
    import httpx

    url, key = os.environ.get("REMAND_URL"), os.environ.get("REMAND_API_KEY")
    if not (url and key):
        try:
            connection = json.loads((data_folder() / "connection.json").read_text())
        except FileNotFoundError:
            fail(
                "Remand is not running here: start it with `remand up`, or set REMAND_URL and REMAND_API_KEY."
            )
        except PermissionError:
            fail(
                f"{data_folder() / 'connection.json'} is not readable for this user: set REMAND_URL and REMAND_API_KEY."
            )
        url, key = url or connection["url"], key or connection["api_key"]
    return httpx.Client(base_url=str(url), headers={"Authorization": f"Bearer {key}"}, timeout=timeout)


@contextmanager
def on_the_way(client: httpx.Client) -> Iterator[None]:
    """Ends the command in words where Remand does not answer, or breaks off."""
    import httpx

    try:
        yield
    except httpx.ConnectError:
        fail(f"Nothing answers at {client.base_url}: is `remand up` running?")
    except httpx.TimeoutException:
        fail(f"Remand has not answered within {client.timeout.read:.0f} s: it may be at work on this still.")
    except httpx.TransportError:
        fail("Remand broke off in the middle of its answer: is it starting again? Then ask once more.")


def call(client: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """Send a request; a problem document ends the command with its words."""
    with on_the_way(client):
        response = client.request(method, path, **request)
    if response.status_code >= 400:
        _print_problem(response)
        raise typer.Exit(1)
    return response


def listed(
    client: httpx.Client, path: str, query: dict[str, Any], most: int | None = None
) -> Iterator[dict[str, Any]]:
    """Items of a listing, page by page: the first `most` of them, or all."""
    given, cursor = 0, None
    while most is None or given < most:
        size = PAGE if most is None else min(PAGE, most - given)
        page_query = query | {"limit": size} | ({"cursor": cursor} if cursor else {})
        page = call(client, "GET", path, params=page_query).json()
        yield from page["items"]
        given, cursor = given + len(page["items"]), page["next_cursor"]
        if cursor is None:
            return


def _print_problem(response: httpx.Response) -> None:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    where = f" ({problem['field']})" if problem.get("field") else ""
    sys.stderr.write(
        f"{response.status_code} {problem.get('title', response.reason_phrase)}{where}\n{problem.get('detail', '')}\n"
    )
