"""The choice of consensus from end to end: set it, freeze, export; values differ where they should, and every snapshot says how it came about."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.corpora.consensus_methods import NO_RUN
from app.corpora.snapshots import freeze, frozen_values, read_snapshot
from app.db.session import writing
from app.db.tables import LabelSnapshot
from tests.several_annotators import Several, add_run, several_annotators


def choose(admin: TestClient, several: Several, method: str) -> None:
    """Set the corpus's method, as an administrator does."""
    path = f"/corpora/{several.corpus_id}"
    now = admin.get(path)
    body = {"name": now.json()["name"], "fold_group": "case", "consensus": method}
    answer = admin.put(path, json=body, headers={"If-Match": now.headers["ETag"]})
    assert (answer.status_code, answer.json()["consensus"]) == (200, method)


def frozen(engine: Engine, several: Several, folder: Path) -> tuple[LabelSnapshot, np.ndarray, Path]:
    blobs = BlobStore(str(folder / "blobs"))
    with writing(engine) as session:
        row = freeze(session, several.corpus_id, blobs)
        session.expunge(row)
    path = blobs.path(row.blob_digest)
    return row, read_snapshot(path).values, path


def test_each_method_freezes_its_own_labels(
    admin: TestClient, engine: Engine, several: Several, environment: Path
) -> None:
    run = add_run(engine, several)
    rows, right = {}, {}
    for method in ("majority", "dawid_skene", "model_aware"):
        choose(admin, several, method)
        row, values, path = frozen(engine, several, environment)
        again, _, _ = frozen(engine, several, environment)
        assert again.id == row.id
        rows[method], right[method] = row, float((values == several.truth).mean())
        text = several.built.texts["letter-005"]
        np.testing.assert_array_equal(frozen_values(path, text, 5)[0], values[5])
    assert len({row.digest for row in rows.values()}) == 3
    assert right["majority"] < right["dawid_skene"] < right["model_aware"]
    assert rows["majority"].tie_count > 0
    assert rows["dawid_skene"].tie_count == 0
    assert [row.consensus_method for row in rows.values()] == list(rows)
    assert rows["majority"].consensus_parameters == {}
    used = rows["model_aware"].consensus_parameters
    assert (used["run"], used["held_out_texts"]) == (run, len(several.truth) - 1)
    assert set(used["fits"][0]["steps"]) == {"yes_no_sets", "outcome"}


def test_a_probability_that_is_not_held_out_is_not_asked(
    admin: TestClient, engine: Engine, several: Several, environment: Path
) -> None:
    """The same model, none of whose predictions is held out, changes nothing."""
    add_run(engine, several)
    choose(admin, several, "dawid_skene")
    _, alone, _ = frozen(engine, several, environment)
    with writing(engine) as session:
        session.connection().exec_driver_sql("UPDATE predictions SET held_out = false")
    choose(admin, several, "model_aware")
    row, values, _ = frozen(engine, several, environment)
    assert row.consensus_parameters["held_out_texts"] == 0
    assert (values == alone).mean() > 0.99


def test_model_aware_without_a_run_says_what_it_fell_back_on(
    admin: TestClient, engine: Engine, several: Several, environment: Path
) -> None:
    choose(admin, several, "model_aware")
    row, _, _ = frozen(engine, several, environment)
    assert row.consensus_method == "dawid_skene"
    assert row.consensus_parameters["asked"] == "model_aware"
    assert row.consensus_parameters["fallback"] == NO_RUN


def test_exports_name_the_method_and_carry_its_values(
    admin: TestClient, engine: Engine, several: Several, environment: Path
) -> None:
    path = f"/corpora/{several.corpus_id}/export"
    plain = list(
        csv.DictReader(io.StringIO(admin.get(path, params={"format": "csv", "layout": "long"}).text))
    )
    assert {row["consensus_method"] for row in plain} == {"majority"}
    choose(admin, several, "dawid_skene")
    _, values, _ = frozen(engine, several, environment)
    records = [json.loads(line) for line in admin.get(path, params={"format": "jsonl"}).text.splitlines()]
    labels = [[record["labels"][key] for key in ("remorse", "dependants", "granted", "denied", "open")] for record in records]  # fmt: skip
    np.testing.assert_array_equal(np.array(labels), values)
    cells = [cell for record in records for cell in record["cells"]]
    assert {cell["consensus_method"] for cell in cells} == {"dawid_skene"}
    assert [cell["value"] for cell in cells] != [row["value"] or None for row in plain]


def test_the_method_is_changed_with_care(admin: TestClient, several: Several) -> None:
    """Nobody's change is overwritten unseen, an unknown method is refused, and a change of something else leaves it."""
    path = f"/corpora/{several.corpus_id}"
    assert admin.get(path).json()["consensus"] == "majority"
    choose(admin, several, "dawid_skene")
    tag = admin.get(path).headers["ETag"]
    assert admin.put(path, json={"name": "several"}).status_code == 428
    refused = admin.put(path, json={"name": "several", "consensus": "vote"}, headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["field"]) == (422, "/consensus")
    kept = admin.put(path, json={"name": "several", "description": "x"}, headers={"If-Match": tag})
    assert kept.json()["consensus"] == "dawid_skene"


def test_two_readers_who_never_met_are_fitted_all_the_same(engine: Engine, environment: Path) -> None:
    """Teams without a shared text: each contested cell is settled or listed as a tie, none is lost."""
    apart = several_annotators(engine, texts=80, apart=True, readers=2, name="apart")
    with writing(engine) as session:
        session.connection().exec_driver_sql("UPDATE corpora SET consensus = 'dawid_skene'")
    row, values, _ = frozen(engine, apart, environment)
    assert (values == -1).any(axis=1).sum() <= row.tie_count
    assert (values == apart.truth).mean() > 0.8
