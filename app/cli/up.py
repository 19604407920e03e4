"""`remand up`, `down`, `status`, `backup`, `restore`: the one-machine stack."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.client import data_folder, fail

if TYPE_CHECKING:
    from app.stack.addresses import Addresses
    from app.stack.connection import Access

NOT_RUNNING = 4


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("backup")(backup)
    app.command("restore")(restore)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Start in the background and return when all is ready.")
    ] = False,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Start everything on this machine: Postgres, Redis, api, inference worker, jobs worker, dispatcher."""
    if detach:
        _detached()
    elif background:
        _in_background()
    elif sys.stdout.isatty():
        _in_terminal()
    else:
        _in_plain_lines()


def down() -> None:
    """Stop the stack of this data folder, in order, within 30 seconds."""
    from app.stack.detached import stop_running

    stopped = stop_running(data_folder())
    typer.echo("Remand has stopped." if stopped else f"Remand is not running on {data_folder()}.")


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what runs and whether it answers. Exit code 0: all of it; 1: not all of it; 4: it is not running."""
    from app.stack.status import as_document, look

    found = look(data_folder())
    if found is None:
        if as_json:
            typer.echo(json.dumps({"running": False}))
            raise typer.Exit(NOT_RUNNING)
        fail(f"Remand is not running on {data_folder()}. Start it with `remand up`.", NOT_RUNNING)
    if as_json:
        typer.echo(json.dumps(as_document(found), indent=2))
    else:
        _print_status(as_document(found))
    raise typer.Exit(0 if found.healthy else 1)


def backup(file: Annotated[Path, typer.Argument(help="The archive to write; must not exist yet.")]) -> None:
    """Write database, blobs and secrets into one archive, all of one moment; the stack may run."""
    from app.settings import get_settings
    from app.stack.backup import write_backup

    written = write_backup(file, get_settings())
    typer.echo(
        f"Wrote {file}: {written.blobs} blobs, {written.size / 1e6:.1f} MB. It holds the texts and the secrets: keep it safe."
    )


def restore(
    file: Annotated[
        Path, typer.Argument(help="An archive made by `remand backup`.", exists=True, dir_okay=False)
    ],
) -> None:
    """Bring an archive back into an empty data folder."""
    from app.settings import get_settings
    from app.stack.restore import restore_backup

    restored = restore_backup(file, get_settings())
    typer.echo(
        f"Restored {restored.blobs} blobs and the database of {restored.made_at} into {data_folder()}. Start with `remand up`."
    )


def _in_terminal() -> None:
    """The live table; the key and the link above it."""
    from rich.console import Console

    from app.settings import get_settings
    from app.stack.screen import LiveScreen
    from app.stack.up import run_stack

    with LiveScreen(Console()) as screen:
        run_stack(
            get_settings(),
            screen,
            lambda addresses, access: screen.report(_welcome(addresses.public_url, access)),
        )


def _in_plain_lines() -> None:
    """One line per piece of news."""
    from app.settings import get_settings
    from app.stack.screen import PlainScreen
    from app.stack.up import run_stack

    screen = PlainScreen()
    run_stack(
        get_settings(),
        screen,
        lambda addresses, access: screen.report(_welcome(addresses.public_url, access)),
    )


def _in_background() -> None:
    """As plain lines into the log, but the key goes to the starting process, never into a log."""
    from app.settings import get_settings
    from app.stack.detached import hand_over
    from app.stack.screen import PlainScreen
    from app.stack.up import run_stack

    def on_ready(_: Addresses, access: Access) -> None:
        hand_over(data_folder(), access)

    run_stack(get_settings(), PlainScreen(), on_ready)


def _detached() -> None:
    """Start in the background, then show the key and link here."""
    from app.settings import get_settings
    from app.stack.detached import start_detached

    access = start_detached(get_settings())
    typer.echo(_welcome(access.link.partition("/sign-in?")[0], access))
    typer.echo("It runs in the background: `remand status` shows it, `remand down` stops it.")


def _welcome(url: str, access: Access) -> str:
    """Where to go; the admin key only when it is new."""
    lines = [f"Remand is ready at {url} (API documentation: {url}/docs)"]
    if access.created:
        lines.append(f"Admin key, shown this once: {access.api_key}")
    lines.append(f"Sign in within an hour, once: {access.link}")
    return "\n".join(lines)


def _print_status(document: dict[str, object]) -> None:
    """The status as a table and the latest events."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for heading in ("part", "answers", "condition", "process", "restarts"):
        table.add_column(heading)
    parts = document["parts"]
    for part in parts if isinstance(parts, list) else []:
        answers = "[green]yes[/green]" if part["answers"] else "[red]no[/red]"
        table.add_row(
            part["name"], answers, part["condition"], str(part["pid"] or ""), str(part["restarts"] or "")
        )
    console = Console()
    console.print(
        f"Remand at {document['url']}, process {document['pid']}, {document['phase']}", highlight=False
    )
    console.print(table)
    events = document["events"]
    for event in events[-5:] if isinstance(events, list) else []:
        console.print(event, markup=False, highlight=False)
