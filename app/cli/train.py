"""`remand train`: start a train job and, if asked, follow it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli import train_options as given


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Annotated[str, typer.Option(help="The corpus, by name or id.")],
    task: given.Task = "classify",
    model: given.Model = None,
    method: given.Method = "lora",
    epochs: given.Epochs = None,
    lora_rank: given.LoraRank = None,
    learning_rate: given.LearningRate = None,
    activation_checkpointing: given.Checkpointing = False,
    seed: given.Seed = 0,
    time_budget: given.TimeBudget = None,
    name: given.Name = None,
    folds: given.Folds = None,
    options: given.Options = None,
    limit: given.Limit = None,
    sample: given.Sample = None,
    wide: given.Wide = True,
    search: given.Search = None,
    trials: given.Trials = None,
    documents: given.Documents = None,
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
    dry_run: Annotated[
        bool, typer.Option(help="Only count what would be trained on, and estimate what it would take.")
    ] = False,
    follow: Annotated[bool, typer.Option(help="Show progress until the job ends.")] = False,
) -> None:
    """Train an adapter on a corpus's labels, documents or summaries: measured on what is held out, with a report."""
    from app.cli.search_space import search_of

    shared = {
        "corpus": corpus, "name": name, "method": method, "epochs": epochs, "seed": seed, "lora_rank": lora_rank,
        "learning_rate": learning_rate, "time_budget_seconds": time_budget,
        "activation_checkpointing": activation_checkpointing or None,
    }  # fmt: skip
    own = {
        "folds": folds, "limit": limit, "wide": wide, "search": search_of(search, trials),
        "options": [key.strip() for key in options.split(",")] if options else None,
        "sample": {"size": int(sample)} if sample is not None and sample.isdecimal() else sample,
        "document_set": documents, "document_limit": document_limit, "held_out_share": held_out_share,
        "schedule": schedule, "block_tokens": block_tokens, "text_field": text_field, "summary_field": summary_field,
        "group_field": group_field, "id_field": id_field, "style": style, "max_input_tokens": max_input_tokens,
        "max_target_tokens": max_target_tokens, "rouge_pairs": rouge_pairs,
    }  # fmt: skip
    _start(given.train_request(task, model, shared, own), dry_run=dry_run, follow=follow)


def _start(body: dict[str, Any], *, dry_run: bool, follow: bool) -> None:
    from app.cli.client import call, connect
    from app.cli.train_preview import preview_lines

    with connect() as client:
        if dry_run:
            preview = call(client, "POST", "/train-jobs", params={"dry_run": True}, json=body).json()
            for line in preview_lines(preview):
                typer.echo(line)
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
