"""`remand sample CORPUS --strategy stratified --size 2000 --seed 1`: draw a sample of texts, and write it to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sample")(sample)


def sample(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Annotated[str, typer.Argument(help="The corpus's name or id.")],
    size: Annotated[int, typer.Option(help="How many texts.")],
    strategy: Annotated[
        str, typer.Option(help="stratified, random, uncertainty, diversity or uncertain_diverse.")
    ] = "stratified",
    seed: Annotated[int, typer.Option(help="The same seed draws the same sample.")] = 0,
    clusters: Annotated[int | None, typer.Option(help="TF-IDF clusters; default: by the corpus's size.")] = None,
    allocation: Annotated[str | None, typer.Option(help="proportional, equal or neyman.")] = None,
    least: Annotated[int | None, typer.Option(help="Texts of every stratum at the least.")] = None,
    measure: Annotated[str | None, typer.Option(help="Of uncertainty: entropy or margin.")] = None,
    random_share: Annotated[
        float | None, typer.Option(help="Share drawn at random beside the picks, with known probabilities.")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only texts of this given split; may be repeated.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="Only texts with key=value; may be repeated.")] = None,
    labels: Annotated[str, typer.Option(help="any, labelled or unlabelled texts.")] = "any",
    exclude: Annotated[list[str] | None, typer.Option(help="No texts of this sample (smp_…); may be repeated.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the texts to this CSV file.")] = None,
    with_text: Annotated[bool, typer.Option("--with-text", help="Also their content.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what it would be drawn from.")] = False,
) -> None:  # fmt: skip
    """Draw texts for training or labelling, with the inclusion probability of every one."""
    from app.cli.client import call, connect
    from app.cli.following import result_of

    given = {
        "strategy": strategy, "size": size, "seed": seed, "clusters": clusters, "allocation": allocation, "least": least,
        "measure": measure, "random_share": random_share, "frame": _frame(split, metadata, labels, exclude),
    }  # fmt: skip
    body = {key: value for key, value in given.items() if value is not None}
    with connect(timeout=300) as client:
        place = f"/corpora/{_quoted(corpus)}/samples"
        if dry_run:
            _show_estimate(call(client, "POST", place, params={"dry_run": True}, json=body).json())
            return
        job = call(client, "POST", place, json=body).json()
        result = result_of(client, job["links"]["events"], "drawing")
        for line in words(call(client, "GET", f"/samples/{result['sample_id']}").json()):
            typer.echo(line)
        if export is not None:
            _write(client, result["sample_id"], export, with_text=with_text)


def words(found: dict[str, Any]) -> list[str]:
    """A recorded sample in words, line by line."""
    report = found["report"]
    lines = [f"{found['id']}: {found['size']:,} of {found['frame']:,} texts, {found['strategy']}, seed {found['seed']}."]  # fmt: skip
    if "strata" in report:
        shares = [stratum["inclusion"] for stratum in report["strata"]]
        lines.append(
            f"{len(shares):,} strata of {report['clusters']['count']} clusters ({len(report['merges']):,} small ones merged); "
            f"inclusion probabilities {min(shares):.4f} to {max(shares):.4f}."
        )
    if found["certain"]:
        rest = found["size"] - found["certain"]
        lines.append(
            f"{found['certain']:,} were picked for their score and stand for nothing but themselves; "
            f"{f'{rest:,} were drawn at random and stand for the frame' if rest else 'none was drawn at random'}."
        )
    near = report["fidelity"]
    if near["prevalence_difference"] is not None:
        lines.append(
            f"Options are {near['prevalence_difference'] * 100:.2f} points off the frame's shares on average, "
            f"numbers of labels {near['cardinality_difference'] * 100:.2f}."
        )
    return lines


def _frame(
    split: list[str] | None, metadata: list[str] | None, labels: str, exclude: list[str] | None
) -> dict[str, Any]:
    from app.cli.client import fail

    pairs = dict(item.partition("=")[::2] for item in metadata or ())
    if any("=" not in item for item in metadata or ()):
        fail("Write --metadata as key=value.", 2)
    given = {"splits": split or None, "metadata": pairs or None, "exclude_samples": exclude or None}
    return {"labels": labels} | {key: value for key, value in given.items() if value}


def _show_estimate(found: dict[str, Any]) -> None:
    typer.echo(
        f"{found['size']:,} of {found['frame']:,} texts would be drawn ({found['labelled']:,} labelled), {found['strategy']}."
    )
    if found["predicted"] is not None:
        typer.echo(f"{found['predicted']:,} of them have a prediction.")


def _write(client: httpx.Client, sample_id: str, out: Path, *, with_text: bool) -> None:
    """The sample's CSV, which is complete or not there."""
    from app.cli.client import call, fail

    answer = call(client, "GET", f"/samples/{sample_id}/export", params={"with_text": with_text})
    unfinished = out.with_name(f".{out.name}.part")
    try:
        unfinished.write_bytes(answer.content)
        unfinished.replace(out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        fail(f"{out} cannot be written: {error.strerror}.")
    typer.echo(f"{out}: {len(answer.content):,} bytes")


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
