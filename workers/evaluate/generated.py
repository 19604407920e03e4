"""The end of an evaluation of generated text: its report, the file of its items, and the job's success in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from app.corpora.queries import drop_unregistered, find_corpus, register_blob
from app.db.session import WriteSession, reading, writing
from app.db.tables import DocumentSet, Evaluation
from models.evaluation.arms import Measure
from workers.evaluate.arms import Subjects, shown
from workers.evaluate.items import Items
from workers.job_context import JobContext, JobFailed


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to write or read the items."""

    name: str
    title: str
    kind: str
    """`model` or `extractive`."""
    counts: dict[str, Any]
    written: Sequence[str | None]
    numbers: dict[str, list[float]]
    """By name, one for each item; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a report says beside the comparison."""

    measures: Sequence[Measure]
    settings: dict[str, Any]
    samples: list[dict[str, Any]]
    sentence: str
    seconds: float


def store(
    context: JobContext,
    subjects: Subjects,
    items: Items,
    arms: Sequence[Arm],
    found: dict[str, Any],
    told: Told,
) -> None:
    """Write the row, the file and the job's end.

    Raises:
        JobFailed: the document set was deleted meanwhile, and with it the right to keep what was written of it.
    """
    path = context.work_dir / "written.arrow"
    _frame(items, arms).write_ipc(path, compression="zstd")
    blob = context.blobs.put_file(path)
    document_set = context.params["settings"]["document_set"]
    main = subjects.main
    document = report_of(context, subjects, items, arms, found, told)

    def body(session: WriteSession) -> None:
        if (
            document_set is not None
            and session.get(DocumentSet, document_set, with_for_update={"read": True}) is None
        ):
            raise JobFailed("document-set-gone", "The document set was deleted while it was evaluated.")
        register_blob(session, context.blobs, blob, "application/vnd.apache.arrow.file", "evaluation")
        session.add(
            Evaluation(
                job_id=context.job_id, corpus_id=context.corpus_id, adapter_id=main.row.id if main.row else None,
                snapshot_id=None, task=context.params["task"], document_set_id=document_set, items_blob=blob.digest,
                document=document,
            )
        )  # fmt: skip
        session.flush()
        held_out = {key: value for key, value in document["held_out"].items() if key != "seen_ids"}
        context.succeed(
            session,
            {
                "report": f"/evaluations/{context.job_id}/report",
                "words": told.sentence,
                "items": len(items),
                "held_out": held_out,
                "means": {arm.name: _means(found, arm.name) for arm in arms},
            },
        )

    try:
        context.transaction(body)
    except JobFailed:
        with writing() as session:
            drop_unregistered(session, context.blobs, blob.digest)
        raise


def report_of(
    context: JobContext,
    subjects: Subjects,
    items: Items,
    arms: Sequence[Arm],
    found: dict[str, Any],
    told: Told,
) -> dict[str, Any]:
    """The report, ready for JSON: lists where an order matters, because Postgres keeps members in its own."""
    params, main = context.params, subjects.main
    assert context.corpus_id is not None
    with reading() as session:
        synthetic = find_corpus(session, context.corpus_id).synthetic
    return {
        "task": params["task"],
        "corpus_id": context.corpus_id,
        "synthetic": synthetic,
        "adapter": main.document(),
        "base": None if main.base is None else shown(main.base),
        "compare_with": None if subjects.other is None else subjects.other.document(),
        "scope": {
            "document_set": params["settings"]["document_set"], "split": params["split"], "asked": params["settings"]["items"],
            "seed": params["seed"], "rows": len(items), "groups": found["groups"],
        },
        "held_out": items.held_out | {"share": len(items) / max(1, items.held_out["of"])},
        "settings": told.settings | {"draws": found["draws"]},
        "measures": [measure.to_document() for measure in told.measures],
        "arms": [
            {"name": arm.name, "title": arm.title, "kind": arm.kind, **arm.counts, **found["arms"][arm.name]} for arm in arms
        ],
        "differences": found["differences"],
        "samples": told.samples,
        "verdict": {"sentence": told.sentence},
        "seconds": round(told.seconds, 1),
    }  # fmt: skip


def _frame(items: Items, arms: Sequence[Arm]) -> pl.DataFrame:
    """A line per item and arm, item by item."""
    rows = [
        {
            "key": items.keys[row], "group": None if items.groups[row].startswith("\x00") else items.groups[row],
            "arm": arm.name, "written": arm.written[row], **{name: values[row] for name, values in arm.numbers.items()},
        }
        for row in range(len(items))
        for arm in arms
    ]  # fmt: skip
    words = dict.fromkeys(("key", "group", "arm", "written"), pl.String)
    return pl.DataFrame(rows, schema=words | dict.fromkeys(arms[0].numbers, pl.Float64))


def _means(found: dict[str, Any], arm: str) -> dict[str, float | None]:
    return {key: one["mean"] for key, one in found["arms"][arm]["measures"].items()}
