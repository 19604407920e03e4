"""`remand evaluate ADAPTER --split val` and `remand report ADAPTER [--html FILE]`: evidence about an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

AdapterId = Annotated[str, typer.Argument(help="adp_…")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("evaluate")(evaluate)
    app.command("report")(report)


def evaluate(  # noqa: PLR0913, PLR0917  # options of a command
    adapter: Annotated[
        str,
        typer.Argument(
            help="adp_…; the name of a base model to read or write untrained; or `extractive`: Lead, TextRank, LexRank and MMR alone."
        ),
    ],
    corpus: Annotated[
        str | None, typer.Option(help="The corpus, by name or id; default: the adapter's own.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only texts of this given split.")] = None,
    sample: Annotated[str | None, typer.Option(help="Only texts of this recorded sample (smp_…).")] = None,
    against: Annotated[
        str, typer.Option(help="What stands beside it: `base`, another adapter (adp_…), or `nothing`.")
    ] = "base",
    limit: Annotated[int | None, typer.Option(help="At most so many labelled texts.")] = None,
    documents: Annotated[
        str | None,
        typer.Option(help="Summaries, causal models: the document set (doc_…); default: the corpus's texts."),
    ] = None,
    items: Annotated[
        str | None, typer.Option(help="Summaries, causal models: so many texts, or `all`; default 50.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Of a base model by itself: classify, summarize or causal.")
    ] = None,
    text_field: Annotated[str | None, typer.Option(help="Summaries: field of a row with the text.")] = None,
    summary_field: Annotated[str | None, typer.Option(help="Summaries: field with the reference.")] = None,
    group_field: Annotated[
        str | None, typer.Option(help="Summaries: field whose value keeps rows together.")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="Summaries: field that names a row.")] = None,
    style: Annotated[
        str | None, typer.Option(help="Summaries by a base model: document or dialogue.")
    ] = None,
    words: Annotated[str | None, typer.Option(help="Words of an extractive summary, or `matched`.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a summary, or of a continuation.")
    ] = None,
    beams: Annotated[int | None, typer.Option(help="Summaries: beams; 1 is greedy.")] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="Summaries: how texts longer than the model reads are summarized: cut (as in training), auto, extract_then_abstract, "
            "chunk_and_merge. Several times: a row for each."
        ),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Base model of BERTScore; default minilm.")] = None,
    vouched: Annotated[
        bool,
        typer.Option(
            "--vouched", help="The adapter does not say what it has seen: it has seen none of these."
        ),
    ] = False,
    follow: Annotated[bool, typer.Option(help="Wait for the end, with progress.")] = True,
) -> None:
    """Hold a model's answers against what people said: labels, summaries, or the documents themselves. Of texts that it has not seen."""
    from app.cli.client import call, connect, fail
    from app.cli.evaluated import show
    from app.cli.train import follow_to_the_end

    settings = {
        "document_set": documents, "items": items, "text_field": text_field, "summary_field": summary_field,
        "group_field": group_field, "id_field": id_field, "style": style, "words": words, "max_tokens": max_tokens, "beams": beams,
        "strategies": strategy or None, "encoder": encoder, "vouched": vouched or None,
    }  # fmt: skip
    with connect() as client:
        is_adapter = adapter.startswith("adp_")
        found = call(client, "GET", f"/adapters/{adapter}").json() if is_adapter else {}
        wanted = corpus or found.get("corpus_id")
        if wanted is None:
            fail("Name the corpus with --corpus: it does not follow from what is evaluated.")
        if not (against in {"base", "nothing"} or against.startswith("adp_")):
            fail("--against is `base`, `nothing` or an adapter (adp_…).")
        given = {
            "corpus": wanted, "split": split, "sample": sample, "limit": limit,
            "untrained": against == "base", "compare_with": against if against.startswith("adp_") else None,
        }  # fmt: skip
        if adapter != "extractive":
            given["adapter" if is_adapter else "base"] = adapter
        kind = found.get("task") or task or ("summarize" if adapter == "extractive" else "classify")
        body = {key: value for key, value in given.items() if value is not None} | _settings(kind, settings)
        job = call(client, "POST", "/evaluations", json=body).json()
        typer.echo(f"{job['id']} is queued.")
        if not follow:
            typer.echo(f"Follow it with: remand jobs follow {job['id']}")
            return
        follow_to_the_end(client, job["links"]["events"])
        show(call(client, "GET", f"/evaluations/{job['id']}/report").json())
        typer.echo(f"The whole of it: {client.base_url.join('/evaluations/' + job['id'] + '/report')}")


def _settings(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of summaries or causal models, as the request has them; fails for those that belong to neither."""
    from app.cli.client import fail

    named = {key: value for key, value in given.items() if value is not None}
    if task not in {"classify", "summarize", "causal"}:
        fail("--task is classify, summarize or causal.")
    for key in ("items", "words"):
        if str(named.get(key, "")).isdigit():
            named[key] = int(named[key])
    if task != "classify":
        return {task: named}
    if named:
        name = next(iter(named))
        option = {"document_set": "documents", "strategies": "strategy"}.get(name, name.replace("_", "-"))
        fail(f"--{option} belongs to summaries and causal models; this evaluates options.")
    return {}


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
