"""`remand keys`: make, list and revoke API keys; make a one-time sign-in link."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.client import call, connect

_verbs = typer.Typer(name="keys", help="API keys and sign-in links.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(_verbs)


@_verbs.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is: the name reviews are signed with.")],
    role: Annotated[str, typer.Option(help="reader, reviewer or admin.")] = "reviewer",
    corpus: Annotated[
        str | None, typer.Option(help="The only corpus the key reaches (name or id); default: every one.")
    ] = None,
) -> None:
    """Make a key. Its secret is shown this once."""
    with connect() as client:
        key = call(client, "POST", "/keys", json={"name": name, "role": role, "corpus": corpus}).json()
    typer.echo(f"{key['id']}\n{key['secret']}")
    typer.echo(
        f"Id and secret of {name}'s key ({key['role']}); the secret is shown this once. A link that signs a browser in with it: "
        f"remand keys sign-in-link {key['id']}",
        err=True,
    )


@_verbs.command("list")
def list_() -> None:
    """List every key, without secrets."""
    with connect() as client:
        for key in call(client, "GET", "/keys").json():
            used = key["last_used_at"] or "never used"
            state = "revoked" if key["revoked_at"] else used
            typer.echo(
                f"{key['id']}  {key['role']:<8}  {key['name']}  {key['corpus_id'] or 'every corpus'}  {state}"
            )


@_verbs.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id: key_…")]) -> None:
    """End a key and every browser session made with it."""
    with connect() as client:
        call(client, "DELETE", f"/keys/{key_id}")
    typer.echo(f"Revoked {key_id}.")


@_verbs.command("sign-in-link")
def sign_in_link(
    key_id: Annotated[
        str | None, typer.Argument(help="The key whose rights the browser gets; default: the one in use.")
    ] = None,
) -> None:
    """Make a link that signs one browser in, once."""
    with connect() as client:
        link = call(client, "POST", "/sign-in-links", json={"key_id": key_id}).json()
    typer.echo(f"{link['url']}\n(good once, for {link['minutes']} minutes)")
