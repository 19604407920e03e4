"""What a job fits and measures on, for either task: tokens, blocks or pairs, and the held-out measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.generative.blocks import wrap
from models.generative.causal import Likelihood, causal_task, likelihood, token_ids
from models.generative.fit import Task
from models.generative.inputs import Documents
from models.generative.load import LONGEST_BLOCK, Base
from models.generative.prompts import PREFIXES
from models.generative.rouge import rouge_l
from models.generative.seq2seq import Pairs, generate, pair_likelihood, seq2seq_task, token_pairs
from models.generative.split import Split
from models.training.errors import TrainingRefusedError

Measure = Callable[[Callable[[], None], Callable[[int], None]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Material:
    """Tokenised and ready."""

    task: Task
    measure: Measure
    """Reads the held-out documents; JSON-ready: losses and tokens of each, their mean `loss`, and `rouge` scores of summaries."""
    measured_tokens: int
    """Tokens of held-out and stopping documents together."""
    block_tokens: int
    """0 for summaries."""
    tokens: dict[str, int]
    """Of each part."""
    warnings: tuple[str, ...]


def make_material(base: Base, given: Documents, split: Split) -> Material:
    """Tokenise the parts of a split.

    Raises:
        TrainingRefusedError: blocks longer than the model reads, or nothing to predict.
    """
    made = _causal(base, given, split) if given.request.task == "causal" else _pairs(base, given, split)
    if not int(made.task.target_tokens.sum()):
        raise TrainingRefusedError(
            "no-documents", "documents", "no document has two tokens: there is nothing to predict"
        )
    return made


def _causal(base: Base, given: Documents, split: Split) -> Material:
    asked = given.request.block_tokens
    if asked != "auto" and asked > base.longest:
        raise TrainingRefusedError(
            "block-too-long",
            "block_tokens",
            f"{base.name} reads {base.longest} tokens at once: ask for block_tokens up to that",
        )
    block = min(LONGEST_BLOCK, base.longest) if asked == "auto" else asked
    ids = token_ids(base, given.texts)
    parts = {name: [ids[row] for row in getattr(split, name)] for name in ("train", "stopping", "held_out")}
    stopping = None
    if parts["stopping"]:

        def stopping(check: Callable[[], None]) -> float:
            return likelihood(base, parts["stopping"], block, check, lambda _: None).mean

    def measure(check: Callable[[], None], progress: Callable[[int], None]) -> dict[str, Any]:
        return noted(likelihood(base, parts["held_out"], block, check, progress))

    tokens = {name: sum(map(len, documents)) for name, documents in parts.items()}
    blocks = wrap(parts["train"], block)
    warnings = []
    if len(blocks) == 1:
        warnings.append(
            f"All documents to train on have {tokens['train']} tokens together, less than one block of {block}."
        )
    measured = tokens["stopping"] + tokens["held_out"]
    return Material(causal_task(base, blocks, stopping), measure, measured, block, tokens, tuple(warnings))


def _pairs(base: Base, given: Documents, split: Split) -> Material:
    request = given.request
    most = (request.max_input_tokens, request.max_target_tokens)
    pairs = token_pairs(base, given.texts, given.summaries, PREFIXES[request.style], most)
    train, stopping_part, held_out = (
        pairs.part(rows) for rows in (split.train, split.stopping, split.held_out)
    )
    stopping = None
    if len(stopping_part):

        def stopping(check: Callable[[], None]) -> float:
            return pair_likelihood(base, stopping_part, check, lambda _: None).mean

    references = [given.summaries[row] for row in split.held_out]
    scored = _scored(held_out, request.rouge_pairs)

    def measure(check: Callable[[], None], progress: Callable[[int], None]) -> dict[str, Any]:
        found = noted(pair_likelihood(base, held_out, check, progress))
        if len(scored):
            written = generate(base, held_out.part(scored), most[1], check, progress)
            found["rouge"] = rouge_l([references[row] for row in scored], written)
        return found

    tokens = {
        name: _tokens(part)
        for name, part in (("train", train), ("stopping", stopping_part), ("held_out", held_out))
    }
    measured = tokens["stopping"] + tokens["held_out"]
    return Material(
        seq2seq_task(base, train, stopping), measure, measured, 0, tokens, _cut_warnings(pairs, most)
    )


def noted(found: Likelihood) -> dict[str, Any]:
    """A likelihood as JSON."""
    return {
        "losses": found.losses.tolist(),
        "tokens": found.tokens.tolist(),
        "loss": round(found.mean, 6),
    }


def likelihood_of(document: dict[str, Any]) -> Likelihood:
    """The inverse of `noted`."""
    return Likelihood(
        np.array(document["losses"], dtype=np.float64), np.array(document["tokens"], dtype=np.int64)
    )


def _scored(held_out: Pairs, most: int) -> NDArray[np.int64]:
    """Rows of the held-out pairs that summaries are written for: all, or so many spread evenly."""
    return np.unique(np.linspace(0, len(held_out) - 1, min(most, len(held_out)), dtype=np.int64))


def _tokens(pairs: Pairs) -> int:
    return sum(map(len, pairs.sources)) + sum(map(len, pairs.targets))


def _cut_warnings(pairs: Pairs, most: Sequence[int]) -> tuple[str, ...]:
    found = []
    if pairs.cut_sources:
        found.append(f"{pairs.cut_sources} texts were cut to {most[0]} tokens (max_input_tokens).")
    if pairs.cut_targets:
        found.append(f"{pairs.cut_targets} summaries were cut to {most[1]} tokens (max_target_tokens).")
    return tuple(found)
