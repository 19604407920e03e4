"""`remand classify --corpus NAME TEXT|FILE`: what an adapter says about a text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.client import call, connect, fail
from app.cli.explained import COLOURED, explained

_LONGEST_PATH = 255


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("classify")(classify)


def classify(
    text: Annotated[
        str, typer.Argument(help="The text, or a UTF-8 text file with it; - reads standard input.")
    ],
    corpus: Annotated[str | None, typer.Option(help="Corpus whose promoted adapter reads it.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Adapter id.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which words and sentences speak for and against.")
    ] = False,
    options: Annotated[
        str | None, typer.Option(help="Options to explain, separated by commas; default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Read one text with an adapter: every option's probability, and the decision at its threshold."""
    named = {"corpus": corpus, "adapter": adapter}
    body: dict[str, Any] = {"text": text_or_file(text)}
    body |= {name: value for name, value in named.items() if value}
    if explain or options:
        chosen = [key.strip() for key in options.split(",")] if options else None
        body["explain"] = {"options": chosen, "top": COLOURED}
    with connect(timeout=180.0) as client:
        answer: dict[str, Any] = call(client, "POST", "/classify", json=body).json()
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for line in words(answer):
        typer.echo(line)
    explanation = answer["results"][0].get("explanation")
    if explanation:
        names = {option["key"]: option["name"] for option in answer["results"][0]["options"]}
        for line in explained(body["text"], explanation, names, colour=coloured_terminal()):
            typer.echo(line)


def words(answer: dict[str, Any]) -> list[str]:
    """The answer for one text, line by line: yes first, then by probability."""
    reading = answer["results"][0]
    if reading["error"]:
        fail(f"The text could not be read: {reading['error']}")
    lines = [
        f"{'yes' if option['decision'] else 'no':4}{option['probability']:6.3f}  {option['name'] or option['key']}"
        for option in sorted(
            reading["options"], key=lambda option: (not option["decision"], -option["probability"])
        )
    ]
    model = answer["model"]
    read = f"read in {reading['windows']} windows" if reading["windows"] > 1 else "read at once"
    return [*lines, f"({model['name']}, {model['adapter']}, {model['base_model']}; {read})"]


def coloured_terminal() -> bool:
    """Whether what is printed is seen by somebody who wants colour (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text_or_file(given: str) -> str:
    """The text itself, the content of the file it names, or standard input for "-"; ends the command when a file is not UTF-8."""
    if given == "-":
        return typer.get_text_stream("stdin").read()
    if len(given) > _LONGEST_PATH or "\n" in given or not Path(given).is_file():
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(f"{given} is not UTF-8 (byte {error.start}): convert it first.")
