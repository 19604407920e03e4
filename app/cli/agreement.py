"""`remand agreement`: how far annotators agree with each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("agreement")(agreement)


def agreement(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    codebook_version: Annotated[
        str | None, typer.Option(help="Whose values; default: the newest version's.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only values given by this team.")] = None,
    since: Annotated[str | None, typer.Option(help="Only values annotated at or after this time (2019-05-01T00:00Z).")] = None,
    until: Annotated[str | None, typer.Option(help="Only values annotated before this time.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also Cohen's kappa of every pair.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:  # fmt: skip
    """Krippendorff's alpha and Fleiss' kappa per option, with 95 % intervals by text."""
    import json
    from urllib.parse import quote

    from app.cli.client import call, connect

    given = {"codebook_version": codebook_version, "team": team, "since": since, "until": until}
    asked = {name: value for name, value in given.items() if value is not None}
    with connect(timeout=300) as client:
        found = call(client, "GET", f"/corpora/{quote(corpus, safe='')}/agreement", params=asked).json()
    if json_:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for line in words(found, with_pairs=pairs):
        typer.echo(line)


def words(found: dict[str, Any], *, with_pairs: bool) -> list[str]:
    """The answer in words, line by line."""
    others = [version["name"] for version in found["codebook_versions"] if version["name"] != found["codebook_version"]]  # fmt: skip
    lines = [
        f"{len(found['annotators'])} annotators, codebook version {found['codebook_version'] or '(unnamed)'}"
        + (f"; there are also {', '.join(others)}" if others else "")
        + ". Agreement with each other, not with the truth."
    ]
    for number, members in enumerate(found["groups"], start=1):
        lines.append(f"group {number}: {', '.join(members)}")
    lines += found["not_comparable"]
    for cell in found["cells"]:
        for group in cell["groups"]:
            lines.append(
                f"{cell['option'] or cell['question']:<32} group {group['group'] + 1}  {group['texts']:>7,} texts  "
                f"alpha {told(group['alpha'])}  Fleiss {told(group['fleiss'])}"
            )
            lines += [
                f"    {pair['first']} and {pair['second']}: {pair['texts']:,} texts, Cohen {told(pair['kappa'])}"
                for pair in (group["pairs"] if with_pairs else ())
            ]
    return lines


def told(found: dict[str, Any]) -> str:
    """`.712 (.680 to .741)`, or why there is no number."""
    if found["value"] is None:
        return str(found["reason"])
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
