"""`remand demo`: the whole loop on synthetic letters, and how many of the labels it points at are truly wrong."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

    from app.cli.demo_check import Truth

SHOWN = 10
CHECKED = 100


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    texts: Annotated[int, typer.Option(min=60, help="Synthetic letters to make.")] = 1000,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Held-out folds.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same letters.")] = 2026,
    stop: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end instead of leaving it up.")
    ] = False,
) -> None:
    """Run the main job on letters made up on the spot: import, train, relabel, and show the labels to look at."""
    from rich.console import Console

    from app.cli.loop import LoopFailed

    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    started = _start(console)
    try:
        _walk(console, texts, folds, seed)
    except LoopFailed as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from failure
    finally:
        if stop and started:
            _stop(console)
    console.print(f"The demo took {time.monotonic() - began:.0f} s.")
    if not (stop and started):
        _farewell(console)


def _walk(console: Console, texts: int, folds: int, seed: int) -> None:
    """Make letters, walk the loop, print what was found."""
    from app.cli import loop
    from app.cli.client import connect
    from app.cli.demo_data import mapping
    from models.data.demo import read_truth, write_demo

    with connect(timeout=120) as client, tempfile.TemporaryDirectory() as folder:
        letters = Path(folder) / "synthetic-letters.csv"
        with _step(console, f"Making {texts} synthetic letters from defendants to judges"):
            made = write_demo(letters, texts, seed)
        name = time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
        corpus = loop.create_corpus(
            client, name, synthetic=True, description="Synthetic letters made by remand demo."
        )
        with _step(console, f"Importing them as corpus {name}") as show:
            imported = loop.import_file(client, corpus, letters, mapping(), show)
        for line in imported["result"]["words"]:
            if not line.startswith(("Column", "Grouping", "Question")):
                console.print(f"    {line}")
        with _step(console, f"Training on {folds} held-out folds") as show:
            trained = loop.train(client, corpus, show, folds=folds, seed=seed)
        _print_report(console, client, trained["result"])
        with _step(console, "Re-reading every letter with a model that has not seen it") as show:
            loop.relabel(client, corpus, show, adapter=trained["result"]["adapter_id"])
        _print_findings(console, client, corpus, read_truth(made.truth))


def _print_report(console: Console, client: httpx.Client, trained: dict[str, Any]) -> None:
    adapter = trained["adapter_id"]
    report = client.get(f"/adapters/{adapter}/report").raise_for_status().json()
    macro = report["macro"]
    console.print(
        f"    {report['verdict']['sentence']}\n"
        f"    Accuracy {macro['model']['accuracy']:.3f}; always answering no has {macro['model']['always_no']:.3f}."
    )
    if not trained["promoted"]:
        console.print(
            f"    So it is not promoted: the corpus serves it once you say `remand adapters promote {adapter}`. "
            "It re-reads the letters all the same."
        )


def _print_findings(console: Console, client: httpx.Client, corpus: str, truth: Truth) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from app.cli import loop
    from app.cli.demo_check import check, is_wrong

    suspects = list(loop.disagreements(client, corpus, CHECKED))
    table = Table(
        box=SIMPLE_HEAD,
        title=f"The {SHOWN} most suspicious labels (synthetic letters)",
        title_justify="left",
    )
    for heading in ("letter", "argument", "label", "model says", "suspicion", "truly wrong?"):
        table.add_column(heading, no_wrap=True)
    for item in suspects[:SHOWN]:
        table.add_row(
            item["external_id"].removeprefix("synthetic-"),
            item["option"],
            item["human_value"],
            f"{item['model_value']} ({_model_probability(item):.2f})",
            f"{item['suspicion']:.2f}",
            "yes" if is_wrong(item, truth) else "no",
        )
    console.print(table)
    found = check(suspects, _labels_in_force(client, corpus), truth)
    console.print(
        f"Of the {found.read} most suspicious labels, {found.wrong} are truly wrong. Reading {found.read} labels at random "
        f"would find about {found.random_finds:.1f} ({found.wrong_labels} of {found.labels} labels are wrong).",
        style="bold",
    )


def _model_probability(item: dict[str, Any]) -> float:
    """The probability of what the model says."""
    probability = float(item["probability"])
    return probability if item["model_value"] == item["human_value"] else 1 - probability


def _labels_in_force(client: httpx.Client, corpus: str) -> dict[tuple[str, str], bool]:
    """Every labelled cell's value, from the export of the corpus."""
    answer = client.get(
        f"/corpora/{corpus}/export", params={"format": "csv", "layout": "wide"}
    ).raise_for_status()
    options = {
        option["key"] for question in _scheme(client, corpus)["questions"] for option in question["options"]
    }
    return {
        (row["external_id"], option): row[option] == "1"
        for row in csv.DictReader(io.StringIO(answer.text))
        for option in options
        if row[option]
    }


def _scheme(client: httpx.Client, corpus: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/corpora/{corpus}/scheme").raise_for_status().json()
    return document


def _start(console: Console) -> bool:
    """Start the stack unless it runs; whether it was started here."""
    from app.settings import get_settings
    from app.stack.detached import start_detached
    from app.stack.errors import AlreadyRunning

    try:
        with _step(
            console, "Starting Remand: Postgres, Redis, api, inference worker, jobs worker, dispatcher"
        ):
            start_detached(get_settings())
    except AlreadyRunning:
        console.print("    It runs already; the demo makes a corpus of its own in it.")
        return False
    return True


def _stop(console: Console) -> None:
    from app.cli.client import data_folder
    from app.stack.detached import stop_running

    with _step(console, "Stopping"):
        stop_running(data_folder())


def _farewell(console: Console) -> None:
    from app.cli.client import connect

    with connect() as client:
        # a key of its own: the one that listed the disagreements has seen them, and no vote with it would be blind
        key = (
            client.post("/keys", json={"name": "demo reviewer", "role": "reviewer"}).raise_for_status().json()
        )
        link = client.post("/sign-in-links", json={"key_id": key["id"]}).raise_for_status().json()["url"]
    console.print(
        f"Remand stays up. Review the disagreements here (the link signs you in once):\n  {link}\n`remand down` stops it."
    )


@contextmanager
def _step(console: Console, title: str) -> Iterator[Any]:
    """A line per step: what it is while it runs (with the job's progress), and its seconds afterwards."""
    began = time.monotonic()

    with console.status(title) as status:

        def show(job: dict[str, Any]) -> None:
            status.update(f"{title} … {_progress_words(job)}")

        yield show
    console.print(f"✓ {title}: {time.monotonic() - began:.0f} s")


def _progress_words(job: dict[str, Any]) -> str:
    progress = job.get("progress") or {}
    if progress.get("total"):
        return (
            f"{progress.get('stage', job['state'])} {100 * progress.get('done', 0) / progress['total']:.0f} %"
        )
    return str(progress.get("stage", job["state"]))
