import json

import numpy as np
import pytest

from models.scheme import Option, Question, QuestionKind, Scheme
from models.training.report import Reading, as_markdown, beats_baselines, build_report


def scheme(options=3):
    return Scheme(
        (Question("q", QuestionKind.YES_NO_SET, tuple(Option(f"o{i}", i) for i in range(options))),)
    )


def reading(labels, noise, seed):
    """A reading that is right except for a share of flipped cells."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(labels.shape) < noise, 1 - labels, labels).astype(np.int8)
    return Reading(np.where(said == 1, 0.8, 0.2).astype(np.float32), said)


@pytest.fixture
def labels():
    return (np.random.default_rng(0).random((600, 3)) < 0.3).astype(np.int8)


@pytest.fixture
def groups():
    return [f"case-{i % 40}" for i in range(600)]


def test_a_better_model_beats_its_baselines_and_the_numbers_are_there(labels, groups):
    readings = {
        "model": reading(labels, 0.05, 1),
        "tfidf": reading(labels, 0.2, 2),
        "probe": reading(labels, 0.3, 3),
    }
    verdict = beats_baselines(labels, readings, groups)
    assert verdict["beats_baselines"]
    assert [c["baseline"] for c in verdict["comparisons"]] == ["tfidf", "probe"]
    for comparison in verdict["comparisons"]:
        low, high = comparison["interval"]
        assert 0 < low < comparison["difference"] < high
    assert "above the TF-IDF baseline" in verdict["sentence"]


def test_one_baseline_above_is_enough_to_lose(labels, groups):
    readings = {
        "model": reading(labels, 0.1, 1),
        "tfidf": reading(labels, 0.02, 2),
        "probe": reading(labels, 0.4, 3),
    }
    verdict = beats_baselines(labels, readings, groups)
    assert not verdict["beats_baselines"]
    assert "not above the TF-IDF baseline" in verdict["sentence"]


def test_a_tie_does_not_beat(labels, groups):
    same = reading(labels, 0.1, 1)
    verdict = beats_baselines(labels, {"model": same, "tfidf": same}, groups)
    assert not verdict["beats_baselines"]
    assert "level with the TF-IDF baseline" in verdict["sentence"]


def test_without_baselines_nothing_is_claimed(labels, groups):
    verdict = beats_baselines(labels, {"model": reading(labels, 0.1, 1)}, groups)
    assert verdict["beats_baselines"] is False
    assert "No baseline" in verdict["sentence"]


def test_rows_a_reading_has_not_read_are_not_compared(labels, groups):
    model, tfidf = reading(labels, 0.1, 1), reading(labels, 0.1, 1)
    model.probabilities[:300] = np.nan
    verdict = beats_baselines(labels, {"model": model, "tfidf": tfidf}, groups)
    assert verdict["comparisons"][0]["difference"] == 0


def test_one_group_gives_a_difference_and_no_interval(labels):
    one = ["the only case"] * 600
    readings = {"model": reading(labels, 0.05, 1), "tfidf": reading(labels, 0.2, 2)}
    verdict = beats_baselines(labels, readings, one)
    assert verdict["comparisons"][0]["interval"] is None
    assert verdict["comparisons"][0]["difference"] > 0
    assert "no interval" in verdict["sentence"]
    report = build_report(scheme(), labels, readings, [0.5] * 3, one)
    assert set(report["evidence"]["intervals"]["macro"].values()) == {None}
    assert (report["evidence"]["intervals"]["draws"], report["paired"]["tfidf"]["draws"]) == (0, 0)
    assert report["paired"]["tfidf"]["macro"]["f1"]["interval"] is None
    assert report["paired"]["tfidf"]["macro"]["f1"]["difference"] > 0


def test_the_report_is_json_and_markdown(labels, groups):
    names = ("model", "tfidf", "probe", "untrained")
    readings = {name: reading(labels, 0.05 * i, i) for i, name in enumerate(names, start=1)}
    report = build_report(
        scheme(), labels, readings, [0.4, 0.5, 0.6], groups, embargo=[{"fold": 0, "share": 0.1}]
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    option = report["options"][0]
    assert option["threshold"] == 0.4
    assert set(option["beside"]) == {"tfidf", "probe", "untrained"}
    assert report["embargo"] == [{"fold": 0, "share": 0.1}]
    assert report["always_no"]["macro_accuracy"] == pytest.approx(1 - labels.mean(), abs=1e-3)
    page = as_markdown(report)
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert "| always no |" in page
    assert len({line.count("|") for line in tables[:7]}) == 1
    assert len({line.count("|") for line in tables[7:]}) == 1
