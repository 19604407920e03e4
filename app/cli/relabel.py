"""`remand relabel --corpus NAME [--follow]`: read a corpus again and rank the labels by suspicion."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.client import call, connect

if TYPE_CHECKING:
    import httpx

_TERMINAL = {"succeeded", "failed", "cancelled"}
_PAUSE_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("relabel")(relabel)


def relabel(
    corpus: Annotated[str, typer.Option(help="The corpus's name or id.")],
    adapter: Annotated[str | None, typer.Option(help="Adapter id; default: the promoted one.")] = None,
    decoys: Annotated[float, typer.Option(help="Share of the queue that nothing flags, such as 0.1.")] = 0.0,
    follow: Annotated[bool, typer.Option(help="Wait for the end, with progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the job as JSON.")] = False,
) -> None:
    """Read every text of a corpus with models that have not seen it, and rank the labels by suspicion."""
    body: dict[str, Any] = {"corpus": corpus} | ({"adapter": adapter} if adapter else {})
    body |= {"decoys": decoys} if decoys else {}
    with connect() as client:
        accepted = call(client, "POST", "/relabel-jobs", json=body)
        job: dict[str, Any] = accepted.json()
        if follow:
            job = _followed(client, accepted.headers["Location"])
    if as_json:
        typer.echo(json.dumps(job, ensure_ascii=False, indent=2))
    else:
        for line in words(job, corpus):
            typer.echo(line, err=job["state"] in {"failed", "cancelled"})
    if job["state"] in {"failed", "cancelled"}:
        raise typer.Exit(1)


def words(job: dict[str, Any], corpus: str) -> list[str]:
    """A relabel job in words, line by line."""
    if job["state"] == "failed":
        return [str(job["error"]["detail"])]
    if job["state"] == "cancelled":
        return ["The relabel job was cancelled; no ranking was made."]
    if job["state"] != "succeeded":
        return [f"{job['id']} is {job['state']}. See how far it is: GET {job['links']['self']}"]
    result = job["result"]
    used = result["texts_per_models"]
    by_models = ", ".join(
        f"{count:,} by {models} {'model' if models == '1' else 'models'}"
        for models, count in used["held_out"].items()
    )
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in result["seconds"].items())
    return [
        f"{result['texts']:,} texts read, {result['held_out_texts']:,} of them by models that had not seen them ({by_models or 'none'}).",
        f"{result['not_audited_texts']:,} texts not audited: {used['not_held_out']:,} that every fold model had seen, {used['unreadable']:,} unreadable.",
        f"{_flagged(result['flagged_cells'])}, of {result['audited_cells']:,} audited ({result['settled_cells']:,} settled ones left alone).",
        "A flag is a reason to look, not a claim that the label is wrong.",
        f"Ranking {result['ranking']}, by {result['method']}. Seconds: {seconds}.",
        f"Read them: GET /label-disagreements?corpus={corpus}",
    ]


def _flagged(cells: int) -> str:
    return "1 label to look at" if cells == 1 else f"{cells:,} labels to look at, most suspicious first"


def _followed(client: httpx.Client, location: str) -> dict[str, Any]:
    """Wait for the job, with its progress on standard error when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as shown:
        task = shown.add_task("queued", total=None)
        while True:
            job: dict[str, Any] = call(client, "GET", location).json()
            if job["state"] in _TERMINAL:
                return job
            progress = job["progress"]
            shown.update(
                task,
                description=progress.get("stage", job["state"]),
                completed=progress.get("done", 0),
                total=progress.get("total"),
            )
            time.sleep(_PAUSE_SECONDS)
