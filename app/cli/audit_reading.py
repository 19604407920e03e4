"""Reading an audit sample in the terminal, blind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import httpx

LETTERS = {"y": "yes", "n": "no", "u": "uncertain", "a": "not_applicable", "s": None}
OUTSIDE = {"u": "uncertain", "a": "not_applicable", "s": None}
LEAVE, SKIP = "q", "skip"


class Leave(Exception):
    """The reader has had enough for now."""


class SkipText(Exception):
    """The reader skips the whole text."""


def read_on(client: httpx.Client, sample_id: str, role: str | None) -> None:
    """Text after text until nothing is left or the reader leaves."""
    from app.cli.client import call

    asked = {} if role is None else {"role": role}
    try:
        while True:
            found = call(client, "GET", f"/audit-samples/{sample_id}/texts/next", params=asked).json()
            text = found["text"]
            if text is None:
                typer.echo("Nothing is left for you to read here.")
                return
            said = {**ask(text, found["progress"]), "role": found["role"]}
            call(client, "PUT", f"/audit-samples/{sample_id}/texts/{text['text_id']}/reading", json=said)
    except Leave:
        typer.echo("What you have read is recorded, but for the text that is shown.")


def ask(text: dict[str, Any], progress: dict[str, Any]) -> dict[str, Any]:
    """Show a text and ask for every cell; the body of a reading. Leave raises."""
    typer.echo(f"\n── {text['external_id']} · no. {text['place']:,} of {progress['texts']:,} ──\n")
    typer.echo(text["content"])
    if text["shown_before"]:
        typer.echo(
            "\n(You have been shown labels of this text, or have decided on it, before: this reading counts as not blind.)"
        )
    typer.echo(
        "\nq leaves, skip skips the whole text; s skips one label, u uncertain, a not applicable, ? its definition."
    )
    values: dict[str, str | None] = {}
    try:
        for cell in text["cells"]:
            values[cell["key"]] = _answer(cell)
    except SkipText:
        return {"skip": True}
    note = typer.prompt("Note", default="", show_default=False)
    return {"values": values, "note": note}


def _answer(cell: dict[str, Any]) -> str | None:
    """One cell's value; None: skipped. Leave and SkipText raise."""
    choices = {str(number): choice["key"] for number, choice in enumerate(cell["choices"], start=1)}
    known: dict[str, str | None] = {**choices, **OUTSIDE} if choices else dict(LETTERS)
    for number, choice in zip(choices, cell["choices"], strict=True):
        typer.echo(f"  {number} {choice['name']}" + (f": {choice['definition']}" if choice["definition"] else ""))  # fmt: skip
    while True:
        said = typer.prompt(f"{cell['name']} [{'/'.join(choices) or 'y/n'}]").strip().lower()
        if said == LEAVE:
            raise Leave
        if said == SKIP:
            raise SkipText
        said = said[0] if said in {"yes", "no"} and not choices else said
        if said in known:
            return known[said]
        typer.echo(
            cell["definition"] or "The codebook gives no definition."
            if said == "?"
            else f"Say one of {', '.join(known)}, ?, skip or q."
        )
