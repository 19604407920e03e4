"""`remand train`: start a train job and, if asked, follow it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Annotated[str, typer.Option(help="The corpus, by name or id.")],
    model: Annotated[
        str, typer.Option(help="Base model: a name of the catalog, or an allowed folder.")
    ] = "minilm",
    folds: Annotated[int | None, typer.Option(help="Held-out folds; default: chosen for the corpus.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most so many; default: chosen for the corpus.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="lora, rslora, qlora, full or probe (docs/models.md).")
    ] = "lora",
    seed: Annotated[int, typer.Option(help="The same seed, labels and machine give the same adapter.")] = 0,
    time_budget: Annotated[
        float | None, typer.Option(help="Seconds the job may take; cuts epochs, never folds.")
    ] = None,
    options: Annotated[str | None, typer.Option(help="Only these options, separated by commas.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many labelled texts.")] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            help="A recorded sample (smp_…), or a number: so many texts drawn, stratified, of each training part (docs/sampling.md)."
        ),
    ] = None,
    wide: Annotated[bool, typer.Option(help="Fit and add the TF-IDF branch.")] = True,
    name: Annotated[str | None, typer.Option(help="Name of the adapter.")] = None,
    search: Annotated[
        Path | None,
        typer.Option(
            help="Search hyperparameters: a JSON file with the search, or its space (docs/search.md)."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials of the search; without --search of a usual space.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Only count what would be trained on, and estimate what it would take.")
    ] = False,
    follow: Annotated[bool, typer.Option(help="Show progress until the job ends.")] = False,
) -> None:
    """Train an adapter on a corpus's labels: held-out folds, both baselines, a final fit, a report."""
    from app.cli.client import call, connect
    from app.cli.search_space import search_of

    given = {
        "corpus": corpus, "base_model": model, "folds": folds, "epochs": epochs, "method": method, "seed": seed,
        "time_budget_seconds": time_budget, "limit": limit, "wide": wide, "name": name,
        "options": [key.strip() for key in options.split(",")] if options else None,
        "search": search_of(search, trials),
        "sample": {"size": int(sample)} if sample is not None and sample.isdecimal() else sample,
    }  # fmt: skip
    body = {key: value for key, value in given.items() if value is not None}
    with connect() as client:
        if dry_run:
            _show_preview(call(client, "POST", "/train-jobs", params={"dry_run": True}, json=body).json())
            return
        job = call(client, "POST", "/train-jobs", json=body).json()
        typer.echo(f"{job['id']} is queued.")
        for warning in job["params"].get("warnings", []):
            typer.echo(f"note: {warning}")
        if not follow:
            typer.echo(f"Follow it with: remand jobs follow {job['id']}")
            return
        follow_to_the_end(client, job["links"]["events"])


def follow_to_the_end(client: Any, events_path: str) -> None:
    """Show a job until it ends; exit status 1 when it did not succeed."""
    from app.cli.following import JobDisplay, job_events

    with JobDisplay("waiting") as display:
        last = display.show(job_events(client, events_path))
    kind, data = last or ("failed", {})
    if kind != "succeeded":
        raise typer.Exit(1)
    for line in _result_lines(data):
        typer.echo(line)


def _result_lines(result: dict[str, Any]) -> list[str]:
    if "adapter_id" in result:
        # A generative adapter is never promoted: it says what it came to instead.
        return [
            f"{result['adapter_id']}: {result.get('promotion') or result.get('sentence', '')}",
            f"Report: remand adapters report {result['adapter_id']}",
        ]
    if isinstance(result.get("words"), str):
        return [result["words"]]
    return [f"{key}: {value}" for key, value in result.items() if isinstance(value, str | int | float)]


def _show_preview(preview: dict[str, Any]) -> None:
    typer.echo(
        f"{preview['rows']:,} of {preview['texts']:,} texts are labelled, {preview['cells']:,} labels, {preview['groups']:,} groups."
    )
    for option in preview["options"]:
        typer.echo(
            f"  {option['key']}: {option['yes']:,} yes, {option['no']:,} no, {option['missing']:,} missing"
        )
    for warning in preview["warnings"]:
        typer.echo(f"note: {warning}")
    for line in _estimate_lines(preview):
        typer.echo(line)


def _estimate_lines(preview: dict[str, Any]) -> list[str]:
    """What the job would take, in words."""
    from app.cli.following import duration

    found = preview.get("estimate")
    if found is None:
        waiting = preview.get("measuring")
        return (
            [f"No estimate yet: {waiting} measures it as soon as a trainer is free. Ask again in a moment."]
            if waiting
            else []
        )
    low, high = found["range_seconds"]
    epochs = "1 epoch" if found["epochs"] == 1 else f"{found['epochs']} epochs"
    within = " within the time budget" if found["epochs_in_time_budget"] is not None else ""
    measured = found["measured"]
    return [
        (
            f"It would take about {duration(found['seconds'])} (between {duration(low)} and {duration(high)}): "
            f"{found['folds']} folds, up to {epochs}{within}, {found['tokens_read']:,} tokens read."
        ),
        f"Memory up to {found['memory_bytes'] / 2**30:.1f} GiB, disk up to {found['disk_bytes'] / 2**30:.1f} GiB.",
        (
            f"Measured on {measured['host']} ({measured['device']}), {measured['at'][:16].replace('T', ' ')} UTC: "
            f"{found['tokens_per_second']:,.0f} tokens a second in training, {found['trunk_tokens_per_second']:,.0f} in the frozen layers."
        ),
    ]
