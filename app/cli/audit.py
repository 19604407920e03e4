"""`remand audit plan | draw | status | read | close | result | release | stop-cost`: audit samples from the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx

Corpus = Annotated[str, typer.Option(help="Name or id of the corpus.")]
Sample = Annotated[str, typer.Argument(help="Id (aud_…) or name of the audit sample.")]
Size = Annotated[int | None, typer.Option("--n", help="Texts to draw.")]
Budget = Annotated[
    int | None, typer.Option(help="Readings to spend, instead of --n: two readers read half as many texts.")
]
Design = Annotated[
    str | None, typer.Option(help="random or stratified; default: stratified where there is a ranking.")
]
Options = Annotated[list[str] | None, typer.Option("--option", help="Only this option; may be repeated.")]
ReaderCount = Annotated[int, typer.Option(min=1, max=2, help="People who each read every text.")]
AtMost = Annotated[
    int | None, typer.Option(min=0, help="A stopping sample: stop when at most so many wrong texts are left.")
]
Looks = Annotated[int, typer.Option(min=1, max=5, help="Looks declared for the stopping plan.")]
Alpha = Annotated[
    float, typer.Option(min=0, max=0.2, help="Chance of stopping falsely over all looks, above 0.")
]
Plan = Annotated[
    str | None, typer.Option(help="The next look of this stopping plan: id or name of any of its samples.")
]
Certify = Annotated[
    float | None,
    typer.Option(
        help="Share of an option's labels of which one would like to say that at most so many are wrong; default .05."
    ),
]
Bands = Annotated[int | None, typer.Option(help="Score bands of a stratified sample, at the most; default 8.")]  # fmt: skip
Adjudicator = Annotated[
    bool | None,
    typer.Option(
        help="Whether a third person settles what two readers differ on; default: with two readers."
    ),
]
ONE_LOOK, ALPHA = 1, 0.05
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        no_args_is_help=True, help="Audit samples: drawn at random, sealed, read blind; what they say."
    )
    for name, verb in (
        ("plan", plan), ("draw", draw), ("status", status), ("read", read), ("close", close), ("result", result),
        ("release", release), ("stop-cost", stop_cost),
    ):  # fmt: skip
        group.command(name)(verb)
    app.add_typer(group, name="audit")


def plan(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Corpus,
    n: Size = None,
    budget: Budget = None,
    design: Design = None,
    option: Options = None,
    readers: ReaderCount = 1,
    adjudicator: Adjudicator = None,
    bands: Bands = None,
    certify: Certify = None,
    at_most: AtMost = None,
    looks: Looks = ONE_LOOK,
    alpha: Alpha = ALPHA,
    plan: Plan = None,  # the option's name
    as_json: AsJson = False,
) -> None:
    """Tell what a sample would cost and could say, without drawing it."""
    from app.cli.audit_words import plan_words

    further = {"adjudicator": adjudicator, "bands": bands, "certify": certify}
    body = _body(corpus, n, budget, design, option, readers, further | _stopping(at_most, looks, alpha, plan))
    found = _post(body, dry_run=True)
    _tell(found, as_json, plan_words)


def draw(  # noqa: PLR0913, PLR0917  # a verb's options
    corpus: Corpus,
    n: Size = None,
    budget: Budget = None,
    design: Design = None,
    option: Options = None,
    readers: ReaderCount = 1,
    adjudicator: Adjudicator = None,
    bands: Bands = None,
    certify: Certify = None,
    at_most: AtMost = None,
    looks: Looks = ONE_LOOK,
    alpha: Alpha = ALPHA,
    plan: Plan = None,
    name: Annotated[str | None, typer.Option(help="Default: audit 1, audit 2 …")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: drawn by the server.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw and seal a sample."""
    from app.cli.audit_words import status_words

    further = {"adjudicator": adjudicator, "bands": bands, "certify": certify}
    body = _body(corpus, n, budget, design, option, readers, further | _stopping(at_most, looks, alpha, plan))
    body |= {key: value for key, value in {"name": name, "seed": seed}.items() if value is not None}
    _tell(_post(body, dry_run=False), as_json, status_words)


def status(
    sample: Annotated[str | None, typer.Argument(help="Id or name; default: all.")] = None,
    corpus: Annotated[str | None, typer.Option(help="Only samples of this corpus.")] = None,
    as_json: AsJson = False,
) -> None:
    """How far the reading of audit samples is; nothing of what is found."""
    from app.cli.audit_words import status_words
    from app.cli.client import connect

    with connect() as client:
        found = _samples(client, corpus) if sample is None else [find_sample(client, sample)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        _say(status_words(one))
    if not found:
        typer.echo("There is no audit sample yet: remand audit plan --corpus NAME --n 600")


def read(
    sample: Sample, role: Annotated[str | None, typer.Option(help="reader or adjudicator.")] = None
) -> None:
    """Read blind: text after text, with the codebook's words alone."""
    from app.cli.audit_reading import read_on
    from app.cli.client import connect

    with connect() as client:
        read_on(client, find_sample(client, sample)["id"], role)


def close(
    sample: Sample,
    skip_unread: Annotated[
        bool, typer.Option("--skip-unread", help="Declare what was not read skipped: it counts against.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Close a sample: the one look at what it found."""
    from app.cli.audit_words import result_words
    from app.cli.client import call, connect

    with connect(timeout=300) as client:
        place = f"/audit-samples/{find_sample(client, sample)['id']}/close"
        found = call(client, "POST", place, json={"skip_unread": skip_unread}).json()
    _tell(found, as_json, result_words)


def result(sample: Sample, as_json: AsJson = False) -> None:
    """Tell what a closed sample found."""
    from app.cli.audit_words import result_words
    from app.cli.client import call, connect

    with connect() as client:
        found = call(client, "GET", f"/audit-samples/{find_sample(client, sample)['id']}/result").json()
    _tell(found, as_json, result_words)


def release(sample: Sample) -> None:
    """Make reviews of what a closed sample settled: only now may it steer the queue and change labels."""
    from app.cli.client import call, connect

    with connect(timeout=300) as client:
        found = call(client, "POST", f"/audit-samples/{find_sample(client, sample)['id']}/release").json()
    typer.echo(
        f"{found['reviews']:,} settled values are reviews now, {found['corrections']:,} of them corrections and {found['filled']:,} of cells that had no label; {found['kept']:,} cells had been "
        f"decided meanwhile and were left as they are ({found['contradicted']:,} of them otherwise than the audit says)."
    )


def stop_cost(
    at_most: Annotated[int, typer.Option(min=0, help="Wrong texts that may be left.")],
    remainder: Annotated[
        int | None, typer.Option(min=1, help="Texts left; needs no server. Or name a --corpus.")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Take the texts left from this corpus.")] = None,
    looks: Looks = ONE_LOOK,
    alpha: Alpha = ALPHA,
    as_json: AsJson = False,
) -> None:
    """What it costs to certify that at most so many wrong texts are left."""
    from app.cli.audit_words import cost_words
    from app.cli.client import fail

    if (remainder is None) == (corpus is None):
        fail("Say --remainder, how many texts are left, or name a --corpus.", 2)
    if corpus is not None:
        body = _body(corpus, None, None, None, None, 1, _stopping(at_most, looks, alpha, None))
        found = _post(body, dry_run=True)["stopping"]
    else:
        found = _local_cost(int(remainder or 0), at_most, looks, alpha)
    _tell(found, as_json, cost_words)


def _local_cost(remainder: int, at_most: int, looks: int, alpha: float) -> dict[str, Any]:
    """Exactly what the server would say, without one."""
    from app.audits.planning import planned_cost
    from app.cli.client import fail
    from app.http.problems import Invalid

    try:
        return planned_cost(remainder, at_most, looks, alpha).model_dump(mode="json")
    except (ValueError, Invalid) as error:
        fail(str(error), 2)


def _stopping(at_most: int | None, looks: int, alpha: float, plan: str | None) -> dict[str, Any]:
    """What a stopping plan declares; options that would be ignored end the command."""
    from app.cli.client import fail

    if plan is not None:
        if at_most is not None or (looks, alpha) != (ONE_LOOK, ALPHA):
            fail("The plan's first look has declared --at-most, --looks and --alpha: leave them out.", 2)
        return {"purpose": "stopping", "plan": plan}
    if at_most is not None:
        declared = {"at_most": at_most, "looks": looks, "alpha": alpha}
        return {"purpose": "stopping", "stopping": declared}
    if (looks, alpha) != (ONE_LOOK, ALPHA):
        fail("--looks and --alpha belong to a stopping plan: say --at-most, too.", 2)
    return {}


def _body(
    corpus: str,
    size: int | None,
    budget: int | None,
    design: str | None,
    options: list[str] | None,
    readers: int,
    further: dict[str, Any],
) -> dict[str, Any]:
    given = {
        "corpus": corpus, "size": size, "budget": budget, "design": design, "options": options, "readers": readers,
    } | further  # fmt: skip
    return {key: value for key, value in given.items() if value is not None}


def _post(body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    from app.cli.client import call, connect

    with connect(timeout=300) as client:
        if "plan" in body:
            body = body | {"plan": sample_id(client, body["plan"], body["corpus"])}
        answer = call(client, "POST", "/audit-samples", params={"dry_run": dry_run}, json=body)
    found: dict[str, Any] = answer.json()
    return found


def _samples(client: httpx.Client, corpus: str | None) -> list[dict[str, Any]]:
    """All samples, newest first."""
    from app.cli.client import listed

    return list(listed(client, "/audit-samples", {} if corpus is None else {"corpus": corpus}))


def sample_id(client: httpx.Client, reference: str, corpus: str) -> str:
    """The id of a corpus's sample that is given by id or name."""
    if reference.startswith("aud_"):
        return reference
    found: str = find_sample(client, reference, corpus)["id"]
    return found


def find_sample(client: httpx.Client, reference: str, corpus: str | None = None) -> dict[str, Any]:
    """A sample by id, or by a name that only one has (in the corpus, if one is named)."""
    from app.cli.client import call, fail

    if reference.startswith("aud_"):
        found: dict[str, Any] = call(client, "GET", f"/audit-samples/{reference}").json()
        return found
    named = [sample for sample in _samples(client, corpus) if sample["name"] == reference]
    if len(named) != 1:
        fail(
            f"There is no audit sample {reference!r}: see remand audit status."
            if not named
            else f"Several corpora have an audit sample {reference!r}: name it by its id, see remand audit status."
        )
    return named[0]


def _tell(found: dict[str, Any], as_json: bool, words: Any) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _say(words(found))


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)
