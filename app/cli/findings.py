"""`remand findings` and `remand reviewing`: labels that cannot be right together, and how often reviewers follow the model."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("findings")(findings)
    app.command("reviewing")(reviewing)


def findings(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    kind: Annotated[str | None, typer.Option(help="violation or conflict; default: both.")] = None,
    state: Annotated[str, typer.Option(help="open or all.")] = "open",
    top: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List broken dependencies and duplicates labelled differently. Whoever lists them does not decide those texts blind."""
    from app.cli.client import call, connect

    query = {"corpus": corpus, "state": state, "limit": top} | ({"kind": kind} if kind else {})
    with connect() as client:
        page = call(client, "GET", "/label-findings", params=query).json()
    for item in page["items"]:
        typer.echo(json.dumps(item, ensure_ascii=False) if as_json else words(item))
    if not as_json and page["ranking_id"] is None:
        typer.echo(f"Nobody has looked yet: findings come with a ranking. remand relabel --corpus {corpus}")
    elif not as_json:
        typer.echo(
            f"{page['violations']:,} broken dependencies and {page['conflicts']:,} conflicting duplicates in all."
        )


def words(item: dict[str, Any]) -> str:
    """A finding as one line."""
    cells = ", ".join(
        f"{cell['disagreement_id']} {cell['option'] or cell['question']}={cell['review_value'] or cell['human_value']}"
        for cell in item["cells"]
    )
    if item["kind"] == "violation":
        return f"{item['external_id']}: {item['option']} without {' or '.join(item['needs_any'])}  [{cells}]"
    likeness = "same text" if item["likeness"] == "exact" else "nearly the same text"
    return f"{item['external_id']} and {item['other_external_id']}: {likeness}, other labels  [{cells}]"


def reviewing(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Tell how often reviewers follow the model, blind and not, at flags and at decoys."""
    from urllib.parse import quote

    from app.cli.client import call, connect

    with connect() as client:
        found = call(client, "GET", f"/corpora/{quote(corpus, safe='')}/reviewing").json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for group in found["groups"]:
        who = f"{group['reviewer'] or 'everybody'}, {'blind' if group['blind'] else 'not blind'}, {'flags' if group['reason'] == 'flag' else 'decoys'}"
        typer.echo(f"{who}: follows the model {_share(group['follows_model'])}, keeps the label {_share(group['keeps_label'])}")  # fmt: skip
    for one in found["differences"]:
        typer.echo(
            f"{one['reviewer'] or 'everybody'}: followed {one['share'] * 100:+.1f} points more often when seen "
            f"(95 %: {one['low'] * 100:+.1f} to {one['high'] * 100:+.1f})"
        )
    if not found["groups"]:
        typer.echo(f"Nobody has decided anything in the queue of {corpus} yet.")


def _share(found: dict[str, Any]) -> str:
    if found["share"] is None:
        return "–"
    return f"{found['share'] * 100:.0f} % ({found['low'] * 100:.0f} to {found['high'] * 100:.0f}, of {found['of']:,})"
