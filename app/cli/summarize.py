"""`remand summarize FILE` and `remand summarize --corpus NAME`: a summary of a text, or of every text of a corpus."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.cli.classify import text_or_file
from app.cli.client import call, connect, fail
from models.data.control_characters import plain

_LONG_SECONDS = 3600.0
"""A long judgment takes minutes on a CPU."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("summarize")(summarize)


def summarize(  # noqa: PLR0913, PLR0917  # typer reads one argument per option
    file: Annotated[
        str | None, typer.Argument(help="A UTF-8 text file, or the text itself; - reads standard input.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="In place of a file: every text of this corpus, as a job. With a file: its promoted adapter writes, as it does for a job "
            "with --method abstractive."
        ),
    ] = None,
    sentences: Annotated[int | None, typer.Option(help="Most sentences.")] = None,
    words: Annotated[int | None, typer.Option("--words", "--max-words", help="Most words.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Share of the text's words, 0 to 1.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="mmr (stands for the whole, repeats nothing), textrank or lexrank (shares most words with the rest), lead (the first ones), "
            "abstractive (written by --adapter, by --model, or by the promoted adapter of --corpus). Default: mmr; abstractive with one of "
            "the first two, or a file and --corpus."
        ),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="abstractive: adapter of the task summarize.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="abstractive: a T5 without an adapter, by catalog name or allowed folder."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="abstractive: document or dialogue; default: the adapter's.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="abstractive: auto, whole, extract_then_abstract, chunk_and_merge.")
    ] = None,
    beams: Annotated[int | None, typer.Option(help="abstractive: beams to search.")] = None,
    min_supported: Annotated[
        float | None, typer.Option(help="abstractive: least share of sentences that the text supports.")
    ] = None,
    offsets: Annotated[
        bool, typer.Option(help="Print where each sentence, or what is not in the text, stands.")
    ] = False,
    follow: Annotated[bool, typer.Option(help="--corpus: wait for the end, with progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Summarize a text, or a corpus: by its own sentences, verbatim and in their order, or written by a model."""
    if file is None and corpus is None:
        fail("Give a file (or a text, or - for standard input), or --corpus.")
    chosen = method or ("abstractive" if adapter or model or (file and corpus) else "mmr")
    fields = {
        "method": chosen, "max_sentences": sentences, "max_words": words, "ratio": ratio, "adapter": adapter, "base_model": model,
        "style": style, "strategy": strategy, "beams": beams, "min_supported": min_supported,
    }  # fmt: skip
    body = {name: value for name, value in fields.items() if value is not None}
    body |= {"corpus": corpus} if corpus is not None else {}
    if file is None:
        _corpus(body, follow=follow, as_json=as_json)
        return
    with connect(timeout=_LONG_SECONDS if chosen == "abstractive" else 180.0) as client:
        answer: dict[str, Any] = call(
            client, "POST", "/summarize", json={"text": text_or_file(file), **body}
        ).json()
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for line in _lines(answer, offsets=offsets):
        typer.echo(line)
    for warning in answer["warnings"]:
        typer.echo(warning, err=True)


def _lines(answer: dict[str, Any], *, offsets: bool) -> list[str]:
    if not answer.get("faithfulness"):
        return [
            (f"[{sentence['start']}:{sentence['end']}] " if offsets else "") + plain(sentence["text"])
            for sentence in answer["sentences"]
        ]
    return [
        plain(answer["summary"]),
        "",
        *faithfulness_lines(answer["faithfulness"], offsets=offsets),
        _made(answer),
    ]


def faithfulness_lines(found: dict[str, Any], *, offsets: bool) -> list[str]:
    """What of a summary its text does not have."""
    sentences = len(found["sentences"])
    supported = sum(sentence["supported"] for sentence in found["sentences"])
    lines = [
        f"{supported} of {sentences} {'sentence' if sentences == 1 else 'sentences'} supported by the text."
    ]
    for item in found["unsupported"]:
        place = f"[{item['start']}:{item['end']}] " if offsets else ""
        lines.append(f"Not in the text: {place}{item['kind']} {item['text']!r}")
    return lines


def _made(answer: dict[str, Any]) -> str:
    model = answer["model"]
    parts = f"{answer['chunks']:,} parts, " if answer["chunks"] > 1 else ""
    calls = f"{answer['calls']:,} {'call' if answer['calls'] == 1 else 'calls'}"
    who = f"{model['name']}, {model['adapter']}" if model["adapter"] else model["name"]
    return f"({who}; {answer['strategy'].replace('_', ' ')}, {parts}{calls}, {answer['tokens_in_text']:,} tokens)"


def _corpus(body: dict[str, Any], *, follow: bool, as_json: bool) -> None:
    from app.cli.train import follow_to_the_end

    with connect() as client:
        job: dict[str, Any] = call(client, "POST", "/summary-jobs", json=body).json()
        if as_json:
            typer.echo(json.dumps(job, ensure_ascii=False, indent=2))
        elif not follow:
            typer.echo(f"{job['id']} is queued. Then: remand summaries --corpus {body['corpus']}")
        if follow:
            follow_to_the_end(client, job["links"]["events"])
            typer.echo(f"Read them: remand summaries --corpus {body['corpus']}")
