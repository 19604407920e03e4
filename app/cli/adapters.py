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
    from app.cli.client import call, connect
    from app.cli.tables import print_table

    with connect() as client:
        page = call(client, "GET", "/adapters", params={"corpus": corpus} if corpus else {}).json()
    known = {True: "yes", False: "no", None: "–"}
    rows = [
        [
            item["id"], item["name"], Path(item["base_model"]).name, _held_out(item), known[item["beats_baselines"]],
            "yes" if item["promoted"] else "",
        ]
        for item in page["items"]
    ]  # fmt: skip
    headings = ["adapter", "name", "base model", "held out", "beats baselines", "promoted"]
    print_table(headings, rows, copied=0)


def _held_out(item: dict[str, Any]) -> str:
    """What training measured on held-out texts: macro-F1; of summaries ROUGE-L or loss, of causal models perplexity, before and after."""
    if item["macro_f1"] is not None:
        return f"macro-F1 {item['macro_f1']:.3f}"
    change = item["change"]
    if change is None:
        return "–"
    words = {"rouge_l": "ROUGE-L", "perplexity": "perplexity", "loss": "loss per token"}[change["measure"]]
    form = ".2f" if change["measure"] == "perplexity" else ".3f"
    return f"{words} {change['before']:{form}} → {change['after']:{form}}"


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
    from app.cli.tables import print_table

    if not found.get("options"):  # made to write, or imported without a report
        typer.echo(found.get("sentence") or "The adapter came without numbers.")
        for warning in found.get("warnings") or []:
            typer.echo(warning)
        _show_evaluations(found)
        return
    readings = [name for name in ("model", "tfidf", "probe", "untrained") if name in found.get("macro", {})]
    rows = [_option_row(option, readings) for option in found["options"]]
    rows += [
        [level, "", *(_number(found[level][name].get("f1")) for name in readings), ""]
        for level in ("macro", "micro")
    ]
    print_table(["F1 by option", "yes", *readings, "threshold"], rows)
    typer.echo(found.get("verdict", {}).get("sentence", ""))
    _show_evaluations(found)


def _show_evaluations(found: dict[str, Any]) -> None:
    for one in found.get("evaluations") or []:
        typer.echo(f"\nEvaluated {one['created_at'][:10]} ({one['report']}): {one['sentence']}")


def _option_row(option: dict[str, Any], readings: list[str]) -> list[str]:
    beside = {"model": option, **option.get("beside", {})}
    scores = [_number(beside.get(name, {}).get("f1")) for name in readings]
    return [str(option["key"]), str(option.get("positives", "")), *scores, _number(option.get("threshold"))]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
