"""Finished evaluations of summaries and of a causal model, from made-up scores: for pages and for the walk over routes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Adapter, Evaluation, Job
from app.ids import new_id
from models.evaluation.arms import DOCUMENT_MEASURES, SUMMARY_MEASURES, compared, pairs_of
from workers.evaluate.arms import Subject, Subjects
from workers.evaluate.generated import Arm, Told, report_of
from workers.evaluate.items import Items
from workers.evaluate.perplexities import _perplexities
from workers.evaluate.summaries import TITLES, _samples, _sentence

ROWS = 60
GROUPS = [f"case-{row // 2}" for row in range(ROWS)]
HELD_OUT = {"of": 92, "seen": 30, "seen_by": {"tuned": 30}, "seen_ids": [f"row-{row}" for row in range(30)], "repeated": 2, "known": True, "vouched": False}  # fmt: skip


def items() -> Items:
    texts = [f"The court heard claim {row} & <b>dismissed</b> it. " * 4 for row in range(ROWS)]
    return Items(
        [f"row-{row}" for row in range(ROWS)],
        GROUPS,
        texts,
        [f"Claim {row} failed." for row in range(ROWS)],
        HELD_OUT,
    )


def of_summaries(engine: Engine, corpus_id: str, adapter_id: str | None) -> str:
    """The job's id; the adapter is the better one, its base model failed at two texts."""
    rng = np.random.default_rng(4)
    scores = {}
    for name, level in (
        ("tuned", 0.4),
        ("base", 0.15),
        ("lead", 0.3),
        ("textrank", 0.28),
        ("lexrank", 0.27),
        ("mmr", 0.29),
    ):
        values = np.clip(rng.normal(level, 0.12, (ROWS, len(SUMMARY_MEASURES))), 0, 1)
        values[rng.random(ROWS) < 0.5, 6:8] = np.nan  # no date, no citation
        values[:, -1] *= 4
        scores[name] = values
    scores["base"][:2] = np.nan
    found = compared(scores, SUMMARY_MEASURES, GROUPS, pairs_of(list(scores), ["tuned", "base"], "lead"), 0)
    titles = TITLES | {"tuned": "with the adapter", "base": "base model"}
    written = {name: [f"{name} says <i>{row}</i>." for row in range(ROWS)] for name in scores}
    how = {"prefix": "summarize: ", "max_input_tokens": 1024, "max_tokens": 64, "strategy": "auto",
           "ran": {"whole": 40, "extract_then_abstract": 18, "none": 2}, "failures": {"prompt-too-long": 2}}  # fmt: skip
    arms = [
        Arm(
            name,
            titles[name],
            "extractive" if name in TITLES else "model",
            {"words": 3.0, "empty": int(name == "tuned"), "failed": 2 * (name == "base")}
            | ({} if name in TITLES else {"writing": how}),
            written[name],
            {},
        )
        for name in scores
    ]
    told = Told(SUMMARY_MEASURES, {
        "writing": {"beams": 1, "sampling": False},
        "extractive": {"words": "matched", "by_mean": 1, "mean_words": 3, "mean_of": "model", "encoder": "minilm"},
        "rouge": {"package": "rouge-score 0.1.2", "stemming": True, "score": "F1"},
        "bertscore": {"encoder": "minilm", "sha256": "0" * 64, "dtype": "float32", "layer": 5, "layers": 6, "idf": False,
                      "rescaling": False, "score": "F1", "texts_cut": 0},
    }, _samples(items(), written), _sentence(found, arms, items()), 12.0)  # fmt: skip
    return _stored(engine, corpus_id, adapter_id, "summarize", arms, found, told)


def of_a_causal_model(engine: Engine, corpus_id: str, adapter_id: str | None) -> str:
    """The job's id."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(40, 400, ROWS).astype(float)
    read = {
        name: (tokens * rng.normal(level, 0.2, ROWS), tokens)
        for name, level in (("tuned", 2.1), ("base", 2.6))
    }
    losses = {name: (nats / tokens)[:, None] for name, (nats, _) in read.items()}
    found = compared(losses, DOCUMENT_MEASURES, GROUPS, [("tuned", "base")], 0)
    told = _perplexities(read, GROUPS, 0)
    for name, one in told["arms"].items():
        found["arms"][name]["perplexity"] = one
    found["differences"][0]["change"] = told["changes"]["base"]
    arms = [Arm(name, title, "model", {"failed": 0}, [None] * ROWS, {}) for name, title in (("tuned", "with the adapter"), ("base", "base model"))]  # fmt: skip
    sample = {"key": "row-0", "text": "The court", "reference": "heard the claim.", "written": [{"arm": "tuned", "text": "held that"}, {"arm": "base", "text": ""}]}  # fmt: skip
    settings = {"window": 128, "continuations": {"words": 50, "max_tokens": 80, "sampling": False}}
    return _stored(
        engine, corpus_id, adapter_id, "causal", arms, found, Told(DOCUMENT_MEASURES, settings, [sample], "Perplexity fell.", 3.0)
    )  # fmt: skip


def _stored(
    engine: Engine, corpus_id: str, adapter_id: str | None, task: str, arms: list[Arm], found: dict[str, Any], told: Told
) -> str:  # fmt: skip
    job_id = new_id("job")
    params = {"task": task, "split": None, "seed": 0, "settings": {"document_set": None, "items": 60}}
    context: Any = SimpleNamespace(params=params, corpus_id=corpus_id, job_id=job_id)
    with writing(engine) as session:
        row = session.get(Adapter, adapter_id) if adapter_id else None
        subjects = Subjects(Subject("flan-t5-base", row, None, {}))
        document = report_of(context, subjects, items(), arms, found, told)
        session.add(Job(id=job_id, corpus_id=corpus_id, kind="evaluate", state="succeeded"))
        session.flush()
        session.add(
            Evaluation(
                job_id=job_id, corpus_id=corpus_id, adapter_id=adapter_id, task=task, document=document
            )
        )
    return job_id
