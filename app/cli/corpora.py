"""`remand corpora`: list, create, show, delete; read and change a scheme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import typer

from app.cli.client import call, connect, fail, listed

_verbs = typer.Typer(name="corpora", help="Corpora and their schemes.", no_args_is_help=True)
Corpus = Annotated[str, typer.Argument(help="The corpus's name or id.")]


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(_verbs)


@_verbs.command("list")
def list_() -> None:
    """List the corpora that the key reaches."""
    with connect() as client:
        for corpus in listed(client, "/corpora", {}):
            marks = "".join(f" [{mark}]" for mark in ("sensitive", "synthetic") if corpus[mark])
            typer.echo(f"{corpus['id']}  {corpus['name']}{marks}")


@_verbs.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name, usable in place of the id.")],
    description: Annotated[str, typer.Option()] = "",
    sensitive: Annotated[bool, typer.Option(help="Mark its texts as confidential.")] = False,
    fold_group: Annotated[
        str | None,
        typer.Option(help="Grouping key that folds are split by; default: chosen by the first import."),
    ] = None,
) -> None:
    """Make an empty corpus."""
    body = {"name": name, "description": description, "sensitive": sensitive, "fold_group": fold_group}
    with connect() as client:
        typer.echo(call(client, "POST", "/corpora", json=body).json()["id"])


@_verbs.command("show")
def show(corpus: Corpus) -> None:
    """Show a corpus, what it holds, and its scheme."""
    with connect() as client:
        found = call(client, "GET", f"/corpora/{corpus}").json()
        scheme = call(client, "GET", f"/corpora/{corpus}/scheme").json()
    typer.echo(
        f"{found['name']} ({found['id']}): {found['texts']:,} texts, {found['annotators']:,} annotators"
    )
    typer.echo(
        f"folds are split by {found['fold_group'] or 'text'}; consensus {found['consensus']}; scheme version {scheme['version']}"
    )
    for question in scheme["questions"]:
        typer.echo(f"  {question['key']} ({question['kind']})")
        for option in question["options"]:
            typer.echo(
                f"    {option['position']:>3}  {option['key']}{' (retired)' if option['retired'] else ''}"
            )


@_verbs.command("set")
def set_(
    corpus: Corpus,
    consensus: Annotated[
        Literal["majority", "dawid_skene", "model_aware"],
        typer.Option(help="How annotators who differ are brought together, from the next snapshot on."),
    ],
) -> None:
    """Change how a corpus's labels come about; everything else of it stays."""
    with connect() as client:
        answer = call(client, "GET", f"/corpora/{quote(corpus, safe='')}")
        found = answer.json()
        kept = {name: found[name] for name in ("name", "description", "sensitive", "fold_group")}
        call(
            client,
            "PUT",
            f"/corpora/{found['id']}",
            json=kept | {"consensus": consensus},
            headers={"If-Match": answer.headers["ETag"]},
        )
    typer.echo(f"{found['name']}: consensus {consensus} (was {found['consensus']}).")


@_verbs.command("delete")
def delete(corpus: Corpus, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a corpus with everything in it, for good."""
    with connect() as client:
        found = call(client, "GET", f"/corpora/{corpus}").json()
        if (
            not yes
            and typer.prompt(
                f"Type {found['name']} to delete its {found['texts']:,} texts, labels, reviews and adapters"
            )
            != found["name"]
        ):
            fail("Nothing was deleted.")
        call(client, "DELETE", f"/corpora/{found['id']}")
    typer.echo(f"Deleted {found['name']}.")


@_verbs.command("scheme")
def scheme(
    corpus: Corpus,
    put: Annotated[
        Path | None, typer.Option(help="JSON file with the new version.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Print the scheme as JSON, or store a new version of it. Options keep their positions; ones left out are retired."""
    with connect() as client:
        answer = call(client, "GET", f"/corpora/{corpus}/scheme")
        if put is not None:
            try:
                document = json.loads(put.read_text(encoding="utf-8"))
            except ValueError as error:
                fail(f"{put} is not valid JSON: {error}")
            answer = call(
                client,
                "PUT",
                f"/corpora/{corpus}/scheme",
                json=_request(document),
                headers={"If-Match": answer.headers["ETag"]},
            )
    typer.echo(json.dumps(answer.json(), ensure_ascii=False, indent=2))


def _request(document: dict[str, object]) -> dict[str, object]:
    """The document without what only the server sets, so that what was printed can be edited and sent back."""
    document.pop("version", None)
    questions = document.get("questions")
    for question in questions if isinstance(questions, list) else []:
        for option in question.get("options", []):
            option.pop("position", None)
    return document
