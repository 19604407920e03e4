"""`remand fine-tune`: train an adapter on a file, without any server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.cli.following import Event


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("fine-tune")(fine_tune)


def fine_tune(  # noqa: PLR0913, PLR0917  # a verb's options
    data_path: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="CSV, JSONL or xlsx with texts and labels.")
    ],
    output_dir: Annotated[Path, typer.Option(help="Where the adapter folder goes; absent or empty.")],
    model: Annotated[str, typer.Option(help="Base model: a name of the catalog, or a folder.")] = "minilm",
    folds: Annotated[int | None, typer.Option(help="Held-out folds; default: up to five.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many; default: chosen.")] = None,
    method: Annotated[
        str, typer.Option(help="lora, rslora, qlora, full or probe (docs/models.md).")
    ] = "lora",
    seed: Annotated[int, typer.Option(help="The same seed, file and machine give the same adapter.")] = 0,
    time_budget: Annotated[float | None, typer.Option(help="Seconds; cuts epochs, never folds.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many labelled texts.")] = None,
    wide: Annotated[bool, typer.Option(help="Fit and add the TF-IDF branch.")] = True,
    text: Annotated[str | None, typer.Option(help="Column with the text; default: guessed.")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Column with the text's id; default: guessed.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that folds are split by; default: guessed.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Label columns, separated by commas; default: guessed.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(exists=True, help="A whole column mapping as JSON, as for imports.")
    ] = None,
) -> None:
    """Train on a file of labelled texts and write an adapter folder that `remand adapters import` takes."""
    from app.cli.following import JobDisplay

    training = {
        "base_model": model, "folds": folds, "epochs": epochs, "method": method, "seed": seed,
        "time_budget_seconds": time_budget, "limit": limit, "wide": wide,
    }  # fmt: skip
    given = {
        "data_path": str(data_path.absolute()),
        "output_dir": str(output_dir.absolute()),
        "mapping": _mapping(mapping, text, id_, group, labels),
        "training": {key: value for key, value in training.items() if value is not None},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(given, file)
        file.flush()
        command = [sys.executable, "-m", "workers.fine_tune", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_root()) as process:
            try:
                with JobDisplay("reading") as display:
                    display.show(_events(process))
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)
                raise
    if process.returncode:
        raise typer.Exit(1)
    typer.echo(
        f"{output_dir} holds the adapter. Serve it with: remand adapters import {output_dir} --corpus NAME"
    )


def _mapping(
    file: Path | None, text: str | None, id_: str | None, group: str | None, labels: str | None
) -> dict[str, Any]:
    """The mapping given as a file, with what single options say put in."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file else {}
    found |= {key: value for key, value in (("text", text), ("id", id_), ("fold_group", group)) if value}
    if group and group not in found.get("groups", ()):
        found["groups"] = [*found.get("groups", ()), group]
    if labels:
        columns = [name.strip() for name in labels.split(",")]
        found["questions"] = [{"key": "labels", "kind": "yes_no_set", "columns": columns}]
    return found


def _events(process: subprocess.Popen[str]) -> Iterator[Event]:
    assert process.stdout is not None
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library that prints to stdout
        if isinstance(event, dict) and "event" in event:
            yield event.pop("event"), event


def _root() -> Path:
    """Where the package `workers` is found, wherever the command was started."""
    import app

    return Path(app.__path__[0]).resolve().parent
