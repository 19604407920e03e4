"""A sample drawn of each training part: by that part alone, with all held-out rows read and scored."""

import json

import numpy as np
import polars
import pytest
from scipy.sparse import csr_matrix

from models.sampling.clusters import count_words
from models.training import run
from models.training.errors import TrainingRefusedError
from models.training.part_sample import sample_part
from models.training.run import train
from models.training.sample_request import SampleRequest
from tests.tiny_encoder import synthetic_letters, write_training_folder

ROWS = 64
REQUEST = {"folds": 2, "epochs": 1, "learning_rate": 0.01, "lora_rank": 4, "max_tokens": 32}
SAMPLE = {"strategy": "stratified", "size": 18, "clusters": 3, "smallest": 2}


@pytest.fixture(scope="module")
def letters():
    return synthetic_letters(ROWS, seed=1)


def drawn(texts, labels, rows, asked=SAMPLE, seed=5):
    keys = [f"text-{row}" for row in range(len(texts))]
    return sample_part(
        SampleRequest(**asked), rows, csr_matrix(count_words(texts)[1]), labels, keys, ["a", "b", "c"], seed
    )


def test_held_out_rows_change_nothing(letters):
    """Other words and other labels in every held-out row: the same rows are drawn, with the same strata."""
    texts, labels = letters
    part = np.flatnonzero(np.arange(ROWS) % 3 > 0)
    changed, others = list(texts), labels.copy()
    for row in range(0, ROWS, 3):
        changed[row] = f"zebra quark {row} " * 5
        others[row] = 1 - others[row]
    first, second = drawn(texts, labels, part), drawn(changed, others, part)
    assert first.rows.tolist() == second.rows.tolist()
    assert first.report == second.report
    assert set(first.rows.tolist()) < set(part.tolist())
    assert drawn(texts, labels, part, seed=6).rows.tolist() != first.rows.tolist()


def test_the_report_says_every_inclusion_probability(letters):
    texts, labels = letters
    found = drawn(texts, labels, np.arange(40))
    strata = found.report["strata"]
    assert sum(entry["drawn"] for entry in strata) == len(found.rows) == found.report["drawn"] == 18
    assert sum(entry["texts"] for entry in strata) == found.report["part_rows"] == 40
    assert all(0 < entry["inclusion"] <= 1 for entry in strata)
    assert "top_terms" not in strata[0], "reports travel with adapters and quote no text"


def test_a_part_with_fewer_rows_gives_all_and_random_has_one_stratum(letters):
    texts, labels = letters
    part = np.arange(10)
    assert drawn(texts, labels, part).rows.tolist() == list(range(10))
    found = drawn(texts, labels, part, {"strategy": "random", "size": 4, "seed": 9})
    assert (len(found.rows), found.report["seed"], found.report["clusters"]) == (4, 9, None)
    assert [entry["inclusion"] for entry in found.report["strata"]] == [0.4]


def test_every_fold_trains_on_its_own_sample_and_reads_all_it_holds_out(
    letters, tiny_bert, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "reload_check", lambda *_: 0.0)
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST, sample=SAMPLE)
    train(source, tmp_path / "work", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [fold["rows"] for fold in report["folds"]] == [18, 18]
    assert report["final"]["rows"] == 18
    sampling = report["sampling"]
    assert sampling["asked"]["size"] == 18
    parts = [fold["embargo"]["train_rows"] for fold in report["folds"]]
    assert [fold["part_rows"] for fold in sampling["folds"]] == parts
    assert (sampling["final"]["part_rows"], sampling["final"]["drawn"]) == (ROWS, 18)
    samples = polars.read_ipc(tmp_path / "out" / "samples.arrow")
    for name, said in (
        ("final", sampling["final"]),
        *((f"fold{fold['fold']}", fold) for fold in sampling["folds"]),
    ):
        mine = samples.filter(polars.col("member") == name)
        assert mine["key"].n_unique() == len(mine) == 18
        assert [said["strata"][row]["inclusion"] for row in mine["stratum"]] == pytest.approx(
            mine["inclusion"].to_list()
        )
        assert (1 / mine["inclusion"]).sum() == pytest.approx(said["part_rows"]), "weights add up to the part"
    assert "texts" not in sampling["final"], "the report stays short"
    frame = polars.read_ipc(tmp_path / "out" / "held_out.arrow")
    assert np.isfinite(np.array(frame["probabilities"].to_list())).all()
    for fold in (0, 1):
        seen = json.loads((tmp_path / "out" / "folds" / str(fold) / "seen.json").read_text())
        # thresholds come from the labels of all other folds: what its sample left out has been seen, too
        assert len(seen["contents"]) == len(
            {letters[0][row] for row in np.flatnonzero(frame["fold"] != fold)}
        )
        assert len(seen["keys"]) == (frame["fold"] != fold).sum()


def test_a_sample_of_one_is_refused(letters, tiny_bert, tmp_path):
    source = write_training_folder(tmp_path / "in", tiny_bert, *letters, **REQUEST, sample={"size": 1})
    with pytest.raises(TrainingRefusedError, match=r"sample\.size"):
        train(source, tmp_path / "work", tmp_path / "out")
