"""`remand annotators`: how often each annotator and team says what the consensus says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.annotations import (
    TIMEOUT,
    AsJson,
    CodebookVersion,
    Corpus,
    Group,
    Metadata,
    Since,
    Team,
    Until,
    fetch,
    tell,
    values_asked,
    version_words,
)

if TYPE_CHECKING:
    import httpx


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("annotators")(annotators)


def annotators(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Corpus,
    codebook_version: CodebookVersion = None,
    team: Team = None,
    since: Since = None,
    until: Until = None,
    metadata: Metadata = None,
    group: Group = None,
    detail: Annotated[bool, typer.Option("--detail", help="Also by option and over time.")] = False,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="First fit models without each team (a job; its report is shown below)."),
    ] = False,
    json_: AsJson = False,
) -> None:
    """Share of right votes by the consensus per annotator and team, with 95 % intervals: agreement with the consensus, not truth."""
    from app.cli.client import connect

    asked = values_asked(codebook_version, team, since, until, metadata, group)
    with connect(timeout=TIMEOUT) as client:
        if fit:
            _fit(client, corpus, codebook_version)
        found = fetch(client, corpus, "annotators", asked)
    tell(found, asked, json_, lambda: words(found, detail=detail))


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
        f"{version_words(found)}. Agreement with the consensus, not with the truth.",
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
