"""`remand generate PROMPT|FILE`: what a causal adapter or a base model writes on, and how surprising it finds a text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.classify import text_or_file
from app.cli.client import call, connect, fail, on_the_way
from models.data.control_characters import plain

if TYPE_CHECKING:
    import httpx

_SECONDS = 180.0
_NAMES = {"adapter": "adapter", "base": "base model"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("generate")(generate)


def generate(  # noqa: PLR0913, PLR0917  # a verb's options
    prompt: Annotated[
        str, typer.Argument(help="The prompt, or a UTF-8 text file with it; - reads standard input.")
    ],
    adapter: Annotated[
        str | None, typer.Option(help="Id of a causal adapter (remand adapters list).")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Instead: a base model that writes, such as gpt-j-6b.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Let the adapter's base model answer, too.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print text as it is written.")] = False,
    perplexity: Annotated[
        bool,
        typer.Option(
            "--perplexity", help="Write nothing: say how surprising the text is to adapter and base model."
        ),
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens written; default 256.")] = None,
    temperature: Annotated[float, typer.Option(help="0: always the most probable token.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw among the fewest tokens of this probability.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw among the k most probable tokens; 0: all.")] = 0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: repeat less.")] = 1.0,
    beams: Annotated[int, typer.Option(help="Above 1: beam search.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="End before this text; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Write on from a prompt. What a language model writes is no source: check every citation."""
    text = text_or_file(prompt)
    named = {"adapter": adapter, "base_model": base_model}
    who = {name: value for name, value in named.items() if value is not None}
    with connect(timeout=_SECONDS) as client:
        if perplexity:
            _say_perplexity(
                call(client, "POST", "/perplexity", json={"text": text, **who}).json(), as_json=as_json
            )
            return
        body = who | {
            "prompt": text, "compare": compare, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k,
            "repetition_penalty": repetition_penalty, "beams": beams, "seed": seed, "stop": stop or None,
        }  # fmt: skip
        if stream and not compare and not as_json:
            _stream(client, body)
            return
        answer: dict[str, Any] = call(client, "POST", "/generate", json=body).json()
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for line in said(answer):
        typer.echo(line)
    for warning in answer["warnings"]:
        typer.echo(warning, err=True)


def said(answer: dict[str, Any]) -> Iterator[str]:
    """The answer, line by line: with a comparison each text below its model's name."""
    both = (
        [("adapter", answer)] if answer["base"] is None else [("adapter", answer), ("base", answer["base"])]
    )
    for name, part in both:
        (result,) = part["results"]
        if answer["base"] is not None:
            yield f"--- {_NAMES[name]}: {part['model']['name']}"
        if result["error"]:
            fail(f"There is no text: {result['error']}.")
        yield plain(result["text"])
        yield f"({result['tokens']} tokens after {result['prompt_tokens']}, {result['finish']}, seed {result['seed']}; {part['model']['name']})"


def _stream(client: httpx.Client, body: dict[str, Any]) -> None:
    from app.http.server_events import EventReader

    reader, last = EventReader(), ""
    with on_the_way(client), client.stream("POST", "/generate", json=body | {"stream": True}) as answer:
        if answer.status_code >= 400:
            answer.read()
            problem = answer.json()
            fail(f"{answer.status_code} {problem['title']} ({problem.get('field', '')})\n{problem['detail']}")
        for part in answer.iter_bytes():
            for kind, data in reader.take(part):
                _show(kind, data)
                last = kind or last
    if last != "done":
        fail("\nRemand broke off before the text had ended: ask again.")


def _show(kind: str, data: dict[str, Any]) -> None:
    if kind == "piece":
        typer.echo(plain(data["text"]), nl=False)
    elif kind == "failed":
        fail(f"\n{data['detail']}")
    elif kind == "done":
        result = data["result"]
        typer.echo(
            f"\n({result['tokens']} tokens after {result['prompt_tokens']}, {result['finish']}, seed {data['seed']})"
        )
        for warning in data["warnings"]:
            typer.echo(warning, err=True)


def _say_perplexity(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    (result,) = answer["results"]
    if result["error"]:
        fail(f"There is no perplexity: {result['error']}.")
    typer.echo(
        f"{answer['model']['name']}: perplexity {result['perplexity']:.3f} over {result['tokens']} tokens"
    )
    if result["base_perplexity"] is not None:
        typer.echo(
            f"{answer['model']['base_model']}: {result['base_perplexity']:.3f}, so {result['ratio']:.3f} of it"
        )
    for warning in answer["warnings"]:
        typer.echo(warning, err=True)
