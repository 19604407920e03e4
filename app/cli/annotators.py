"""`remand annotators`: how often each annotator and team says what the consensus says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx


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
    detail: Annotated[bool, typer.Option("--detail", help="Also by option and over time.")] = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="First fit models without each team (a job; its report is shown below).")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:  # fmt: skip
    """Share of right votes by the consensus per annotator and team, with 95 % intervals: agreement with the consensus, not truth."""
    import json
    from urllib.parse import quote

    from app.cli.client import call, connect

    given = {"codebook_version": codebook_version, "team": team, "since": since, "until": until}
    asked = {name: value for name, value in given.items() if value is not None}
    with connect(timeout=300) as client:
        if fit:
            _fit(client, corpus, codebook_version)
        found = call(client, "GET", f"/corpora/{quote(corpus, safe='')}/annotators", params=asked).json()
    if json_:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for line in words(found, detail=detail):
        typer.echo(line)


def _fit(client: httpx.Client, corpus: str, version: str | None) -> None:
    """Start an annotator report and wait for it with its stages shown; exit status 1 where it does not succeed."""
    from app.cli.client import call
    from app.cli.following import JobDisplay, job_events

    body = {"corpus": corpus} | ({} if version is None else {"codebook_version": version})
    job = call(client, "POST", "/annotator-reports", json=body).json()
    with JobDisplay("annotators") as display:
        last = display.show(job_events(client, job["links"]["events"]))
    if last is None or last[0] != "succeeded":
        raise typer.Exit(1)


def words(found: dict[str, Any], *, detail: bool) -> list[str]:
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
        cells = [(cell["option"] or cell["question"], cell["quality"]) for cell in one["options"] if detail]
        cells += [(f"{span['period']}, {span['texts']:,} texts", span["quality"]) for span in one["periods"] if detail]  # fmt: skip
        lines += [
            f"    {name:<36} {told(quality, 'fewer than 50 votes that count')}" for name, quality in cells
        ]
    for one in found["teams"]:
        lines.append(
            f"team {one['name']:<27} {one['votes']:>7,} votes  {told(one['quality'], one['reason'])}"
        )
    return lines + ([] if found["report"] is None else report_words(found["report"]))


def report_words(report: dict[str, Any]) -> list[str]:
    """What models fitted without each team say, line by line."""
    lines = [f"Models fitted without each {report['by']}, on the others' labels:", *report["notes"]]
    for one in report["teams"]:
        found = one["agreement"]
        if found is None:
            lines.append(f"{one['name']:<32} {one['texts']:>7,} texts  {one['reason']}")
            continue
        within = (
            "no interval, too few groups"
            if found["low"] is None
            else f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f}"
        )
        lines.append(
            f"{one['name']:<32} {one['texts']:>7,} texts  agrees {100 * found['own']:.1f} %, with the others {100 * found['others']:.1f} %: "
            f"{100 * found['difference']:+.1f} points ({within})"
        )
    return lines


def told(quality: dict[str, Any] | None, reason: str | None) -> str:
    """`93.1 % right (90.2 to 95.0) of 812 votes`, or why there is no number."""
    if quality is None:
        return str(reason)
    share, low, high = (100 * quality[name] for name in ("share", "low", "high"))
    return f"{share:.1f} % right ({low:.1f} to {high:.1f}) of {quality['counted']:,} votes"
