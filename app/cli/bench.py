"""`remand bench NAME …`: runs a benchmark of bench/ in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "bench",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )(bench)


def bench(context: typer.Context, name: str = typer.Argument(help="Which one, such as loop.")) -> None:
    """Run a benchmark; what follows its name goes to it (`remand bench loop --help`)."""
    folder = Path(__file__).resolve().parents[2] / "bench"
    known = sorted(path.stem for path in folder.glob("*.py") if "def main(" in path.read_text())
    if name in {"-h", "--help"}:
        typer.echo(
            f"remand bench NAME …: {', '.join(known)}. What follows the name goes to the benchmark: `remand bench loop --help`."
        )
        return
    if name not in known:
        typer.echo(f"There is no benchmark {name!r}; there are: {', '.join(known)}.", err=True)
        raise typer.Exit(2)
    raise typer.Exit(
        subprocess.run([sys.executable, "-m", f"bench.{name}", *context.args], check=False).returncode
    )
