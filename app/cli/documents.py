"""`remand documents`: upload files to learn from, see what was read of them, delete them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.client import call, connect, fail, listed

if TYPE_CHECKING:
    import httpx

_verbs = typer.Typer(
    name="documents", help="Document sets: files that generative training learns from.", no_args_is_help=True
)
SetId = Annotated[str, typer.Argument(help="doc_…")]
_PAUSE_SECONDS = 0.3


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(_verbs)


@_verbs.command("add")
def add(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="PDF, DOCX, TXT; JSONL or CSV of texts with summaries; or zip archives of these.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    corpus: Annotated[str, typer.Option(help="The corpus they belong to, by name or id.")],
    name: Annotated[str | None, typer.Option(help="Name of the set; default: the first file's.")] = None,
    wait: Annotated[
        bool, typer.Option(help="Wait until the files are read and say what could not be.")
    ] = True,
) -> None:
    """Upload files as one document set; exit status 1 when none of them could be read."""
    data = {"corpus": corpus} | ({"name": name} if name else {})
    with connect(timeout=600.0) as client, ExitStack() as stack:
        parts = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in files]
        made = call(client, "POST", "/document-sets", data=data, files=parts).json()
        typer.echo(made["id"])
        if not wait:
            return
        found = _read(client, made["id"])
        _tell(found)
    if not found["documents"] and not found["rows"]:
        fail("Nothing in these files can be trained on.")


@_verbs.command("list")
def list_(
    corpus: Annotated[str | None, typer.Option(help="Only sets of this corpus.")] = None,
) -> None:
    """List document sets, newest first."""
    with connect() as client:
        for found in listed(client, "/document-sets", {"corpus": corpus} if corpus else {}):
            typer.echo(f"{found['id']}  {found['name']}  {_counts(found)}")


@_verbs.command("show")
def show(document_set: SetId) -> None:
    """What was read of every file of a set."""
    with connect() as client:
        found = call(client, "GET", f"/document-sets/{document_set}").json()
    for file in found["files"]:
        size = (
            f"{file['characters']:,} characters"
            if file["characters"] is not None
            else f"{file['rows'] or 0:,} rows"
        )
        pages = f"{file['pages']} pages, " if file["pages"] is not None else ""
        typer.echo(f"{file['filename']}: {f'{pages}{size}' if file['status'] == 'read' else file['status']}")
    _tell(found)


@_verbs.command("delete")
def delete(document_set: SetId) -> None:
    """Remove a set with its files for good; adapters trained on it stay."""
    with connect() as client:
        call(client, "DELETE", f"/document-sets/{document_set}")
    typer.echo(f"{document_set} is deleted.")


def _read(client: httpx.Client, document_set: str) -> dict[str, Any]:
    """Wait for the files to be read."""
    while True:
        found: dict[str, Any] = call(client, "GET", f"/document-sets/{document_set}").json()
        if found["state"] != "reading":
            return found
        time.sleep(_PAUSE_SECONDS)


def _tell(found: dict[str, Any]) -> None:
    for file in found["files"]:
        if file["detail"]:
            typer.echo(f"refused ({file['code']}): {file['detail']}", err=True)
        for warning in file["warnings"]:
            typer.echo(f"note: {file['filename']}: {warning}", err=True)
    if found["state"] == "failed":
        typer.echo(f"Reading ended early: remand jobs show {found['job_id']}", err=True)
    typer.echo(_counts(found))


def _counts(found: dict[str, Any]) -> str:
    rows = f", {found['rows']:,} rows" if found["rows"] else ""
    waiting = f", {found['waiting']:,} waiting" if found["waiting"] else ""
    return f"{found['documents']:,} documents, {found['characters']:,} characters{rows}, {found['refused']:,} refused{waiting}"
