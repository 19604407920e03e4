"""`remand evaluate ADAPTER --split val` and `remand report ADAPTER [--html FILE]`: evidence about an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx

AdapterId = Annotated[str, typer.Argument(help="adp_…")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("evaluate")(evaluate)
    app.command("report")(report)


def evaluate(
    adapter: Annotated[str, typer.Argument(help="adp_…, or the name of a base model to read it untrained.")],
    corpus: Annotated[
        str | None, typer.Option(help="The corpus, by name or id; default: the adapter's own.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only texts of this given split.")] = None,
    sample: Annotated[str | None, typer.Option(help="Only texts of this recorded sample (smp_…).")] = None,
    against: Annotated[
        str, typer.Option(help="What stands beside it: `base`, another adapter (adp_…), or `nothing`.")
    ] = "base",
    limit: Annotated[int | None, typer.Option(help="At most so many labelled texts.")] = None,
    follow: Annotated[bool, typer.Option(help="Wait for the end, with progress.")] = True,
) -> None:
    """Read labelled texts with models that have not seen them, and hold the answers against the labels of now."""
    from app.cli.client import call, connect, fail
    from app.cli.train import follow_to_the_end

    with connect() as client:
        is_adapter = adapter.startswith("adp_")
        wanted = corpus or (_corpus_of(client, adapter) if is_adapter else None)
        if wanted is None:
            fail("Name the corpus with --corpus: it does not follow from what is evaluated.")
        given = {
            "corpus": wanted, "adapter" if is_adapter else "base": adapter, "split": split, "sample": sample, "limit": limit,
            "untrained": against == "base", "compare_with": against if against.startswith("adp_") else None,
        }  # fmt: skip
        if not (against in {"base", "nothing"} or against.startswith("adp_")):
            fail("--against is `base`, `nothing` or an adapter (adp_…).")
        body = {key: value for key, value in given.items() if value is not None}
        job = call(client, "POST", "/evaluations", json=body).json()
        typer.echo(f"{job['id']} is queued.")
        if not follow:
            typer.echo(f"Follow it with: remand jobs follow {job['id']}")
            return
        follow_to_the_end(client, job["links"]["events"])
        _show(call(client, "GET", f"/evaluations/{job['id']}/report").json())
        typer.echo(f"The whole of it: {client.base_url.join('/evaluations/' + job['id'] + '/report')}")


def report(
    adapter: AdapterId,
    html: Annotated[Path | None, typer.Option(help="Write the page into this file, style included.")] = None,
    card: Annotated[Path | None, typer.Option(help="Write the model card (Markdown) into this file.")] = None,
) -> None:
    """An adapter's report: to the terminal, as one HTML file, or as a model card."""
    from app.cli.adapters import report as show
    from app.cli.client import call, connect

    if html is None and card is None:
        show(adapter)
        return
    with connect() as client:
        if html is not None:
            asked = {"headers": {"Accept": "text/html"}, "params": {"standalone": "true"}}
            _write(html, call(client, "GET", f"/adapters/{adapter}/report", **asked).text)
        if card is not None:
            _write(card, call(client, "GET", f"/adapters/{adapter}/card").text)


def _write(path: Path, content: str) -> None:
    from app.cli.client import fail

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        fail(f"{path} exists: name another file.")
    typer.echo(f"{path}: {path.stat().st_size:,} bytes")


def _corpus_of(client: httpx.Client, adapter: str) -> str | None:
    from app.cli.client import call

    found: str | None = call(client, "GET", f"/adapters/{adapter}").json()["corpus_id"]
    return found


def _show(found: dict[str, Any]) -> None:
    """Option by option, always-no beside accuracy, and the difference from what stands beside it."""
    from rich.console import Console
    from rich.table import Table

    intervals = found.get("evidence", {}).get("intervals", {}).get("options", {})
    table = Table("option", "yes", "F1", "95 % interval", "PR-AUC", "accuracy", "always no", box=None)
    for option in found["options"]:
        within = intervals.get(option["key"], {}).get("f1")
        table.add_row(
            option["key"],
            f"{option['positives']:,}",
            _number(option["f1"]),
            "–" if within is None else f"{within[0]:.3f} to {within[1]:.3f}",
            *(_number(option[part]) for part in ("pr_auc", "accuracy", "always_no")),
        )
    Console().print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
