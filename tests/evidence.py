"""Two synthetic adapters with whole reports and held-out probabilities, written into the reviewed corpus: for pages and comparisons."""

from __future__ import annotations

import io
import json
import tarfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Engine

from app.adapters.gate import run_checks
from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Adapter, Blob, Evaluation, GateDecision, Job, LabelSnapshot
from app.ids import new_id
from app.settings import get_settings
from models.training.report import Reading, build_report
from models.training.report_evidence import twin_section
from tests.integration.review_corpus import SCHEME, Built
from workers.evaluate.document import Part, document_of
from workers.evaluate.readers import Readers

ROWS = 240
KEYS = SCHEME.option_keys


def labels_and_groups() -> tuple[np.ndarray, list[str]]:
    """int8 (rows, 5) of the reviewed corpus's scheme, in forty groups."""
    rng = np.random.default_rng(1)
    labels = np.zeros((ROWS, len(KEYS)), dtype=np.int8)
    labels[:, 0] = rng.random(ROWS) < 0.3
    labels[:, 1] = rng.random(ROWS) < 0.08
    labels[np.arange(ROWS), 2 + rng.choice(3, ROWS, p=[0.6, 0.3, 0.1])] = 1
    return labels, [f"case-{row // 6}" for row in range(ROWS)]


def reading_of(labels: np.ndarray, noise: float, seed: int) -> Reading:
    """Probabilities that are right but for normal noise, decided at a half."""
    rng = np.random.default_rng(seed)
    probabilities = np.clip(labels * 0.7 + 0.15 + rng.normal(0, noise, labels.shape), 0.01, 0.99).astype(
        np.float32
    )
    return Reading(probabilities, (probabilities > 0.5).astype(np.int8))


def report_of(noise: float = 0.3) -> dict[str, Any]:
    """A whole report, with everything that a train job writes."""
    labels, groups = labels_and_groups()
    readings = {
        "model": reading_of(labels, noise, 1), "tfidf": reading_of(labels, 0.4, 2),
        "probe": reading_of(labels, 0.5, 3), "untrained": reading_of(labels, 2.0, 4),
    }  # fmt: skip
    epochs = [
        {"epoch": number, "train_loss": 0.7 / (number + 1), "held_out_macro_average_precision": 0.5 + 0.1 * number - 0.02 * number**2,
         "held_out_macro_f1": 0.45 + 0.08 * number, "held_out_accuracy": 0.8 + 0.02 * number, "always_no": 0.83}
        for number in range(5)
    ]  # fmt: skip
    return build_report(
        SCHEME, labels, readings, [0.5] * 5, groups,
        folds=[{"fold": fold, "best_epoch": 2, "inner_epochs": [{"epoch": 2, "train_loss": 0.3, "inner_loss": 0.4, "seconds": 2.5}]} for fold in range(2)],
        learning_curves={"0": epochs, "1": [{**e, "held_out_macro_f1": e["held_out_macro_f1"] - 0.05} for e in epochs]},
        human_f1={"options": {"remorse": {"rows": 40, "f1": 0.81}}, "macro_f1": 0.81},
        twins=twin_section(SCHEME, labels, readings["model"], np.arange(ROWS) % 5 == 0),
        energy={"watt_hours": 1.2, "estimate": True, "method": "10 W for every busy core × 432 s", "seconds": 240.0, "cpu_seconds": 432.0},
        seconds=240.0,
    )  # fmt: skip


def held_out_tar(keys: list[str], noise: float, seed: int) -> bytes:
    """The part of an adapter's tar that comparisons read."""
    labels, _ = labels_and_groups()
    probabilities = reading_of(labels[: len(keys)], noise, seed).probabilities
    frame = pl.DataFrame(
        {"key": keys, "fold": [row % 2 for row in range(len(keys))], "probabilities": probabilities.tolist()},
        schema={"key": pl.String, "fold": pl.Int32, "probabilities": pl.List(pl.Float32)},
    )
    arrow = io.BytesIO()
    frame.write_ipc(arrow)
    options = [{"key": key, "slope": 1.0, "intercept": 0.0, "threshold": 0.5} for key in KEYS]
    calibration = json.dumps({"options": options, "softmax": [[2, 3, 4]]}).encode()
    files = {
        "held_out.arrow": arrow.getvalue(),
        "folds/0/calibration.json": calibration,
        "folds/1/calibration.json": calibration,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def two_adapters(engine: Engine, built: Built) -> tuple[str, str]:
    """Ids of two adapters of the corpus that hold out every text of it; the first one's gate decision is kept."""
    blobs = BlobStore(get_settings().blob_root)
    ids = []
    with writing(engine) as session:
        for place, (name, noise) in enumerate((("careful & slow", 0.25), ("<b>quick</b>", 0.6))):
            blob = blobs.put_bytes(held_out_tar(list(built.texts), noise, place))
            session.add(
                Blob(digest=blob.digest, size=blob.size, media_type="application/x-tar", purpose="adapter")
            )
            session.flush()
            report = report_of(noise)
            versions = {"remand": "0.1.0", "torch": "2.13.0"}
            manifest = {"task": "classify", "scheme": SCHEME.to_document(), "base": {"name": "minilm", "sha256": "b" * 64},
                        "seed": 7, "versions": versions, "input_digest": "c" * 64, "option_keys": list(KEYS)}  # fmt: skip
            adapter = Adapter(
                id=new_id("adp"), corpus_id=built.corpus_id, task="classify", name=name, base_model="minilm", option_keys=list(KEYS),
                digest=str(place) * 64, blob_digest=blob.digest, manifest=manifest, report=report,
                beats_baselines=report["verdict"]["beats_baselines"],
            )  # fmt: skip
            session.add(adapter)
            session.flush()
            checks = [check.to_document() for check in run_checks(report, None)]
            session.add(GateDecision(
                adapter_id=adapter.id, corpus_id=built.corpus_id, automatic=True, promoted=not place, override=False, actor="train job",
                reason=report["verdict"]["sentence"], checks=checks,
            ))  # fmt: skip
            ids.append(adapter.id)
    return ids[0], ids[1]


def an_evaluation(engine: Engine, built: Built, adapter_id: str) -> str:
    """Id of a finished evaluation job of that adapter, on a split of 240 made-up rows of which 12 could not be held out."""
    labels, groups = labels_and_groups()
    uses = np.zeros((ROWS, 3), dtype=bool)
    uses[:100, 0] = uses[100:228, 1] = True
    readers = Readers(("final", "fold0", "fold1"), uses, np.arange(ROWS) % 7 == 0)
    model = reading_of(labels, 0.3, 1)
    model.probabilities[228:], model.decisions[228:] = np.nan, -1
    scope: Any = SimpleNamespace(
        corpus_id=built.corpus_id, synthetic=True, scheme=SCHEME, labels=labels, groups=groups,
        keys=[f"row-{row}" for row in range(ROWS)],
    )  # fmt: skip
    parts = {
        "model": Part(model, readers, "Calibration and thresholds as shipped."),
        "untrained": Part(reading_of(labels, 2.0, 4), None, "This favours it."),
    }
    energy = {"watt_hours": 0.01, "estimate": True, "method": "10 W for every busy core × 4 s"}
    adapter = {"id": adapter_id, "name": "careful & slow", "digest": "0" * 64, "base": "minilm"}
    with writing(engine) as session:
        scope.snapshot_id = snapshot_id = session.query(LabelSnapshot).first().id  # type: ignore[union-attr]
        document = document_of(
            scope, parts, 0, scope_asked={"split": "val", "sample": None, "limit": None, "seed": 0, "rows": ROWS, "groups": 40},
            adapter=adapter, base=None, compare_with=None, energy=energy, seconds=4.0,
        )  # fmt: skip
        job_id = new_id("job")
        session.add(Job(id=job_id, corpus_id=built.corpus_id, kind="evaluate", state="succeeded"))
        session.flush()
        session.add(Evaluation(
            job_id=job_id, corpus_id=built.corpus_id, adapter_id=adapter_id, snapshot_id=snapshot_id, document=document,
        ))  # fmt: skip
    return job_id
