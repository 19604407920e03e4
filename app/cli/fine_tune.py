"""`remand fine-tune`: train an adapter on a file, or on documents, without any server."""

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

from app.cli import train_options as given

if TYPE_CHECKING:
    from app.cli.following import Event


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("fine-tune")(fine_tune)


def fine_tune(  # noqa: PLR0913, PLR0917  # a verb's options
    data_path: Annotated[
        Path,
        typer.Option(
            exists=True,
            help="classify: CSV, JSONL or xlsx with texts and labels; causal: a folder, a zip or a file of PDF, DOCX, TXT; summarize: "
            "JSONL or CSV with texts and summaries.",
        ),
    ],
    output_dir: Annotated[Path, typer.Option(help="Where the adapter folder goes; absent or empty.")],
    task: given.Task = "classify",
    model: given.Model = None,
    method: given.Method = "lora",
    epochs: given.Epochs = None,
    lora_rank: given.LoraRank = None,
    learning_rate: given.LearningRate = None,
    activation_checkpointing: given.Checkpointing = False,
    seed: given.Seed = 0,
    time_budget: given.TimeBudget = None,
    folds: given.Folds = None,
    limit: given.Limit = None,
    wide: given.Wide = True,
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
    document_limit: given.DocumentLimit = None,
    held_out_share: given.HeldOutShare = None,
    schedule: given.Schedule = None,
    block_tokens: given.BlockTokens = None,
    text_field: given.TextField = None,
    summary_field: given.SummaryField = None,
    group_field: given.GroupField = None,
    id_field: given.IdField = None,
    style: given.Style = None,
    max_input_tokens: given.MaxInputTokens = None,
    max_target_tokens: given.MaxTargetTokens = None,
    rouge_pairs: given.RougePairs = None,
) -> None:
    """Train on a file of labelled texts, or on documents, and write an adapter folder that `remand adapters import` takes."""
    shared = {
        "method": method, "epochs": epochs, "seed": seed, "lora_rank": lora_rank, "learning_rate": learning_rate,
        "time_budget_seconds": time_budget, "activation_checkpointing": activation_checkpointing or None,
    }  # fmt: skip
    own = {
        "folds": folds, "limit": limit, "wide": wide, "document_limit": document_limit, "held_out_share": held_out_share,
        "schedule": schedule, "block_tokens": block_tokens, "text_field": text_field, "summary_field": summary_field,
        "group_field": group_field, "id_field": id_field, "style": style, "max_input_tokens": max_input_tokens,
        "max_target_tokens": max_target_tokens, "rouge_pairs": rouge_pairs,
    }  # fmt: skip
    training = given.train_request(task, model, shared, own)
    columns = _mapping(mapping, text, id_, group, labels)
    _check_source(task, data_path, columns)
    _run(data_path, output_dir, columns, training)


def _check_source(task: str, data_path: Path, columns: dict[str, Any]) -> None:
    from app.cli.client import fail

    if task == "classify" and data_path.is_dir():
        fail(f"{data_path} is a folder: classify learns from one file of labelled texts.")
    if task != "classify" and columns:
        fail(
            f"--mapping, --text, --id, --group and --labels belong to --task classify; the task is {task}. Rows of summarize are named "
            "by --text-field, --summary-field, --id-field and --group-field."
        )


def _run(data_path: Path, output_dir: Path, columns: dict[str, Any], training: dict[str, Any]) -> None:
    """Train in a process of its own, and show its events."""
    from app.cli.following import JobDisplay

    asked = {
        "data_path": str(data_path.absolute()),
        "output_dir": str(output_dir.absolute()),
        "mapping": columns,
        "training": training,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asked, file)
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
    found = _read_mapping(file) if file else {}
    found |= {key: value for key, value in (("text", text), ("id", id_), ("fold_group", group)) if value}
    if group and group not in found.get("groups", ()):
        found["groups"] = [*found.get("groups", ()), group]
    if labels:
        columns = [name.strip() for name in labels.split(",")]
        found["questions"] = [{"key": "labels", "kind": "yes_no_set", "columns": columns}]
    return found


def _read_mapping(file: Path) -> dict[str, Any]:
    from app.cli.client import fail

    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        fail(f"{file} is no JSON object: docs/imports.md shows a mapping.")
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
