"""`remand summaries --corpus NAME`: the summaries of a corpus's texts, what is not in the texts, and all of them as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.client import call, connect, fail, listed
from models.data.control_characters import plain

if TYPE_CHECKING:
    import httpx


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("summaries")(summaries)


def summaries(
    corpus: Annotated[str, typer.Option(help="Name or id of the corpus.")],
    run: Annotated[str | None, typer.Option(help="A summary run (smr_…); default: the newest.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    max_supported: Annotated[
        float | None, typer.Option(help="Only those of whose sentences at most this share is supported.")
    ] = None,
    without: Annotated[bool, typer.Option("--without", help="Only texts that have no summary.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write all of them to this file (.csv or .jsonl); it must not exist.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the summaries that a summary job wrote, with what the texts do not have."""
    query: dict[str, Any] = {"corpus": corpus, "without": without}
    query |= {"run": run} if run else {}
    query |= {"max_supported": max_supported} if max_supported is not None else {}
    with connect(timeout=600.0) as client:
        if out is not None:
            _export(client, query, out)
            return
        items = list(listed(client, "/summaries", query, top))
    if not items:
        typer.echo(
            f"{corpus} has no such summaries. Make some: remand summarize --corpus {corpus}", err=not as_json
        )
    for item in items:
        typer.echo(json.dumps(item, ensure_ascii=False) if as_json else "\n".join([*words(item), ""]))


def words(item: dict[str, Any]) -> list[str]:
    """One summary in words, line by line."""
    share = item["supported_share"]
    told = "" if share is None else f" · {share:.0%} supported"
    strategy = (item["strategy"] or "no summary").replace("_", " ")
    lines = [f"{item['external_id']} · {item['words']} of {item['words_in_text']} words · {strategy}{told}"]
    if item["error"] is not None:
        return [f"{item['external_id']} · no summary{told}", item["error"]["detail"]]
    lines.append(plain(item["summary"]))
    lines += [
        f"Not in the text: {found['kind']} {found['text']!r}"
        for found in (item["faithfulness"] or {}).get("unsupported", [])
    ]
    return lines + ([] if item["current"] else ["(The text has changed since.)"])


def _export(client: httpx.Client, query: dict[str, Any], out: Path) -> None:
    if out.suffix not in {".csv", ".jsonl"}:
        fail(f"{out} must end in .csv or .jsonl: that says in which form.")
    if out.exists():
        fail(f"{out} exists: name another file.")
    content = call(client, "GET", "/summaries/export", params={**query, "format": out.suffix[1:]}).content
    with out.open("xb") as file:
        file.write(content)
    typer.echo(f"{out}: {len(content):,} bytes.")
