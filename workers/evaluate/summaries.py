"""An evaluation of summaries: adapter and base model beside Lead, TextRank, LexRank and MMR, on texts that the adapter has not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.blobs import sync_path
from app.settings import get_settings
from models.encoder.forward import embed
from models.encoder.load import Encoder
from models.evaluation.arms import SUMMARY_MEASURES, compared, pairs_of
from models.generative.cutting import cut_to
from models.generative.summary_scores import summary_scores
from models.text.bertscore import usual_layer
from models.text.extractive import METHODS, Budget, Method, Unit, split_sentences, summarize
from models.text.words import count_words
from workers.evaluate.arms import (
    TUNED,
    Subject,
    lengths_of,
    shown,
    subject_of,
    title_of,
    tokenizer_of,
    writers_of,
)
from workers.evaluate.generated import Arm, Told, store
from workers.evaluate.items import Items, items_of
from workers.evaluate.reading import Bases
from workers.evaluate.writing import asking
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


def run_summaries(context: JobContext) -> None:
    """One attempt; goes on with the chunks that earlier ones have kept."""
    began = time.monotonic()
    subject = subject_of(context)
    items = items_of(context, subject.folder)
    encoder = Bases(get_settings(), {}).get(context.params["settings"]["encoder"])
    written, failed, cut = _by_models(context, subject, items)
    models = list(written)
    words = _words_allowed(context, written, items)
    for method in EXTRACTIVE:
        written[method] = _in_chunks(
            context,
            f"extractive-{method}",
            len(items),
            partial(_extracted, method, encoder, items.texts, words),
        )
    scored = {
        name: _score(context, name, texts, items, encoder, failed.get(name, ()))
        for name, texts in written.items()
    }
    pairs = pairs_of(list(written), models, "lead")
    found = compared(
        {name: one.scores for name, one in scored.items()},
        SUMMARY_MEASURES,
        items.groups,
        pairs,
        context.params["seed"],
    )
    arms = [
        _arm(subject, name, texts, scored[name].scores, failed.get(name, ()))
        for name, texts in written.items()
    ]
    told = Told(
        measures=SUMMARY_MEASURES,
        settings=_settings(context, subject, encoder, cut, max(one.cut for one in scored.values())),
        samples=_samples(items, written),
        sentence=_sentence(found, arms, items),
        seconds=time.monotonic() - began,
    )
    store(context, subject, items, arms, found, told)


def _by_models(
    context: JobContext, subject: Subject, items: Items
) -> tuple[dict[str, list[str]], dict[str, tuple[int, ...]], int]:
    """What adapter and base model wrote, which items each failed at, and how many texts were cut to what is read of them."""
    if subject.base is None:
        return {}, {}, 0
    read, most = lengths_of(context, subject)
    tokenizer = tokenizer_of(subject)
    inputs = [cut_to(tokenizer, subject.reading["prefix"] + text, read) for text in items.texts]
    prompts = [prompt for prompt, _ in inputs]
    asked = {
        "max_tokens": most, "beams": context.params["settings"]["beams"], "temperature": 0.0, "seed": context.params["seed"],
    }  # fmt: skip
    written: dict[str, list[str]] = {}
    failed: dict[str, tuple[int, ...]] = {}
    with asking(context) as workers:
        for writer in writers_of(context, subject, asked):
            results = workers.results("/generate", writer, "prompts", prompts, len(items))
            written[writer.name] = [str(result.get("text") or "") for result in results]
            failed[writer.name] = tuple(place for place, result in enumerate(results) if "error" in result)
    return written, failed, sum(cut for _, cut in inputs)


def _words_allowed(context: JobContext, written: dict[str, list[str]], items: Items) -> list[int]:
    """Words that an extractive summary of each text may have."""
    asked = context.params["settings"]["words"]
    if asked != "matched":
        return [int(asked)] * len(items)
    if written:
        main = next(iter(written.values()))
        return [max(1, count_words(text)) for text in main]
    mean = np.mean([count_words(reference) for reference in items.references])
    return [max(1, round(float(mean)))] * len(items)


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
        kept = context.work_dir / f"scored-{name}-{start:09}.npz"
        if not kept.exists():
            if context.stop_reason() is not None:
                raise JobStopped
            part, longer = summary_scores(
                written[rows], items.references[rows], items.texts[rows], encoder, layer
            )
            with (temporary := kept.with_suffix(".partial")).open("wb") as file:
                np.savez(file, scores=part, cut=longer)
            sync_path(temporary)
            temporary.replace(kept)
            sync_path(context.work_dir)  # the checkpoint says that it is kept
            context.save_checkpoint({"stage": f"scored {name}", "items": rows.stop})
        with np.load(kept, allow_pickle=False) as arrays:
            scores[rows] = arrays["scores"]
            cut += int(arrays["cut"])
        context.progress(stage=f"scoring: {name}", done=rows.stop, total=len(items))
    scores[list(failed)] = np.nan
    return _Scored(scores, cut)


def _arm(
    subject: Subject, name: str, written: list[str], scores: NDArray[np.float64], failed: Sequence[int]
) -> Arm:
    kind = "extractive" if name in TITLES else "model"
    words = float(np.mean([count_words(text) for text in written]))
    numbers = {measure.key: scores[:, column].tolist() for column, measure in enumerate(SUMMARY_MEASURES)}
    numbers["words"] = [float(count_words(text)) for text in written]
    title = TITLES.get(name) or title_of(subject, name)
    return Arm(name, title, kind, {"words": round(words, 1), "failed": len(failed)}, list(written), numbers)


def _settings(
    context: JobContext, subject: Subject, encoder: Encoder, cut: int, longer: int
) -> dict[str, Any]:
    """How everything was made and scored, so that somebody else can do it again."""
    asked, writing = context.params["settings"], None
    if subject.base is not None:
        read, most = lengths_of(context, subject)
        writing = {
            "prefix": subject.reading["prefix"], "max_input_tokens": read, "max_tokens": most, "beams": asked["beams"],
            "sampling": False, "texts_cut": cut,
        }  # fmt: skip
    return {
        "writing": writing,
        "extractive": {"words": asked["words"], "encoder": shown(asked["encoder"])},
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
    means = {name: one["measures"]["rougeLsum"]["mean"] for name, one in found["arms"].items()}
    start = f"On {len(items):,} texts" + (f" {items.unseen_words}" if arms[0].name == TUNED else "")
    shown = ", ".join(f"{_percent(means[arm.name])} {_with(arm)}" for arm in arms if arm.name in means)
    parts = [f"{start}, ROUGE-Lsum in percent: {shown}."]
    main = arms[0].name if arms[0].kind == "model" else None
    for other in ("base", "lead") if main else ():
        pair = next(
            (one for one in found["differences"] if (one["first"], one["second"]) == (main, other)), None
        )
        if pair is not None:
            told = pair["measures"]["rougeLsum"]
            parts.append(f"Against {'the base model' if other == 'base' else 'Lead'}: {_difference(told)}.")
    return " ".join(parts)


def _with(arm: Arm) -> str:
    return arm.title if arm.name == TUNED else f"({arm.title})"


def _difference(told: dict[str, Any]) -> str:
    if told["difference"] is None:
        return "nothing can be said"
    words = f"{100 * told['difference']:+.1f}"
    if told["interval"] is None:
        return f"{words}, and one group says nothing of others"
    low, high = (f"{100 * end:+.1f}" for end in told["interval"])
    return f"{words} (95 % interval {low} to {high})"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
