"""The numbers behind the curves, the twins, the sources' claim and the energy of a job."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from models.data.near_duplicates import content_digests, signatures
from models.evaluation import energy
from models.evaluation.claim import sources_claim
from models.evaluation.curves import CURVE_POINTS, option_curves, precision_recall, reliability, wilson
from models.evaluation.twins import twins_across_folds, twins_in_training
from models.scheme import MISSING

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(rows)
def test_the_curve_is_the_one_of_scikit_learn_by_growing_recall(pairs):
    truth, scores = np.array([t for t, _ in pairs]), np.array([s / 12 for _, s in pairs])
    found = precision_recall(truth, scores)
    if not truth.any():
        assert found == []
        return
    precision, recall, threshold = reference.precision_recall_curve(truth, scores)
    points = list(zip(recall[:-1], precision[:-1], threshold, strict=True))[::-1]
    whole = next(i for i, point in enumerate(points) if point[0] >= 1)
    assert np.allclose(found, points[: whole + 1])


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    rng = np.random.default_rng(0)
    truth, scores = rng.random(5000) < 0.3, rng.random(5000)
    found = precision_recall(truth, scores)
    assert len(found) <= CURVE_POINTS
    assert (found[0][2], found[-1][0]) == (scores.max(), 1.0)


def test_reliability_counts_every_row_once():
    rng = np.random.default_rng(1)
    scores = rng.random(503)
    truth = rng.random(503) < scores
    found = reliability(truth, scores)
    assert sum(bin_["rows"] for bin_ in found) == 503
    assert [bin_["mean"] for bin_ in found] == sorted(bin_["mean"] for bin_ in found)
    assert all(abs(bin_["mean"] - bin_["share"]) < 0.2 for bin_ in found)
    assert all(bin_["interval"][0] <= bin_["share"] <= bin_["interval"][1] for bin_ in found)
    assert reliability(truth[:0], scores[:0]) == []


def test_wilson_is_the_interval_of_scipy():
    from scipy.stats import binomtest

    for hits, of in ((0, 5), (3, 10), (10, 10), (400, 1000)):
        expected = binomtest(hits, of).proportion_ci(0.95, method="wilson")
        assert wilson(hits, of) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_confusion_leaves_missing_cells_out():
    labels = np.array([[1], [1], [0], [0], [MISSING], [1]], np.int8)
    decisions = np.array([[1], [0], [1], [0], [1], [1]], np.int8)
    scores = np.array([[0.9], [0.2], [0.8], [0.1], [0.9], [np.nan]], np.float32)
    found = option_curves(labels, scores, decisions, ["a"])["a"]
    assert found["confusion"] == {"tp": 1, "fp": 1, "fn": 1, "tn": 1}


LONG = "the court finds that the applicant was held for a long time without any review at all"


def test_twins_across_folds_are_those_the_embargo_drops():
    texts = [LONG, LONG.upper(), LONG + " indeed", "something else that has nothing to do with the other ones here", "short", "short"]  # fmt: skip
    folds = np.array([0, 1, 1, 0, 0, 1], np.int32)
    trained = np.ones(6, dtype=bool)
    found = twins_across_folds(folds, content_digests(texts), signatures(texts), trained)
    assert found.tolist() == [True, True, True, False, True, True]
    trained[[1, 2]] = False  # unlabelled texts teach nothing
    found = twins_across_folds(folds, content_digests(texts), signatures(texts), trained)
    assert found.tolist() == [False, True, True, False, True, True]


def test_a_training_row_is_no_twin_of_itself():
    trained = signatures(
        [LONG, LONG + " indeed", "a text of its own that nobody has written before in this place"]
    )
    asked = signatures([
        LONG, "a text of its own that nobody has written before in this place", LONG + " truly",
        "entirely different words are standing in this line of the test",
    ])  # fmt: skip
    own = np.array([True, True, False, False])
    assert twins_in_training(asked, own, trained).tolist() == [True, False, True, False]
    # an own row whose content has changed since is looked for like any other
    assert twins_in_training(asked[2:3], np.array([True]), trained).tolist() == [True]
    assert twins_in_training(asked, own, trained[:0]).tolist() == [False] * 4


def test_the_claim_stands_beside_always_no():
    option = {"support": 100, "positives": 5}
    found = sources_claim([
        {"key": "rare", "accuracy": 0.96, "always_no": 0.95, "f1": 0.3, **option},
        {"key": "often", "accuracy": 0.92, "always_no": 0.6, "f1": 0.85, **option},
        {"key": "never", "accuracy": 1.0, "always_no": 1.0, "f1": None, "support": 100, "positives": 0},
    ])  # fmt: skip
    assert found["counts"] == {"options": 2, "accuracy_above": 2, "always_no_above": 1, "f1_above": 1}
    assert "where always answering no has it on 1" in found["sentence"]
    assert not found["reached"]
    assert "No option" in sources_claim([])["sentence"]


def counter(folder, name, energy_uj, kind="package-0"):
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "name").write_text(kind + "\n")
    (place / "energy_uj").write_text(f"{energy_uj}\n")
    (place / "max_energy_range_uj").write_text("1000000000\n")


def test_measured_energy_is_no_estimate_and_a_counter_may_wrap(tmp_path):
    counter(tmp_path, "intel-rapl:0", 400_000_000)
    counter(tmp_path, "intel-rapl:1", 999_000_000)
    counter(tmp_path, "intel-rapl:0:0", 0, "core")
    meter = energy.start_meter(root=tmp_path)
    counter(tmp_path, "intel-rapl:0", 436_000_000)
    counter(tmp_path, "intel-rapl:1", 35_000_000)
    counter(tmp_path, "intel-rapl:0:0", 900_000_000, "core")
    found = energy.energy_since(meter, root=tmp_path)
    assert (found["watt_hours"], found["estimate"]) == (0.02, False)
    assert "RAPL" in found["method"]


def test_without_counters_it_is_called_an_estimate(tmp_path):
    meter = energy.start_meter(root=tmp_path / "none")
    found = energy.energy_since(meter, root=tmp_path / "none")
    assert found["estimate"] is True
    assert "10 W for every busy core" in found["method"]


def test_a_gpu_counter_is_added_and_a_silent_one_estimated(tmp_path):
    counter(tmp_path, "intel-rapl:0", 0)
    joules = iter((1000.0, 4600.0))
    meter = energy.start_meter(on_gpu=True, root=tmp_path, gpu_joules=lambda: next(joules))
    found = energy.energy_since(meter, root=tmp_path, gpu_joules=lambda: next(joules))
    assert (found["watt_hours"], found["estimate"]) == (1.0, False)
    meter = energy.start_meter(on_gpu=True, root=tmp_path, gpu_joules=lambda: None)
    assert energy.energy_since(meter, root=tmp_path, gpu_joules=lambda: None)["estimate"] is True
