"""`remand agreement`: how far annotators agree with each other."""

from __future__ import annotations

from typing import Annotated, Any

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


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("agreement")(agreement)


def agreement(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Corpus,
    codebook_version: CodebookVersion = None,
    team: Team = None,
    since: Since = None,
    until: Until = None,
    metadata: Metadata = None,
    group: Group = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also Cohen's kappa of every pair.")] = False,
    json_: AsJson = False,
) -> None:
    """Krippendorff's alpha and Fleiss' kappa per option, with 95 % intervals by text."""
    from app.cli.client import connect

    asked = values_asked(codebook_version, team, since, until, metadata, group)
    with connect(timeout=TIMEOUT) as client:
        found = fetch(client, corpus, "agreement", asked)
    tell(found, asked, json_, lambda: words(found, with_pairs=pairs))


def words(found: dict[str, Any], *, with_pairs: bool) -> list[str]:
    """The answer in words, line by line."""
    lines = [f"{version_words(found)}. Agreement with each other, not with the truth."]
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
