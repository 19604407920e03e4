"""`remand annotators`: how often each annotator and team says what the consensus says."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("annotators")(annotators)


def annotators(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    codebook_version: Annotated[
        str | None, typer.Option(help="Whose values; default: the newest version's.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only values given by this team.")] = None,
    since: Annotated[str | None, typer.Option(help="Only values annotated at or after this time (2019-05-01T00:00Z).")] = None,
    until: Annotated[str | None, typer.Option(help="Only values annotated before this time.")] = None,
    options: Annotated[bool, typer.Option("--options", help="Also every option.")] = False,
    periods: Annotated[bool, typer.Option("--periods", help="Also over time.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:  # fmt: skip
    """Share of right votes by the consensus per annotator and team, with 95 % intervals: agreement with the consensus, not truth."""
    import json
    from urllib.parse import quote

    from app.cli.client import call, connect

    given = {"codebook_version": codebook_version, "team": team, "since": since, "until": until}
    asked = {name: value for name, value in given.items() if value is not None}
    with connect(timeout=300) as client:
        found = call(client, "GET", f"/corpora/{quote(corpus, safe='')}/annotators", params=asked).json()
    if json_:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for line in words(found, options=options, periods=periods):
        typer.echo(line)


def words(found: dict[str, Any], *, options: bool, periods: bool) -> list[str]:
    """The answer in words, line by line."""
    lines = [
        (
            f"{len(found['annotators'])} annotators, codebook version {found['codebook_version'] or '(unnamed)'}. "
            "Agreement with the consensus, not with the truth."
        ),
        f"Consensus: {found['method']}.",
        *found["not_comparable"],
    ]
    for one in found["annotators"]:
        team = f" ({one['team']})" if one["team"] else ""
        lines.append(
            f"{one['name'] + team:<32} {one['texts']:>7,} texts  {told(one['quality'], one['reason'])}"
        )
        cells = [(cell["option"] or cell["question"], cell["quality"]) for cell in one["options"] if options]
        cells += [(f"{span['period']}, {span['texts']:,} texts", span["quality"]) for span in one["periods"] if periods]  # fmt: skip
        lines += [
            f"    {name:<36} {told(quality, 'fewer than 50 votes that count')}" for name, quality in cells
        ]
    for one in found["teams"]:
        lines.append(
            f"team {one['name']:<27} {one['votes']:>7,} votes  {told(one['quality'], one['reason'])}"
        )
    return lines


def told(quality: dict[str, Any] | None, reason: str | None) -> str:
    """`93.1 % right (90.2 to 95.0) of 812 votes`, or why there is no number."""
    if quality is None:
        return str(reason)
    share, low, high = (100 * quality[name] for name in ("share", "low", "high"))
    return f"{share:.1f} % right ({low:.1f} to {high:.1f}) of {quality['counted']:,} votes"
