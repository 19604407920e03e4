"""`remand export`: corrected labels (or disagreements) into a file, which is complete or not there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from app.cli.client import connect, fail

if TYPE_CHECKING:
    import httpx

FORMATS = ("csv", "jsonl")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export")(export)


def export(
    corpus: Annotated[str, typer.Option(help="Name or id of the corpus.")],
    out: Annotated[Path, typer.Option(help="The file to write; - for standard output.")],
    format: Annotated[
        str | None, typer.Option(help="csv or jsonl; default: what the file's name says, else csv.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Of a CSV: wide, one row a text; long, one row a label with its history.")
    ] = "wide",
    with_text: Annotated[bool, typer.Option("--with-text", help="Also the texts' content.")] = False,
    disagreements: Annotated[
        bool,
        typer.Option(
            "--disagreements", help="All disagreements with their decisions, in place of the labels."
        ),
    ] = False,
) -> None:
    """Write corrected labels with their history: every annotator's value, the consensus, every decision."""
    chosen = format or (
        out.suffix.lstrip(".").lower() if out.suffix.lstrip(".").lower() in FORMATS else "csv"
    )
    query: dict[str, Any] = {"format": chosen, "with_text": with_text}
    if disagreements:
        path, query = "/label-disagreements/export", query | {"corpus": corpus, "state": "all"}
    else:
        path, query = f"/corpora/{_quoted(corpus)}/export", query | {"layout": layout}
    with connect(timeout=300) as client:
        if str(out) == "-":
            _stream(client, path, query, sys.stdout.buffer)
        else:
            _into_file(client, path, query, out)


def _into_file(client: httpx.Client, path: str, query: dict[str, Any], out: Path) -> None:
    unfinished = out.with_name(f".{out.name}.part")
    try:
        with unfinished.open("wb") as file:
            size = _stream(client, path, query, file)
        unfinished.replace(out)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}.")
    finally:
        unfinished.unlink(missing_ok=True)
    typer.echo(f"{out}: {size:,} bytes")


def _stream(client: httpx.Client, path: str, query: dict[str, Any], file: BinaryIO) -> int:
    """Copy an answer as it comes; its size in bytes. A problem or a broken connection ends the command with its words."""
    import httpx

    size = 0
    try:
        with client.stream("GET", path, params=query) as answer:
            if answer.status_code >= 400:
                answer.read()
                fail(f"{answer.status_code} {answer.json().get('detail', answer.reason_phrase)}")
            for block in answer.iter_bytes():
                size += file.write(block)
    except httpx.HTTPError as error:
        fail(f"The export broke off after {size:,} bytes ({type(error).__name__}): run it again.")
    return size


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
