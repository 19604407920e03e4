"""`remand import FILE --corpus NAME`: a dry run with a report in words, or with --commit the import itself."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.client import call, connect, fail

if TYPE_CHECKING:
    import httpx

_TERMINAL = {"succeeded", "failed", "cancelled"}
_PAUSE_SECONDS = 0.3


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("import")(import_)


def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV, JSONL or .xlsx.", exists=True, dir_okay=False, readable=True)
    ],
    corpus: Annotated[str, typer.Option(help="The corpus's name or id.")],
    commit: Annotated[
        bool, typer.Option(help="Store what is found. Without it: a dry run with the same report.")
    ] = False,
    create: Annotated[
        bool, typer.Option(help="Make the corpus if there is none of that name; a dry run makes none.")
    ] = False,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that says which column is what; everything left out is guessed.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    rejected: Annotated[Path | None, typer.Option(help="Write the rejected rows to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Import a file of labelled texts. Blank label cells are missing, never no; codes such as 99 are asked about."""
    document = _mapping(mapping)
    with connect(timeout=600.0) as client, _target(client, corpus, create=create, commit=commit) as target:
        with file.open("rb") as content:
            accepted = call(
                client,
                "POST",
                f"/corpora/{target}/imports",
                data={"commit": "true" if commit else "false", "mapping": document},
                files={"file": (file.name, content)},
            )
        job = _finished(client, accepted.headers["Location"])
        _tell(job, as_json=as_json)
        if rejected is not None and (job["result"] or {}).get("rejected_blob"):
            rejected.write_bytes(call(client, "GET", f"/imports/{job['id']}/rejected").content)
            typer.echo(f"Rejected rows: {rejected}", err=True)
    if job["state"] != "succeeded":
        raise typer.Exit(1)


def _mapping(path: Path | None) -> str:
    if path is None:
        return "{}"
    try:
        return json.dumps(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        fail(f"{path} is not valid JSON: {error}")


@contextmanager
def _target(client: httpx.Client, name: str, *, create: bool, commit: bool) -> Iterator[str]:
    """The corpus to import into, made where it is asked for; a dry run tries the file on one of its own, gone afterwards."""
    if not create or client.get(f"/corpora/{name}").status_code != 404:
        yield name
    elif commit:
        call(client, "POST", "/corpora", json={"name": name})
        typer.echo(f"Made the corpus {name}.", err=True)
        yield name
    else:
        trial = f"dry run {time.strftime('%Y%m%d-%H%M%S', time.gmtime())} {secrets.token_hex(3)}"
        made = call(client, "POST", "/corpora", json={"name": trial}).json()["id"]
        try:
            yield made
        finally:
            call(client, "DELETE", f"/corpora/{made}")
        typer.echo(f"There is no corpus {name} yet: --commit makes it.", err=True)


def _finished(client: httpx.Client, location: str) -> dict[str, Any]:
    """Wait for the job, with its progress on standard error when that is a terminal."""
    while True:
        job: dict[str, Any] = call(client, "GET", location).json()
        if sys.stderr.isatty():
            progress = job["progress"]
            of = f" of {progress['total']:,}" if progress.get("total") else ""
            line = f"{progress['stage']}: {progress['done']:,}{of} rows" if progress else job["state"]
            sys.stderr.write("\r\033[K" + ("" if job["state"] in _TERMINAL else line))
        if job["state"] in _TERMINAL:
            return job
        time.sleep(_PAUSE_SECONDS)


def _tell(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(job["result"] or job["error"], ensure_ascii=False, indent=2))
    elif job["state"] == "succeeded":
        for line in job["result"]["words"]:
            typer.echo(line)
    elif job["state"] == "failed":
        typer.echo(job["error"]["detail"], err=True)
    else:
        typer.echo("The import was cancelled; nothing was stored.", err=True)
