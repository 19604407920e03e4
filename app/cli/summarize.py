"""`remand summarize FILE`: the sentences that stand for a text."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.cli.classify import text_or_file
from app.cli.client import call, connect


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("summarize")(summarize)


def summarize(
    file: Annotated[
        str, typer.Argument(help="A UTF-8 text file, or the text itself; - reads standard input.")
    ],
    sentences: Annotated[int | None, typer.Option(help="Most sentences.")] = None,
    words: Annotated[int | None, typer.Option(help="Most words.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Share of the text's words, 0 to 1.")] = None,
    method: Annotated[
        str,
        typer.Option(
            help="mmr (stands for the whole, repeats nothing), textrank or lexrank (shares most words with the rest), lead (the first ones)."
        ),
    ] = "mmr",
    offsets: Annotated[bool, typer.Option(help="Print where each sentence stands in the text.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Summarize a text by its own sentences, verbatim and in their order."""
    lengths = {"max_sentences": sentences, "max_words": words, "ratio": ratio}
    given = {name: value for name, value in lengths.items() if value is not None}
    with connect(timeout=180.0) as client:
        body = {"text": text_or_file(file), "method": method, **given}
        answer: dict[str, Any] = call(client, "POST", "/summarize", json=body).json()
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for sentence in answer["sentences"]:
        place = f"[{sentence['start']}:{sentence['end']}] " if offsets else ""
        typer.echo(place + sentence["text"])
    for warning in answer["warnings"]:
        typer.echo(warning, err=True)
