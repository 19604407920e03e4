"""An evaluation of summaries: adapter and base model beside Lead, TextRank, LexRank and MMR, on texts that the adapter has not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.settings import get_settings
from models.encoder.forward import embed
from models.encoder.load import Encoder
from models.evaluation.arms import SUMMARY_MEASURES, compared, pairs_of
from models.generative.summary_scores import summary_scores
from models.text.bertscore import usual_layer
from models.text.extractive import METHODS, Budget, Method, Unit, split_sentences, summarize
from models.text.words import count_words
from workers.evaluate.arms import authors_of, shown, subjects_of
from workers.evaluate.generated import Arm, Told, store
from workers.evaluate.items import Items, items_of
from workers.evaluate.keeping import kept
from workers.evaluate.reading import Bases
from workers.evaluate.written import Written, written_by
from workers.job_context import JobContext, JobStopped

EXTRACTIVE: tuple[Method, ...] = ("lead", "textrank", "lexrank", "mmr")
TITLES = {"lead": "Lead", "textrank": "TextRank", "lexrank": "LexRank", "mmr": "MMR"}
_CHUNK = 16
"""Items between two looks at whether the job shall stop."""
_SAMPLES = 5
assert set(EXTRACTIVE) == set(METHODS)


@dataclass(frozen=True, slots=True)
class _Scored:
    """float64 (items, SUMMARY_MEASURES) of one arm, and how many texts BERTScore cut."""

    scores: NDArray[np.float64]
    cut: int


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Words that an extractive summary of each text may have, and where they come from."""

    words: list[int]
    document: dict[str, Any]


def run_summaries(context: JobContext) -> None:
    """One attempt; goes on with the chunks that earlier ones have kept."""
    began = time.monotonic()
    subjects = subjects_of(context)
    items = items_of(context, subjects)
    # In fp32 on every machine: a score must not depend on what the hardware computes in.
    encoder = Bases(get_settings(), {}).get(context.params["settings"]["encoder"], dtype=torch.float32)
    by_models = written_by(context, authors_of(context, subjects), items)
    written = {one.author.name: one.texts for one in by_models}
    failed = {one.author.name: one.failed for one in by_models}
    lengths = _lengths(context.params["settings"]["words"], by_models, items)
    for method in EXTRACTIVE:
        written[method] = _in_chunks(
            context,
            f"extractive-{method}",
            len(items),
            partial(_extracted, method, encoder, items.texts, lengths.words),
        )
    scored = {
        name: _score(context, name, texts, items, encoder, failed.get(name, ()))
        for name, texts in written.items()
    }
    pairs = pairs_of(list(written), [one.author.name for one in by_models], "lead")
    found = compared(
        {name: one.scores for name, one in scored.items()},
        SUMMARY_MEASURES,
        items.groups,
        pairs,
        context.params["seed"],
    )
    arms = _arms(by_models, written, scored)
    told = Told(
        measures=SUMMARY_MEASURES,
        settings=_settings(context, encoder, lengths, max(one.cut for one in scored.values())),
        samples=_samples(items, written),
        sentence=_sentence(found, arms, items),
        seconds=time.monotonic() - began,
    )
    store(context, subjects, items, arms, found, told)


def _lengths(asked: int | str, by_models: Sequence[Written], items: Items) -> _Lengths:
    """As many words as the evaluated model's summary of the same text.

    Where it wrote nothing: the mean of what it wrote, because one word would say nothing of the methods beside it; where it wrote nothing
    at all, or there is no model, the references' mean.
    """
    if asked != "matched":
        return _Lengths([int(asked)] * len(items), {"words": int(asked)})
    own = [count_words(text) for text in by_models[0].texts] if by_models else []
    known = [words for words in own if words]
    mean = round(float(np.mean(known or [count_words(text) for text in items.references])))
    usual = max(1, mean)
    words = [count or usual for count in own] if own else [usual] * len(items)
    filled = len(items) - len(known)
    return _Lengths(
        words,
        {
            "words": "matched", "by_mean": filled, "mean_words": usual if filled else None,
            "mean_of": ("model" if known else "references") if filled else None,
        },
    )  # fmt: skip


def _extracted(
    method: Method, encoder: Encoder, texts: Sequence[str], words: Sequence[int], rows: range
) -> list[str]:
    """One method's summaries of some texts."""
    found = []
    for row in rows:
        text = texts[row]
        sentences = [text[start:end] for start, end in split_sentences(text)]
        vectors = embed(encoder, sentences) if method == "mmr" and len(sentences) > 1 else None
        places = summarize(sentences, Budget(Unit.WORDS, words[row]), method, embeddings=vectors)
        found.append(" ".join(sentences[place] for place in places))
    return found


def _in_chunks(context: JobContext, stage: str, count: int, made: Callable[[range], list[str]]) -> list[str]:
    """What is made of every item; these are quick, and made again by a later attempt."""
    found: list[str] = []
    for start in range(0, count, _CHUNK):
        if context.stop_reason() is not None:
            raise JobStopped
        found += made(range(start, min(count, start + _CHUNK)))
        context.progress(stage=stage, done=len(found), total=count)
    return found


def _score(
    context: JobContext,
    name: str,
    written: Sequence[str],
    items: Items,
    encoder: Encoder,
    failed: Sequence[int],
) -> _Scored:
    """Every measure of one arm, chunk by chunk, each kept; NaN where the model failed."""
    layer = context.params["settings"]["bertscore_layer"]
    scores, cut = np.full((len(items), len(SUMMARY_MEASURES)), np.nan), 0
    for start in range(0, len(items), _CHUNK):
        rows = slice(start, min(len(items), start + _CHUNK))
        path = context.work_dir / f"scored-{name}-{start:09}.npz"
        if not path.exists():
            if context.stop_reason() is not None:
                raise JobStopped
            part, longer = summary_scores(
                written[rows], items.references[rows], items.texts[rows], encoder, layer
            )
            with kept(path) as temporary, temporary.open("wb") as file:
                np.savez(file, scores=part, cut=longer)
            context.save_checkpoint({"stage": f"scored {name}", "items": rows.stop})
        with np.load(path, allow_pickle=False) as arrays:
            scores[rows] = arrays["scores"]
            cut += int(arrays["cut"])
        context.progress(stage=f"scoring: {name}", done=rows.stop, total=len(items))
    scores[list(failed)] = np.nan
    return _Scored(scores, cut)


def _arms(
    by_models: Sequence[Written], written: dict[str, list[str]], scored: dict[str, _Scored]
) -> list[Arm]:
    """Models first, as everywhere."""
    found = [
        Arm(
            one.author.name,
            one.author.title,
            "model",
            _counts(one.texts, one.failed) | {"writing": one.how},
            one.texts,
            _numbers(one.texts, scored[one.author.name]),
        )
        for one in by_models
    ]
    return found + [
        Arm(
            method,
            TITLES[method],
            "extractive",
            _counts(written[method]),
            written[method],
            _numbers(written[method], scored[method]),
        )
        for method in EXTRACTIVE
    ]


def _counts(written: Sequence[str], failed: Sequence[int] = ()) -> dict[str, Any]:
    """Mean words, how often nothing was written, and how often it failed."""
    words = [count_words(text) for text in written]
    empty = sum(not count for count in words) - len(failed)
    return {"words": round(float(np.mean(words)), 1), "empty": empty, "failed": len(failed)}


def _numbers(written: Sequence[str], scored: _Scored) -> dict[str, list[float]]:
    numbers = {
        measure.key: scored.scores[:, column].tolist() for column, measure in enumerate(SUMMARY_MEASURES)
    }
    return numbers | {"words": [float(count_words(text)) for text in written]}


def _settings(context: JobContext, encoder: Encoder, lengths: _Lengths, longer: int) -> dict[str, Any]:
    """How everything was made and scored, so that somebody else can do it again; each model's own lengths are in its arm."""
    asked = context.params["settings"]
    return {
        "writing": {"beams": asked["beams"], "sampling": False},
        "extractive": lengths.document | {"encoder": shown(asked["encoder"])},
        "rouge": {"package": f"rouge-score {version('rouge-score')}", "stemming": True, "score": "F1"},
        "bertscore": {
            "encoder": shown(asked["encoder"]), "sha256": encoder.sha256, "dtype": str(encoder.dtype).removeprefix("torch."),
            "layer": asked["bertscore_layer"] or usual_layer(encoder.depth), "layers": encoder.depth,
            "idf": False, "rescaling": False, "score": "F1", "texts_cut": longer,
        },
        "bootstrap": {"by": "group", "interval": "percentile, 95 %"},
    }  # fmt: skip


def _samples(items: Items, written: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The first items, which the seed has drawn or the order of upload: not chosen for how they look."""
    return [
        {
            "key": items.keys[row],
            "text": items.texts[row][:1500],
            "reference": items.references[row],
            "written": [{"arm": name, "text": texts[row]} for name, texts in written.items()],
        }
        for row in range(min(_SAMPLES, len(items)))
    ]


def _sentence(found: dict[str, Any], arms: Sequence[Arm], items: Items) -> str:
    """The result in words, with Lead beside it and what is uncertain."""
    titles = {arm.name: arm.title for arm in arms}
    means = {name: one["measures"]["rougeLsum"]["mean"] for name, one in found["arms"].items()}
    shown_ = ", ".join(f"{_percent(means[arm.name])} ({arm.title})" for arm in arms)
    texts = "text" if len(items) == 1 else "texts"
    parts = [f"On {len(items):,} {texts}{items.unseen_words}, ROUGE-Lsum in percent: {shown_}."]
    first = arms[0] if arms[0].kind == "model" else None
    for pair in found["differences"]:
        told, other = pair["measures"]["rougeLsum"], pair["second"]
        if first is not None and pair["first"] == first.name and (other == "lead" or other not in TITLES):
            parts.append(f"Against {titles[other]}: {_difference(told)}.")
    return " ".join(parts)


def _difference(told: dict[str, Any]) -> str:
    if told["difference"] is None:
        return "nothing can be said"
    words = f"{100 * told['difference']:+z.1f}"
    if told["interval"] is None:
        return f"{words}, and one group says nothing of others"
    low, high = (f"{100 * end:+z.1f}" for end in told["interval"])
    return f"{words} (95 % interval {low} to {high})"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
