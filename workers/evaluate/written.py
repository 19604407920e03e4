"""What every model of an evaluation wrote of each text: cut as training cuts, or by the strategies of POST /summarize."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.generative.cutting import cut_to
from models.text.abstracts import Wishes
from workers.evaluate.arms import BASE, CUT, TUNED, Author, lengths_of, tokenizer_of
from workers.evaluate.items import Items
from workers.evaluate.writing import Asking, Writer, asking
from workers.job_context import JobContext, JobFailed

_LOOKED_AT = 200
"""Items whose tokens are looked at for scripts that a model does not know."""


@dataclass(frozen=True, slots=True)
class Written:
    """One model's summaries, in the order of the items."""

    author: Author
    texts: list[str]
    """Empty where it wrote nothing."""
    failed: tuple[int, ...]
    """Places of the items that it could not summarize."""
    how: dict[str, Any]
    """For the report: prefix, max_input_tokens, max_tokens, strategy, `ran`: on how many items which strategy ran in the end, `failures` by
    reason, `unknown_share`: of the texts' tokens that the model has no piece for."""


def written_by(context: JobContext, authors: Sequence[Author], items: Items) -> list[Written]:
    """Ask for everything; what earlier attempts have kept is not asked for again.

    Raises:
        JobFailed: the model under evaluation could not summarize any text.
    """
    if not authors:
        return []
    with asking(context) as workers:
        return [_by(context, workers, author, items) for author in authors]


def _by(context: JobContext, workers: Asking, author: Author, items: Items) -> Written:
    settings = context.params["settings"]
    read, most = lengths_of(context, author.subject)
    decoding = {"beams": settings["beams"], "temperature": 0.0, "seed": context.params["seed"]}
    tokenizer = tokenizer_of(author.subject)
    if author.strategy == CUT:
        prefix = author.subject.reading["prefix"]
        inputs = [cut_to(tokenizer, prefix + text, read) for text in items.texts]
        writer = Writer(author.name, author.of, decoding | {"max_tokens": most})
        prompts = [prompt for prompt, _ in inputs]
        results = workers.results("/generate", writer, "prompts", prompts, len(items))
        ran = ["cut" if cut else "whole" for _, cut in inputs]
    else:
        style = author.subject.reading.get("style") or "document"
        wishes = Wishes(style=style, strategy=_named(author.strategy), most_tokens=most, window=read)
        writer = Writer(author.name, author.of, decoding)
        results = workers.summaries(writer, wishes, items.texts, len(items))
        ran = [result.get("strategy") or "none" for result in results]
    failed = tuple(place for place, result in enumerate(results) if "error" in result)
    if len(failed) == len(items) and author.name in {TUNED, BASE}:
        reason = results[0].get("error") or "it wrote nothing"
        raise JobFailed(
            "nothing-written", f"{author.title}: none of {len(items):,} texts could be summarized: {reason}"
        )
    reasons = Counter(str(results[place].get("code") or "not-written") for place in failed)
    return Written(
        author,
        [str(result.get("text") or "") for result in results],
        failed,
        {
            "prefix": author.subject.reading["prefix"], "max_input_tokens": read, "max_tokens": most,
            "strategy": author.strategy, "ran": Counter(ran), "failures": reasons,
            "unknown_share": _unknown_share(tokenizer, items.texts[:_LOOKED_AT]),
        },
    )  # fmt: skip


def _unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Share of the tokens of some texts that stand for what the tokenizer does not know, such as another script."""
    if tokenizer.unk_token_id is None:
        return 0.0
    found = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    ids = [token for text in found for token in text]
    return round(ids.count(tokenizer.unk_token_id) / max(1, len(ids)), 4)


def _named(strategy: str) -> Any:
    """As `Wishes` takes it: the request has checked it."""
    return strategy
