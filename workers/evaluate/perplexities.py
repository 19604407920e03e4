"""An evaluation of a causal model: perplexity of documents that it has not seen beside its base model's and another adapter's, and how all go on from the same words."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.arms import DOCUMENT_MEASURES, compared
from models.evaluation.means import ratio_draws
from models.evaluation.resampling import DRAWS, group_codes, group_draws, interval
from models.generative.cutting import cut_to
from workers.evaluate.arms import Author, Subjects, authors_of, subjects_of, tokenizer_of
from workers.evaluate.generated import Arm, Told, store
from workers.evaluate.items import Items, items_of
from workers.evaluate.writing import Asking, Writer, asking
from workers.job_context import JobContext, JobFailed

Likelihoods = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""By arm: nats and tokens, float64 (documents); NaN and 0 where a document has none."""


def run_perplexities(context: JobContext) -> None:
    """One attempt; goes on with the chunks that earlier ones have kept."""
    began = time.monotonic()
    subjects = subjects_of(context)
    items = items_of(context, subjects)
    authors, window = authors_of(context, subjects), _window(subjects)
    with asking(context) as workers:
        read = _read(workers, authors, window, items)
        samples = _samples(context, workers, authors, items)
    losses = {name: (nats / np.maximum(tokens, 1))[:, None] for name, (nats, tokens) in read.items()}
    read_by_all = np.logical_and.reduce([np.isfinite(values[:, 0]) for values in losses.values()])
    if not read_by_all.any():
        raise JobFailed(
            "no-documents",
            "No document of two tokens or more was read by every model: there is nothing to compare.",
        )
    first, *others = (author.name for author in authors)
    pairs = [(first, other) for other in others]
    found = compared(losses, DOCUMENT_MEASURES, items.groups, pairs, context.params["seed"])
    told = _perplexities(read, items.groups, context.params["seed"])
    for name, document in told["arms"].items():
        found["arms"][name]["perplexity"] = document
    for pair in found["differences"]:
        pair["change"] = told["changes"][pair["second"]]
    settings = context.params["settings"]
    report = Told(
        measures=DOCUMENT_MEASURES,
        settings={
            "window": window,
            "continuations": {"words": settings["prompt_words"], "max_tokens": settings["max_tokens"], "sampling": False},
            "bootstrap": {"by": "group", "interval": "percentile, 95 %"},
        },
        samples=samples,
        sentence=_sentence(told, authors, items),
        seconds=time.monotonic() - began,
    )  # fmt: skip
    arms = [_arm(author, *read[author.name]) for author in authors]
    store(context, subjects, items, arms, found, report)


def _window(subjects: Subjects) -> int | None:
    """Tokens read at once: the shortest block that one of the adapters was trained on, so that all models are asked the same."""
    blocks = [one.reading.get("block_tokens") for one in subjects.adapters().values()]
    return min((block for block in blocks if block is not None), default=None)


def _read(workers: Asking, authors: Sequence[Author], window: int | None, items: Items) -> Likelihoods:
    """Every model's likelihood of every document, read in the same windows."""
    asked = {} if window is None else {"window": window}
    found: Likelihoods = {}
    for author in authors:
        writer = Writer(author.name, author.of, asked)
        results = workers.results("/perplexity", writer, "texts", items.texts, len(items))
        nats = np.array([result.get("nats", np.nan) for result in results], dtype=np.float64)
        tokens = np.array([result.get("tokens", 0) for result in results], dtype=np.float64)
        found[author.name] = nats, np.where(np.isfinite(nats), tokens, 0.0)
    return found


def _perplexities(read: Likelihoods, groups: Sequence[str], seed: int) -> dict[str, Any]:
    """Perplexity per token of all documents together under each model, and the ratios of the first to each other, with intervals by group.

    Returns:
        {"arms": by name, "changes": by the other's name}.
    """
    codes = group_codes(groups)
    drawn = group_draws(int(codes.max(initial=-1)) + 1, DRAWS, seed)
    arms: dict[str, Any] = {}
    for name, (nats, tokens) in read.items():
        spread = np.exp(ratio_draws(np.nan_to_num(nats)[:, None], tokens[:, None], codes, drawn)[:, 0])
        arms[name] = {
            "perplexity": float(spread[0]), "interval": interval(spread),
            "documents": int((tokens > 0).sum()), "tokens": int(tokens.sum()),
        }  # fmt: skip
    (nats, tokens), *_ = read.values()
    changes: dict[str, Any] = {}
    for name in list(read)[1:]:
        other, others = read[name]
        both = (tokens > 0) & (others > 0)
        gained = np.where(both, nats - other, 0.0)[:, None]
        spread = np.exp(ratio_draws(gained, np.where(both, tokens, 0.0)[:, None], codes, drawn)[:, 0])
        ends = interval(spread)
        changes[name] = {
            "ratio": float(spread[0]),
            "interval": ends,
            "better": ends is not None and ends[1] < 1,
        }
    return {"arms": arms, "changes": changes}


def _samples(
    context: JobContext, workers: Asking, authors: Sequence[Author], items: Items
) -> list[dict[str, Any]]:
    """How the models go on from the first words of the first documents, beside what the document says."""
    settings = context.params["settings"]
    cut, most = _beginnings(workers, context, authors, items.texts[: settings["samples"]])
    asked = {"max_tokens": most, "temperature": 0.0, "seed": context.params["seed"]}
    written: dict[str, list[dict[str, Any]]] = {}
    if cut:
        for author in authors:
            writer, prompts = Writer(author.name, author.of, asked), [beginning for beginning, _ in cut]
            written[author.name] = workers.results("/generate", writer, "prompts", prompts, len(cut))
    return [
        {
            "key": items.keys[row],
            "text": beginning,
            "reference": rest[: 8 * settings["max_tokens"]],
            "written": [
                {"arm": name, "text": results[row].get("text") or f"({results[row].get('error', 'nothing')})"}
                for name, results in written.items()
            ],
        }
        for row, (beginning, rest) in enumerate(cut)
    ]


def _beginnings(
    workers: Asking, context: JobContext, authors: Sequence[Author], texts: Sequence[str]
) -> tuple[list[tuple[str, str]], int]:
    """(words to go on from, what follows) of each text, and the most tokens of a continuation: both together fit the model."""
    settings = context.params["settings"]
    if not texts:
        return [], settings["max_tokens"]
    writers = [Writer(author.name, author.of, {}) for author in authors]
    longest = min(int(workers.once("/tokens", writer, texts=[])["longest_input"]) for writer in writers) + 1
    most = min(settings["max_tokens"], longest // 2)
    tokenizer, found = tokenizer_of(authors[0].subject), []
    for text in texts:
        beginning, _ = _beginning(text, settings["prompt_words"])
        # One token less, for a begin mark.
        fitting, _ = cut_to(tokenizer, beginning, longest - most - 1)
        found.append((fitting, text[len(fitting) :].strip()))
    return found, most


def _beginning(text: str, words: int) -> tuple[str, str]:
    """The first words of a text, and what follows; a text of fewer words is cut in half, so that something follows."""
    ends = [found.end() for found in re.finditer(r"\S+", text)]
    place = ends[min(words, max(1, len(ends) // 2)) - 1] if ends else 0
    return text[:place], text[place:].strip()


def _arm(author: Author, nats: NDArray[np.float64], tokens: NDArray[np.float64]) -> Arm:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss = nats / tokens
    numbers = {
        "nats": nats.tolist(), "tokens": tokens.tolist(), "loss": loss.tolist(), "perplexity": np.exp(np.minimum(loss, 700)).tolist(),
    }  # fmt: skip
    counts = {"failed": int((tokens == 0).sum())}
    return Arm(author.name, author.title, "model", counts, [None] * len(nats), numbers)


def _sentence(told: dict[str, Any], authors: Sequence[Author], items: Items) -> str:
    """The result in words, with what is uncertain."""
    titles = {author.name: author.title for author in authors}
    shown = ", ".join(f"{one['perplexity']:.2f} ({titles[name]})" for name, one in told["arms"].items())
    documents = "document" if len(items) == 1 else "documents"
    parts = [f"Perplexity of {len(items):,} {documents}{items.unseen_words}: {shown}."]
    for name, change in told["changes"].items():
        within = ""
        if change["interval"] is not None:
            low, high = change["interval"]
            within = f" (95 % interval {low:.3f} to {high:.3f}, by group)"
        parts.append(f"Ratio to {titles[name]}: {change['ratio']:.3f}{within}.")
    return " ".join(parts)
