"""`remand rankings …`: rankings of a corpus, judging its labels again, and what reviewing the top K would find."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

READ_DIFFERENTLY = 2.0
"""Design effect from which an option is told to be read differently from group to group (docs/adr/0030)."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Rankings of labels by suspicion.", no_args_is_help=True)
    group.command("list")(rankings)
    group.command("refit")(refit)
    group.command("budget")(budget)
    group.command("texts")(texts)
    app.add_typer(group, name="rankings")


def rankings(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the newest rankings of a corpus."""
    from app.cli.client import call, connect

    with connect() as client:
        items = call(client, "GET", "/rankings", params={"corpus": corpus}).json()["items"]
    for item in items:
        if as_json:
            typer.echo(json.dumps(item, ensure_ascii=False))
            continue
        for line in ranking_lines(item):
            typer.echo(line)
    if not items and not as_json:
        typer.echo(f"{corpus} has no ranking yet: remand relabel --corpus {corpus}")


def ranking_lines(item: dict[str, Any]) -> list[str]:
    """A ranking as it is listed: what it flags, and the options that are read differently from group to group."""
    decoys = f" and {item['decoy_cells']:,} decoys" if item["decoy_cells"] else ""
    head = (
        f"{item['id']}  {item['created_at'][:16].replace('T', ' ')}  {item['method']}: "
        f"{item['flagged_cells']:,} flagged{decoys} of {item['audited_cells']:,}, "
        f"{'calibrated' if item['calibrated'] else 'not calibrated'}"
    )
    apart = _read_differently(item["parameters"])
    return [head, f"    read differently from group to group: {apart}"] if apart else [head]


def _read_differently(parameters: dict[str, Any]) -> str:
    """Options whose labels lean together by whole groups, with their design effects, the most so first."""
    effects = parameters.get("design_effects", {})
    apart = sorted((effect, option) for option, effect in effects.items() if effect >= READ_DIFFERENTLY)
    return ", ".join(f"{option} ({effect:.1f})" for effect, option in reversed(apart))


def refit(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    run: Annotated[str | None, typer.Option(help="A relabel run; default: the newest.")] = None,
    score: Annotated[str | None, typer.Option(help="The score that orders it; default: the best there is.")] = None,
    decoys: Annotated[float, typer.Option(help="Share of the queue that nothing flags, such as 0.1.")] = 0.0,
    rate: Annotated[
        float | None,
        typer.Option("--max-false-discovery-rate", help="Flag so that at most this share is expected to be right."),
    ] = None,
) -> None:  # fmt: skip
    """Judge a run's labels again, with the decisions made since; no text is read."""
    from app.cli.client import call, connect
    from app.cli.following import result_of

    wishes = {
        "run": run,
        "score": score,
        "decoys": decoys or None,
        "max_false_discovery_rate": rate,
    }
    body = {"corpus": corpus} | {name: value for name, value in wishes.items() if value is not None}
    with connect() as client:
        job = call(client, "POST", "/rankings", json=body).json()
        result = result_of(client, job["links"]["events"], "ranking")
    for line in words(result, corpus):
        typer.echo(line)


def words(result: dict[str, Any], corpus: str) -> list[str]:
    """A finished rank job in words, line by line."""
    decoys = f", with {result['decoy_cells']:,} decoys among them" if result["decoy_cells"] else ""
    found = result["findings"]
    return [
        f"Ranking {result['ranking']}, by {result['method']}: {result['flagged_cells']:,} labels to look at of {result['audited_cells']:,}{decoys}.",
        f"{result['settled_cells']:,} settled ones left alone. {found['violations']:,} broken dependencies, {found['conflicts']:,} conflicting duplicates.",
        f"Budget: remand rankings budget {corpus}"
        if result["calibrated"]
        else "Not calibrated: suspicion orders, and is no probability.",
    ]


def budget(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    ranking: Annotated[str | None, typer.Option(help="A ranking (rnk_…); default: the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole curve as JSON.")] = False,
) -> None:
    """Review the top K, find about N: the curve, once an audit sample calibrates suspicion."""
    from app.cli.client import call, connect, fail

    with connect() as client:
        if ranking is None:
            items = call(client, "GET", "/rankings", params={"corpus": corpus, "limit": 1}).json()["items"]
            if not items:
                fail(f"{corpus} has no ranking yet: remand relabel --corpus {corpus}")
            ranking = items[0]["id"]
        found = call(client, "GET", f"/rankings/{ranking}/budget").json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    points = found["points"]
    for point in [*points[:-1][::5], *points[-1:]]:
        typer.echo(
            f"review {point['reviewed']:>9,}, find about {point['found']:>9,.0f} (95 %: {point['low']:,.0f} to {point['high']:,.0f})"
        )


def texts(
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    by: Annotated[
        str,
        typer.Option(help="any_wrong: noisy-or over a text's labels, their odds damped; highest: the most suspicious one."),
    ] = "any_wrong",
    ranking: Annotated[str | None, typer.Option(help="A ranking (rnk_…); default: the newest.")] = None,
    top: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:  # fmt: skip
    """List the most suspicious texts. Whoever lists them does not decide on them blind."""
    from urllib.parse import quote

    from app.cli.client import call, connect
    from app.cli.tables import print_table

    asked = {"by": by, "limit": top} | ({"ranking": ranking} if ranking else {})
    with connect() as client:
        items = call(
            client, "GET", f"/corpora/{quote(corpus, safe='')}/suspicious-texts", params=asked
        ).json()["items"]
    if as_json:
        for item in items:
            typer.echo(json.dumps(item, ensure_ascii=False))
        return
    if not items:
        typer.echo(f"{corpus} has no ranking yet: remand relabel --corpus {corpus}")
        return
    rows = [
        [
            item["external_id"],
            f"{item['any_wrong']:.3f}",
            f"{item['highest']:.3f}",
            item["most_suspicious"]["option"] or item["most_suspicious"]["question"],
        ]
        for item in items
    ]
    print_table(["text", "any wrong", "highest", "most suspicious"], rows)
