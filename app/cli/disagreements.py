"""`remand disagreements`: the labels to look at, most suspicious first, as a table."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.cli.client import connect, listed


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("disagreements")(disagreements)


def disagreements(
    corpus: Annotated[str, typer.Option(help="Name or id of the corpus.")],
    top: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    state: Annotated[str, typer.Option(help="open, settled, claimed or all.")] = "open",
    option: Annotated[str | None, typer.Option(help="Only this option.")] = None,
    order_by: Annotated[
        str | None, typer.Option(help="Another score than the ranking's own, such as knn.")
    ] = None,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind",
            help="Leave out what people and model say: seeing it counts as not blind when you decide.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the labels to look at, most suspicious first."""
    query: dict[str, Any] = {"corpus": corpus, "state": state, "blind": blind}
    if option is not None:
        query["option"] = option
    if order_by is not None:
        query["order_by"] = order_by
    with connect() as client:
        items = list(listed(client, "/label-disagreements", query, top))
    if as_json:
        for item in items:
            typer.echo(json.dumps(item, ensure_ascii=False))
    elif items:
        print_items(items, order_by)
    else:
        typer.echo(
            f"No disagreement of {corpus} is {state}."
            if state != "all"
            else f"{corpus} has no disagreements yet."
        )


def print_items(items: list[dict[str, Any]], order_by: str | None) -> None:
    """The listing; error probabilities once there are any; `order_by`: a score that has a column of its own."""
    from app.cli.tables import print_table

    calibrated = any(item.get("error_probability") is not None for item in items)
    headings = ["#", "id", "text", "label", "people", "model", "p people", "suspicion", *(["p wrong"] if calibrated else []), *([order_by] if order_by else []), "state"]  # fmt: skip
    rows = [
        [
            str(item["position"]),
            item["id"],
            item["external_id"],
            item["option"] or item["question"],
            item["human_value"] or "·",
            item["model_value"] or "·",
            _share(item["probability"]),
            _share(item["suspicion"]),
            *([_share(item["error_probability"])] if calibrated else []),
            *([_share((item["scores"] or {}).get(order_by))] if order_by else []),
            item["state"],
        ]
        for item in items
    ]
    print_table(headings, rows, copied=1)


def _share(value: float | None) -> str:
    return "·" if value is None else f"{value:.3f}"
