"""`remand adapters`: list, report, promote, import, export."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

AdapterId = Annotated[str, typer.Argument(help="adp_…")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    adapters = typer.Typer(help="Adapters: what training makes.", no_args_is_help=True)
    for name, verb in (
        ("list", list_),
        ("report", report),
        ("promote", promote),
        ("import", import_),
        ("export", export),
    ):
        adapters.command(name)(verb)
    app.add_typer(adapters, name="adapters")


def list_(corpus: Annotated[str | None, typer.Option(help="Only adapters of this corpus.")] = None) -> None:
    """Adapters, newest first."""
    from rich.console import Console
    from rich.table import Table

    from app.cli.client import call, connect

    with connect() as client:
        page = call(client, "GET", "/adapters", params={"corpus": corpus} if corpus else {}).json()
    table = Table(box=None)
    table.add_column("adapter", no_wrap=True, min_width=28)  # an id is there to be copied
    for heading in ("name", "base model", "macro-F1", "beats baselines", "promoted"):
        table.add_column(heading)
    for item in page["items"]:
        score = "" if item["macro_f1"] is None else f"{item['macro_f1']:.3f}"
        table.add_row(
            item["id"], item["name"], item["base_model"], score,
            "yes" if item["beats_baselines"] else "no", "yes" if item["promoted"] else "",
        )  # fmt: skip
    Console().print(table)


def report(
    adapter_id: AdapterId, as_json: Annotated[bool, typer.Option("--json", help="The whole report.")] = False
) -> None:
    """Held-out numbers per option beside both baselines."""
    import json

    from app.cli.client import call, connect

    with connect() as client:
        found = call(client, "GET", f"/adapters/{adapter_id}/report").json()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _show_report(found)


def promote(
    adapter_id: AdapterId,
    override: Annotated[
        bool, typer.Option("--override", help="Promote although a check of the gate fails; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the audit log and the report.")] = None,
) -> None:
    """Make it the adapter that its corpus serves by default."""
    from app.cli.client import call, connect

    body = {"override": override, "reason": reason}
    with connect() as client:
        etag = call(client, "GET", f"/adapters/{adapter_id}").headers["ETag"]
        call(client, "POST", f"/adapters/{adapter_id}/promote", json=body, headers={"If-Match": etag})
    typer.echo(f"{adapter_id} is promoted.")


def import_(
    source: Annotated[
        Path, typer.Argument(exists=True, readable=True, help="An adapter folder, or a tar or zip of one.")
    ],
    corpus: Annotated[str | None, typer.Option(help="The corpus it shall serve.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the adapter.")] = None,
) -> None:
    """Take in an adapter that was trained elsewhere, such as by `remand fine-tune`."""
    from app.adapters.archive import pack
    from app.cli.client import call, connect

    form = {key: value for key, value in (("corpus", corpus), ("name", name)) if value}
    with connect(timeout=600.0) as client, tempfile.TemporaryDirectory(prefix="remand-export-") as place:
        archive = source
        if source.is_dir():
            archive = Path(place) / "adapter.tar"
            pack(source, archive)
        with archive.open("rb") as file:
            answer = call(client, "POST", "/adapters", data=form, files={"file": (archive.name, file)})
    known = "" if answer.status_code == 201 else " (known already)"
    typer.echo(f"{answer.json()['id']}{known}")


def export(
    adapter_id: AdapterId,
    target: Annotated[Path, typer.Argument(help="The tar to write; it must not exist.")],
) -> None:
    """Write an adapter as a tar of its folder. A model can give away what it was trained on: handle it like the texts."""
    from app.cli.client import connect, fail

    with connect(timeout=600.0) as client, client.stream("GET", f"/adapters/{adapter_id}/download") as answer:
        if answer.status_code != 200:
            answer.read()
            fail(str(answer.json().get("detail", answer.reason_phrase)))
        try:
            with target.open("xb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        except FileExistsError:
            fail(f"{target} exists: name another file.")
    typer.echo(f"{target}: {target.stat().st_size:,} bytes")


def _show_report(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    readings = [name for name in ("model", "tfidf", "probe", "untrained") if name in found.get("macro", {})]
    table = Table("F1 by option", "yes", *readings, "threshold", box=None)
    for option in found.get("options", []):
        table.add_row(*_option_row(option, readings))
    table.add_row("macro", "", *(_number(found["macro"][name].get("f1")) for name in readings), "")
    table.add_row("micro", "", *(_number(found["micro"][name].get("f1")) for name in readings), "")
    Console().print(table)
    typer.echo(found.get("verdict", {}).get("sentence", ""))


def _option_row(option: dict[str, Any], readings: list[str]) -> list[str]:
    beside = {"model": option, **option.get("beside", {})}
    scores = [_number(beside.get(name, {}).get("f1")) for name in readings]
    return [str(option["key"]), str(option.get("positives", "")), *scores, _number(option.get("threshold"))]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
