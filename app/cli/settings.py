"""`remand settings`: every setting with its value in force and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("settings")(show)


def show(
    markdown: Annotated[bool, typer.Option(help="Print the table of docs/settings.md.")] = False,
) -> None:
    """List every setting: its environment variable, the value in force, and what it means."""
    if markdown:
        typer.echo(settings_page(), nl=False)
        return
    from app.settings import Settings, get_settings

    values = get_settings()
    for name, field in Settings.model_fields.items():
        typer.echo(f"REMAND_{name.upper()}={_shown(getattr(values, name))}\n    {field.description}")


def settings_page() -> str:
    """docs/settings.md: made from the code, compared with it by a test."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    from app.settings import Settings

    yield "# Settings"
    yield ""
    yield "Made by `remand settings --markdown`; a test compares. Each is an environment variable or a line of a file `.env`."
    yield ""
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `REMAND_{name.upper()}` | {_cell(field.default)} | {field.description} |"


def _cell(default: Any) -> str:
    shown = _shown(default)
    return f"`{shown}`" if shown else ""


def _shown(value: Any) -> str:
    from pydantic import SecretStr

    match value:
        case None:
            return ""
        case SecretStr():
            return "(secret)" if value.get_secret_value() else ""
        case tuple():
            return ",".join(_shown(part) for part in value)
        case PurePath():
            return str(value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
