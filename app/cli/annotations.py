"""What `remand agreement` and `remand annotators` ask alike: whose values on which texts, and how the answer is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx

Corpus = Annotated[str, typer.Argument(help="The corpus's name or id.")]
CodebookVersion = Annotated[str | None, typer.Option(help="Whose values; default: the newest version's.")]
Team = Annotated[str | None, typer.Option(help="Only values given by this team.")]
Since = Annotated[str | None, typer.Option(help="Only values annotated at or after this time (2019-05-01T00:00Z).")]  # fmt: skip
Until = Annotated[str | None, typer.Option(help="Only values annotated before this time.")]
Metadata = Annotated[
    list[str] | None, typer.Option(help="Only texts with this metadata, such as year=2019; may be repeated.")
]
Group = Annotated[
    list[str] | None, typer.Option(help="Only texts of this grouping key, such as case=17; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
TIMEOUT = 300


def values_asked(
    version: str | None, team: str | None, since: str | None, until: str | None, metadata: Sequence[str] | None, group: Sequence[str] | None
) -> dict[str, Any]:  # fmt: skip
    """The query of both: what was given."""
    given = {"codebook_version": version, "team": team, "since": since, "until": until, "metadata": metadata, "group": group}  # fmt: skip
    return {name: value for name, value in given.items() if value}


def fetch(client: httpx.Client, corpus: str, what: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of `/corpora/{corpus}/{what}`."""
    from urllib.parse import quote

    from app.cli.client import call

    found: dict[str, Any] = call(client, "GET", f"/corpora/{quote(corpus, safe='')}/{what}", params=asked).json()  # fmt: skip
    return found


def tell(found: dict[str, Any], asked: dict[str, Any], as_json: bool, words: Callable[[], list[str]]) -> None:
    """The answer as JSON or in words; where no value is left, that."""
    import json

    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    if not found["annotators"]:
        typer.echo("No annotation passes these filters." if asked else "Nobody has annotated texts of this corpus.")  # fmt: skip
        return
    for line in words():
        typer.echo(line)


def version_words(found: dict[str, Any]) -> str:
    """How many annotators, under which codebook version, and which others there are."""
    others = [version["name"] or "(unnamed)" for version in found["codebook_versions"] if version["name"] != found["codebook_version"]]  # fmt: skip
    people = len(found["annotators"])
    return (
        f"{people} annotator{'' if people == 1 else 's'}, codebook version {found['codebook_version'] or '(unnamed)'}"
        + (f"; there are also {', '.join(others)}" if others else "")
    )
