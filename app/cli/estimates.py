"""`remand estimates`: run, show, package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

JobId = Annotated[str, typer.Argument(help="The estimates job: job_…")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    estimates = typer.Typer(
        help="Estimates for the paper: valid intervals from all labels and a blind audit sample.",
        no_args_is_help=True,
    )
    for name, verb in (("run", run), ("show", show), ("package", package)):
        estimates.command(name)(verb)
    app.add_typer(estimates, name="estimates")


def run(
    corpus: Annotated[str, typer.Option(help="The corpus, by name or id.")],
    audit_sample: Annotated[
        list[str] | None,
        typer.Option(
            help="A closed audit sample, by id or name; default: the newest of the totals. Repeated: samples of the same labels, used together."
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="JSON: the body of POST /estimates, or its list of analyses."
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None, typer.Option(help="Share of texts with this option; may be repeated.")
    ] = None,
    difference: Annotated[
        list[str] | None, typer.Option(help="OPTION:COLUMN, its share between groups; may be repeated.")
    ] = None,
    cluster_by: Annotated[
        str | None, typer.Option(help="Grouping key; `none`: every text for itself; default: the fold group.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what could be answered.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
) -> None:
    """Estimate prevalences, differences between groups, and regressions. Without --spec and analyses: the share of every option that was read."""
    from app.cli.audit import sample_id
    from app.cli.client import call, connect, fail
    from app.cli.train import follow_to_the_end

    body = _body(spec)
    if body.setdefault("corpus", corpus) != corpus:
        fail(
            f"{spec} is about the corpus {body['corpus']!r} and --corpus says {corpus!r}: make them the same."
        )
    given = _analyses(prevalence or [], difference or [])
    body["analyses"] = [*body.get("analyses", []), *given] or [{"kind": "prevalence"}]
    if cluster_by is not None:
        body["cluster_by"] = None if cluster_by == "none" else cluster_by
    with connect() as client:
        if audit_sample:
            for name in ("audit_sample", "audit_samples"):
                body.pop(name, None)
            ids = [sample_id(client, one, corpus) for one in audit_sample]
            body |= {"audit_samples": ids} if len(ids) > 1 else {"audit_sample": ids[0]}
        answer = call(client, "POST", "/estimates", params={"dry_run": dry_run}, json=body).json()
        if dry_run:
            _show_preview(answer)
            return
        typer.echo(f"{answer['id']} is queued.")
        if not follow:
            typer.echo(f"Then: remand estimates show {answer['id']}")
            return
        follow_to_the_end(client, answer["links"]["events"])
        _show(call(client, "GET", f"/estimates/{answer['id']}/report").json())
    typer.echo(f"For the paper: remand estimates package {answer['id']} replication.zip")


def show(
    job_id: JobId, as_json: Annotated[bool, typer.Option("--json", help="The whole report.")] = False
) -> None:
    """Every estimate with its interval, the naive one beside, and what was refused."""
    import json

    from app.cli.client import call, connect

    with connect() as client:
        found = call(client, "GET", f"/estimates/{job_id}/report").json()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _show(found)


def package(
    job_id: JobId, target: Annotated[Path, typer.Argument(help="The zip to write; it must not exist.")]
) -> None:
    """Write the replication package: data without text under hashed ids, scripts for R and Python, methods, citation."""
    from app.cli.client import call, connect, fail

    with connect(timeout=600.0) as client:
        content = call(client, "GET", f"/estimates/{job_id}/package").content
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        fail(f"{target} exists: name another file.")
    except OSError as error:
        fail(f"{target} cannot be written: {error.strerror}.")
    typer.echo(f"{target}: {len(content):,} bytes. Look through its columns before you give it away.")


def _body(spec: Path | None) -> dict[str, Any]:
    import json

    from app.cli.client import fail

    if spec is None:
        return {}
    try:
        found = json.loads(spec.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        fail(f"{spec} is no JSON: {error}")
    if not isinstance(found, dict | list):
        fail(f"{spec} holds neither the body of POST /estimates nor a list of analyses.")
    body = {"analyses": found} if isinstance(found, list) else found
    if not isinstance(body.get("analyses", []), list):
        fail(f"{spec}: `analyses` must be a list, not {type(body['analyses']).__name__}.")
    return body


def _analyses(prevalence: list[str], difference: list[str]) -> list[dict[str, Any]]:
    from app.cli.client import fail

    found: list[dict[str, Any]] = [{"kind": "prevalence", "labels": prevalence}] if prevalence else []
    for words in difference:
        label, colon, column = words.partition(":")
        if not (label and colon and column):
            fail(f"--difference {words!r}: write OPTION:COLUMN.")
        found.append({"kind": "difference", "label": label, "between": column})
    return found


def _show_preview(found: dict[str, Any]) -> None:
    typer.echo(
        f"{found['drawn']:,} of {found['frame']:,} texts were drawn for {' and '.join(found['audit_samples'])}."
    )
    for one in found["analyses"]:
        events = ", ".join(f"{label}: {yes:,} yes, {no:,} no" for label, (yes, no) in one["events"].items())
        answer = "can be answered" if one["answerable"] else f"cannot: {one['reason']}"
        typer.echo(f"{one['number']}. {one['words']}: {one['read']:,} read ({events}); {answer}")


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from app.estimates.figures import told

    console = Console()
    for one in found["analyses"]:
        console.print(f"\n{one['number']}. {one['words']}", markup=False, style="bold")
        if one["reason"] is not None:
            console.print(f"Not estimated. {one['reason']}", markup=False)
            continue
        table = Table(
            "", "estimate", "standard error", f"{100 * found['level']:g} % interval", "naive", box=None
        )
        for row in one["estimates"]:
            value, error, low, high, naive = (
                told(row[name], row["low"], row["high"])
                for name in ("value", "standard_error", "low", "high", "naive")
            )
            table.add_row(row["name"].replace("[", r"\["), value, error, f"{low} to {high}", naive)
        console.print(table)
